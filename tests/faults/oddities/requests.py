"""Sections 5 to 8 and 10: what vendors demand of a request, whoever has answered."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from server.wire.opaque import redacted
from tests.faults.surfaces import CHAT, MESSAGES, RESPONSES
from tests.rig import conversations as made
from tests.rig.anthropic_events import block
from tests.rig.conversations import Conversation, Exchange, MadeCall, Step
from tests.rig.upstream import END, HEAD, delta

from .writing import Oddity, gemini, line, message, says, sse, stream

Body = dict[str, Any]
Wants = Callable[[Any], str]
HI = {"role": "user", "content": "hi"}
MARK = {"type": "ephemeral"}
THOUGHT, SIGNED = "Hm", "Z29vZ2xl"
BY_PATH = {CHAT: "chat", MESSAGES: "messages", RESPONSES: "responses"}
GOOD = {
    "openai": stream(delta(content="Hi"), delta("stop")),
    "anthropic": message(*block(0, {"type": "text", "text": ""}), says("Hi", index=1)),
    "gemini": sse(gemini("Hi", finish="STOP")),
    "ollama": [HEAD, line("Hi"), line(reason="stop"), END],
}
# The kind and the validator of those who have no row of their own, or go by another.
KINDS = {"Anthropic": "anthropic", "Gemini": "gemini", "Ollama": "ollama"}


def demand(
    section: int,
    name: str,
    vendor: str,
    bodies: Mapping[str, Body],
    wants: Wants = lambda _: "",
    *,
    judge: str = "",
    **keys: Any,
) -> Oddity:
    """
    Return what *vendor* demands of *bodies*, which clients send it by surface.

    *wants* says what is missing in what it is sent, "" for nothing; *judge* is the
    validator of it. *keys* are what its table has besides the built-in row.
    """
    kind = KINDS.get(vendor, keys.get("kind", "openai"))
    judge = judge or vendor.lower()
    if vendor == "OpenAI":  # or who speaks Responses would be passed through
        keys = {"responses": "off", **keys}
    return Oddity(
        section=section,
        name=f"{name}, to {vendor}",
        steps=GOOD[kind],
        kind=kind,
        text="Hi",
        vendor=vendor,
        bodies=bodies,
        judge=judge,
        wants=wants,
        keys=keys,
    )


def everywhere(*exchanges: Exchange, **options: Any) -> dict[str, Body]:
    """Return a conversation as the client of each surface has it."""
    talk = Conversation(system=[], exchanges=[*exchanges], last=None, options=options)
    return {path: made.SURFACES[name](talk) for path, name in BY_PATH.items()}


def asking(*steps: Step, text: str = "hi") -> Exchange:
    return Exchange(texts=[text], picture="", steps=[*steps])


def calling(*names: str, thought: str = "", signature: str = "") -> Step:
    calls = [
        MadeCall(id=n, name="f", arguments="{}", result="ok", signature=signature)
        for n in names
    ]
    return Step(text="so", thought=thought, calls=calls)


def ids_of(body: Any) -> list[str]:
    """Return the ids of calls in a request, of whatever dialect, in order."""
    return [found for value in walk(body) for found in _id(value)]


def _id(value: Any) -> Iterator[str]:
    match value:
        case {"id": str(name), "function": dict()}:
            yield name
        case {"type": "tool_use", "id": str(name)}:
            yield name


def walk(value: Any) -> Iterator[Any]:
    """Yield all objects in a value."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def has(*texts: str) -> Wants:
    """Return what wants all of these in a request's JSON."""

    def wants(body: Any) -> str:
        sent = json.dumps(body, ensure_ascii=False)
        return ", ".join(f"no {text}" for text in texts if text not in sent)

    return wants


def lacks(*texts: str) -> Wants:
    def wants(body: Any) -> str:
        sent = json.dumps(body, ensure_ascii=False)
        return ", ".join(f"there is {text}" for text in texts if text in sent)

    return wants


def distinct(number: int) -> Wants:
    """Return what wants so many calls of different ids."""

    def wants(body: Any) -> str:
        found = ids_of(body)
        return "" if len({*found}) == number == len(found) else f"the ids {found}"

    return wants


def ids() -> Iterable[Oddity]:
    """Section 5: ids of calls that the next vendor refuses."""
    for name, history, number in (
        ("functions.do:0", [asking(calling("functions.do:0")), asking()], 1),
        (
            "two that differ in what goes",
            [asking(calling("a.b:0", "a_b_0")), asking()],
            2,
        ),
        ("letters of others", [asking(calling("вызов-1", "вызов-2")), asking()], 2),
        ("a long one", [asking(calling("call_" + "abc" * 30)), asking()], 1),
        ("call_7fQm2xWcT0aLr9Zb", [asking(calling("call_7fQm2xWcT0aLr9Zb"))], 1),
    ):
        for vendor in ("Anthropic", "Mistral", "OpenAI"):
            yield demand(5, name, vendor, everywhere(*history), distinct(number))
    twice = [asking(calling("call_0"), Step(text="x")), asking(calling("call_0"))]
    yield demand(5, "one id in two turns", "Anthropic", everywhere(*twice), distinct(2))
    again = [asking(calling("call_0"), calling("call_0")), asking()]
    yield demand(
        5, "one id twice in a turn", "Anthropic", everywhere(*again), distinct(2)
    )
    for vendor, name in (
        ("Anthropic", "toolu_01A09q90qw90lq917835lq9"),
        ("Mistral", "D681PevKs"),
        ("OpenAI", "call_abcdefghijklmnopqrstuvwx"),
    ):
        history = [asking(calling(name)), asking()]
        yield demand(
            5, "an id that fits stays", vendor, everywhere(*history), has(name)
        )
    use = {"type": "tool_use", "id": "functions.do:0", "name": "f", "input": {}}
    answer = {"type": "tool_result", "tool_use_id": "functions.do:0", "content": "ok"}
    turns = [
        HI,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [answer]},
    ]
    for vendor in ("Anthropic", "Mistral"):
        passed = {MESSAGES: {"messages": turns, "max_tokens": 9}}
        yield demand(5, "another gateway's id", vendor, passed, distinct(1))


def thoughts() -> Iterable[Oddity]:
    """Section 6: reasoning and signatures that must come back."""
    turn = [asking(calling("abcXYZ018", thought=THOUGHT), calling("abcXYZ019"))]
    yield demand(6, "thoughts of a turn", "DeepSeek", everywhere(*turn), has(THOUGHT))
    wants = has('"thinking": "Hm"')
    bodies = everywhere(*turn)
    for body in bodies.values():
        body.pop("include", None)
    yield demand(
        6, "unsigned", "Copy", bodies, wants, judge="anthropic copy", kind="anthropic"
    )
    yield demand(6, "unsigned", "Anthropic", bodies, lacks('"thinking": "Hm"'))
    step = calling("abcXYZ018", thought=THOUGHT, signature=SIGNED)
    signed = [asking(step), asking()]
    for vendor in ("Mistral", "Groq", "Cerebras"):
        yield demand(6, "a signature of Google's", vendor, everywhere(*signed))
    # The client of Messages was shown no signature in these: Google's word for none.
    back = everywhere(*signed)
    models = (
        ("VertexAI", "google's twin", "google/gemini-3-pro"),
        ("Gemini", "gemini 3", "gemini-3-pro"),
    )
    for vendor, judge, model in models:
        yield demand(
            6,
            "a signature of Google's",
            vendor,
            {path: back[path] for path in (CHAT, RESPONSES)},
            has(SIGNED),
            judge=judge,
            default_model=model,
        )
        unsigned = everywhere(asking(calling("abcXYZ018")), asking())
        yield demand(
            6, "calls without one", vendor, unsigned, judge=judge, default_model=model
        )
        yield demand(
            6,
            "a signature that was carried",
            vendor,
            {MESSAGES: _carrying(back[MESSAGES])},
            has(SIGNED),
            judge=judge,
            default_model=model,
        )
    text = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    turns = [
        HI,
        {"role": "assistant", "content": [text, {"type": "text", "text": "a"}]},
    ]
    hidden = {MESSAGES: {"messages": [*turns, HI], "max_tokens": 9}}
    yield demand(
        6, "signed without text", "Anthropic", hidden, has('"signature": "c2ln"')
    )


def _carrying(body: Body) -> Body:
    """Return a conversation whose calls came with a signature, as it is carried."""
    beside = {"google": {"thought_signature": SIGNED}}
    seal = redacted([], {"abcXYZ018": beside})
    thought = {"type": "redacted_thinking", "data": seal}
    turns = [
        {**turn, "content": [thought, *turn["content"]]}
        if turn["role"] == "assistant"
        else turn
        for turn in body["messages"]
    ]
    return {**body, "messages": turns}


def single_vendors() -> Iterable[Oddity]:
    """Section 7: what single vendors refuse."""
    brief = "Be brief."
    late: dict[str, Body] = {
        CHAT: {"messages": [HI, {"role": "developer", "content": brief}]},
        RESPONSES: {"input": [HI, {"role": "developer", "content": brief}]},
        MESSAGES: {"messages": [HI], "system": brief, "max_tokens": 9},
    }
    early: dict[str, Body] = {
        CHAT: {"messages": [{"role": "developer", "content": brief}, HI]},
        RESPONSES: {"input": [{"role": "developer", "content": brief}, HI]},
    }
    for vendor in ("DeepSeek", "Mistral"):
        for name, bodies in (("developer first", early), ("developer last", late)):
            yield demand(7, name, vendor, bodies, has(brief))
    yield demand(7, "developer", "OpenAI", {CHAT: early[CHAT]}, has("developer"))
    fields = {
        "store": False,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
    }
    for vendor in ("Groq", "Mistral", "Cerebras"):
        both: dict[str, Body] = {
            CHAT: {"messages": [HI], **fields},
            RESPONSES: {"input": "hi", **fields},
        }
        yield demand(7, "fields of OpenAI's own", vendor, both)
    own = {CHAT: {"messages": [HI], **fields}}
    yield demand(7, "its own fields", "OpenAI", own, has(*fields))
    kept = has("metadata", "prompt_cache_key")
    yield demand(7, "fields that it takes", "Mistral", own, kept)
    codex = {
        RESPONSES: {
            "input": "hi",
            "client_metadata": {"a": "b"},
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
    }
    for vendor in ("DeepSeek", "Groq", "OpenRouter"):
        yield demand(7, "Codex's fields", vendor, codex, judge="lenient")
    bound = {
        CHAT: {"messages": [HI], "max_completion_tokens": 99},
        RESPONSES: {"input": "hi", "max_output_tokens": 99},
        MESSAGES: {"messages": [HI], "max_tokens": 99},
    }
    yield demand(7, "the bound", "DeepSeek", bound, has('"max_tokens": 99'))
    yield demand(7, "the bound", "Mistral", bound, has('"max_tokens": 99'))
    answered = [asking(calling("abcXYZ018")), asking(text="and now?")]
    history = everywhere(*answered)
    yield demand(7, "a user after a tool", "Mistral", history, has("and now?", '"ok"'))
    mixed = {
        MESSAGES: {
            "max_tokens": 9,
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "tool_use",
                            "id": "abcXYZ018",
                            "name": "f",
                            "input": {},
                        }
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "abcXYZ018",
                            "content": "ok",
                        },
                        {"type": "text", "text": "and now?"},
                    ],
                },
            ],
        }
    }
    yield demand(7, "result and text", "Mistral", mixed, has("and now?", "ok"))


def anthropics() -> Iterable[Oddity]:
    """Section 8: what Anthropic's API answers 400 to."""

    def bodies(*messages: Any, **more: Any) -> dict[str, Body]:
        stops = more.pop("stop", None)
        chat: Body = {"messages": [*messages], **more}
        passed: Body = {"messages": [*messages], "max_tokens": 9, **more}
        if stops is not None:
            chat["stop"] = stops
            passed["stop_sequences"] = [stops] if isinstance(stops, str) else stops
        return {CHAT: chat, MESSAGES: passed}

    def texts(*said: str) -> list[Body]:
        return [{"type": "text", "text": each} for each in said]

    cases: tuple[tuple[str, dict[str, Body], Wants], ...] = (
        ("stops", bodies(HI, stop=["\n", "STOP"]), has('["STOP"]')),
        ("a blank stop", bodies(HI, stop=""), lacks("stop_sequences")),
        ("blank stops alone", bodies(HI, stop=[" ", "\t\n"]), lacks("stop_sequences")),
        (
            "a blank part",
            bodies({"role": "user", "content": texts(" ", "hello")}),
            has("hello"),
        ),
        (
            "a blank message",
            bodies(HI, {"role": "assistant", "content": " \n"}, HI),
            lacks(" \\n"),
        ),
        (
            "an inner blank",
            bodies({"role": "user", "content": texts(" a b \n")}),
            has(" a b \\n"),
        ),
        (
            "a prefill",
            bodies(HI, {"role": "assistant", "content": "Of course: \n"}),
            has('"Of course:"'),
        ),
        (
            "a prefill in parts",
            bodies(HI, {"role": "assistant", "content": texts("a ", "b \n")}),
            has('"a "', '"b"'),
        ),
        (
            "thinking without a bound",
            {
                CHAT: {
                    "messages": [HI],
                    "thinking": {"type": "enabled", "budget_tokens": 8000},
                }
            },
            has("8000"),
        ),
        (
            "a bound below the budget",
            bodies(HI, thinking={"type": "enabled", "budget_tokens": 8000}),
            has("8000"),
        ),
        (
            "temperature while it thinks",
            bodies(
                HI,
                temperature=0.5,
                thinking={"type": "enabled", "budget_tokens": 5},
            ),
            lacks('"temperature": 0.5'),
        ),
    )
    for name, made_, wants in cases:
        yield demand(8, name, "Anthropic", made_, wants)
    before = calling("toolu_1")
    before.text = "\n"
    yield demand(8, "a blank before a call", "Anthropic", everywhere(asking(before)))
    blank: dict[str, Body] = {
        CHAT: {"messages": [{"role": "system", "content": " "}, HI]},
        MESSAGES: {"messages": [HI], "system": "\n", "max_tokens": 9},
        RESPONSES: {"input": "hi", "instructions": "\t"},
    }
    yield demand(8, "a blank system", "Anthropic", blank, lacks('"system"'))


def marks() -> Iterable[Oddity]:
    """Section 10: cache_control of chat clients."""
    long = {"type": "text", "text": "long", "cache_control": MARK}
    mark = '"text": "long", "cache_control": {"type": "ephemeral"}'
    for role in ("system", "user", "assistant"):
        parts = [long, {"type": "text", "text": "short"}]
        messages = [HI, {"role": role, "content": parts}, HI]
        messages = messages[1:] if role == "system" else messages
        body = {CHAT: {"messages": messages}}
        yield demand(10, f"a mark of the {role}", "Anthropic", body, has(mark))
        for vendor in ("Mistral", "Groq"):
            yield demand(10, f"a mark of the {role}", vendor, body)
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    marked = {CHAT: {"messages": [HI], "tools": [{**tool, "cache_control": MARK}]}}
    yield demand(10, "a mark of a tool", "Anthropic", marked, has("cache_control"))
    blank = [{**long, "text": " "}, {"type": "text", "text": "short"}]
    gone = {CHAT: {"messages": [{"role": "user", "content": blank}]}}
    yield demand(10, "a mark of a blank", "Anthropic", gone, lacks("cache_control"))
    plain = {CHAT: {"messages": [{"role": "system", "content": "x"}, HI]}}
    yield demand(10, "no mark", "Anthropic", plain, has('"system": "x"'))


def requests() -> Iterable[Oddity]:
    for part in (ids, thoughts, single_vendors, anthropics, marks):
        yield from part()
