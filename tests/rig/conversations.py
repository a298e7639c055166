"""
Conversations that clients may have had with anybody: made by chance, from a seed.

A conversation is written down once, and then as each surface has it: whoever answered,
a client of that surface was shown that vendor's ids, thoughts and texts, and sends them
back.
"""

from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
from attrs import define, field, frozen

from providers import word_id
from server.wire.opaque import sealed

Body = dict[str, Any]
PIXEL = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
PICTURE = f"data:image/png;base64,{PIXEL}"
MARK = {"type": "ephemeral"}
TEXTS = ("Red.", "a b", "eins\nzwei", "{}", "ok")
BLANKS = ("", " ", "\n", "\t\n ")
ARGUMENTS = ("{}", '{"a": 1}', '{"path":"x","n":[1,2]}')
# What models were cut off in, or wrote wrong.
BROKEN = ("", " ", '{"a": "x', '{"a": "\\ud83d"}', "[1]", "null", "*** Begin Patch\n+x")
INPUTS = ("x", "*** Begin Patch\n+x", '{"a": 1}')
FAR = "https://pictures.test/a.png"
NAMES = ("look_up", "weather", "do")


def _openai_id(chance: Random, _: int) -> str:
    return "call_" + "".join(chance.choices("abcXYZ0189", k=24))


# Ids as vendors make them, of the call with this number in its answer.
ID_STYLES: dict[str, Callable[[Random, int], str]] = {
    "openai": _openai_id,
    "anthropic": lambda chance, _: "toolu_" + "".join(chance.choices("abcXYZ01", k=24)),
    "kimi": lambda _, number: f"functions.do:{number}",
    "each turn anew": lambda _, number: f"call_{number}",
    "mistral": lambda chance, _: "".join(chance.choices("abcXYZ0189", k=9)),
    "odd": lambda chance, number: chance.choice(("a.b:", "a_b_", "a b/")) + str(number),
    "long": lambda chance, _: "call_" + "".join(chance.choices("abc", k=80)),
    "unicode": lambda _, number: f"вызов-{number}",
}


@frozen
class MadeCall:
    id: str
    name: str
    arguments: str
    result: str
    custom: bool = False
    signature: str = ""
    # What a client has lost of it, or a vendor made up: "call", "result" or nothing.
    lost: str = ""

    @property
    def object(self) -> Body:
        """Its arguments as those have them whose calls have objects."""
        try:
            parsed = orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


@define
class Step:
    """One answer: what it says, thinks and calls."""

    text: str | None = None
    thought: str = ""
    signature: str = ""
    refusal: str = ""
    calls: list[MadeCall] = field(factory=list)


@define
class Exchange:
    """What the user says, and the answers up to the last."""

    texts: list[str]
    picture: str
    steps: list[Step]
    developer: str = ""
    marked: bool = False


@define
class Conversation:
    system: list[str]
    exchanges: list[Exchange]
    last: Step | None
    options: Body


def conversation(seed: int, *, pictures: bool = True) -> Conversation:
    """Return the conversation of a seed."""
    chance = Random(seed)
    exchanges = [
        _exchange(chance, pictures=pictures) for _ in range(chance.randint(1, 4))
    ]
    if exchanges[-1].picture:
        exchanges[-1].picture = PICTURE
    exchanges[-1].steps = _open_end(chance, exchanges[-1].steps)
    prefill = chance.random() < 0.2 and not exchanges[-1].steps
    begun = chance.choice(("I think \n", "Of course:"))
    return Conversation(
        system=chance.choices((*TEXTS, *BLANKS), k=chance.randint(0, 2)),
        exchanges=exchanges,
        last=Step(text=begun) if prefill else None,
        options=_options(chance),
    )


def _exchange(chance: Random, *, pictures: bool) -> Exchange:
    style = ID_STYLES[chance.choice(list(ID_STYLES))]
    more = chance.choice((0, 0, 1, 2))
    texts = [chance.choice(TEXTS), *chance.choices((*TEXTS, *BLANKS), k=more)]
    chance.shuffle(texts)
    steps = []
    for _ in range(chance.randint(0, 2)):
        steps.append(_step(chance))
        steps[-1].calls = _calls(chance, style)
    final = _step(chance)
    if chance.random() < 0.2:
        final.text, final.refusal = None, "No."
    return Exchange(
        texts=texts,
        picture=chance.choice((PICTURE, PICTURE, FAR))
        if pictures and chance.random() < 0.2
        else "",
        steps=[*steps, final],
        developer=chance.choice(("", "", "", "Be brief.", " ")),
        marked=chance.random() < 0.2,
    )


def _open_end(chance: Random, steps: list[Step]) -> list[Step]:
    """Return the steps of the last exchange: all but the answer that is asked for."""
    return steps[:-1] if chance.random() < 0.7 else []


def _step(chance: Random) -> Step:
    thinks = chance.random() < 0.5
    return Step(
        text=chance.choice((None, *TEXTS, *TEXTS, *BLANKS)),
        thought=chance.choice(("Hm", "so\nit is")) if thinks else "",
        signature="c2ln" if thinks and chance.random() < 0.3 else "",
    )


def _calls(chance: Random, style: Callable[[Random, int], str]) -> list[MadeCall]:
    calls = []
    for number in range(chance.choice((1, 1, 2, 3))):
        custom = chance.random() < 0.1
        broken = chance.random() < 0.15
        texts = INPUTS if custom else BROKEN if broken else ARGUMENTS
        made = MadeCall(
            id=style(chance, number),
            name=chance.choice(NAMES),
            arguments=chance.choice(texts),
            result=chance.choice((*TEXTS, *BLANKS, '{"a":1}')),
            custom=custom,
            signature=chance.choice(("", "", "Z29vZ2xl")),
            lost=chance.choice(("call", "result")) if chance.random() < 0.1 else "",
        )
        calls.append(made)
    return calls


def _options(chance: Random) -> Body:
    every: Body = {
        "max_tokens": 50,
        "max_completion_tokens": 60,
        "stop": chance.choice(("\n", "", ["\n", "END"], ["x"])),
        "temperature": 0.5,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "store": False,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "user": "u",
        "thinking": {"type": "enabled", "budget_tokens": 8000},
    }
    names = chance.sample(list(every), k=chance.randint(0, 5))
    return {name: every[name] for name in names}


# As a client of chat completions sends it.


def chat(made: Conversation) -> Body:
    messages: list[Body] = [
        {"role": "developer" if i else "system", "content": text}
        for i, text in enumerate(made.system)
    ]
    for exchange in made.exchanges:
        messages.append({"role": "user", "content": _chat_content(exchange)})
        if exchange.developer:
            messages.append({"role": "developer", "content": exchange.developer})
        for step in exchange.steps:
            messages += _chat_step(step)
    if made.last is not None:
        messages.append({"role": "assistant", "content": made.last.text})
    return {"model": "m", "messages": messages, **made.options}


def _chat_content(exchange: Exchange) -> str | list[Body]:
    if len(exchange.texts) == 1 and not exchange.picture:
        return exchange.texts[0]
    parts: list[Body] = [{"type": "text", "text": text} for text in exchange.texts]
    if exchange.marked:
        parts[-1]["cache_control"] = MARK
    if exchange.picture:
        parts.append({"type": "image_url", "image_url": {"url": exchange.picture}})
    return parts


def _chat_step(step: Step) -> list[Body]:
    message: Body = {"role": "assistant", "content": step.text, "refusal": None}
    if step.refusal:
        message["refusal"] = step.refusal
    if step.thought:
        message["reasoning_content"] = step.thought
        message["reasoning_details"] = [{"type": "reasoning.text", "index": 0}]
    if step.signature:
        block = {"type": "thinking", "thinking": step.thought}
        message["thinking_blocks"] = [{**block, "signature": step.signature}]
    if called := [call for call in step.calls if call.lost != "call"]:
        message["tool_calls"] = [_chat_call(call) for call in called]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": call.result}
        for call in step.calls
        if call.lost != "result"
    ]
    return [message, *results]


def _chat_call(call: MadeCall) -> Body:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments}
    made: Body = {"id": call.id, "type": "function", "function": function}
    if call.signature:
        google = {"thought_signature": call.signature}
        made["extra_content"] = {"google": google}
    return made


# As a client of Anthropic's Messages sends it.


def messages(made: Conversation) -> Body:
    turns: list[Body] = []
    for exchange in made.exchanges:
        content = _blocks(exchange)
        if turns and turns[-1]["role"] == "user":
            turns[-1]["content"] += content  # results, and then what the user says
        else:
            turns.append({"role": "user", "content": content})
        for step in exchange.steps:
            turns += _message_step(step)
    if made.last is not None:
        block = {"type": "text", "text": made.last.text}
        turns.append({"role": "assistant", "content": [block]})
    options = _message_options(made.options)
    if made.system:
        options["system"] = [{"type": "text", "text": text} for text in made.system]
    return {"model": "m", "max_tokens": 50, "messages": turns, **options}


def _blocks(exchange: Exchange) -> list[Body]:
    content: list[Body] = [{"type": "text", "text": t} for t in exchange.texts]
    if exchange.marked:
        content[-1]["cache_control"] = MARK
    if exchange.picture:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        if exchange.picture == FAR:
            source = {"type": "url", "url": FAR}
        content.append({"type": "image", "source": source})
    return content


def _message_options(options: Body) -> Body:
    names = ("tools", "temperature", "thinking")
    body = {name: options[name] for name in names if name in options}
    if "thinking" in body:
        body |= {"temperature": 1, "max_tokens": 9000}
    if stops := options.get("stop"):
        body["stop_sequences"] = [stops] if isinstance(stops, str) else stops
    return body


def _message_step(step: Step) -> list[Body]:
    blocks: list[Body] = []
    if step.thought:
        signature = step.signature
        thought = {"type": "thinking", "thinking": step.thought}
        blocks.append({**thought, "signature": signature})
    if step.text or step.refusal:
        blocks.append({"type": "text", "text": step.text or step.refusal})
    blocks += [
        {
            "type": "tool_use",
            "id": word_id(call.id),
            "name": call.name,
            "input": call.object,
        }
        for call in step.calls
        if call.lost != "call"
    ]
    results: list[Body] = [
        {
            "type": "tool_result",
            "tool_use_id": word_id(call.id),
            "content": [{"type": "text", "text": call.result}],
        }
        for call in step.calls
        if call.lost != "result"
    ]
    said = [{"role": "assistant", "content": blocks}] if blocks else []
    return [*said, {"role": "user", "content": results}] if results else said


# As a client of the Responses API sends it.


def responses(made: Conversation) -> Body:
    items: list[Body] = []
    for exchange in made.exchanges:
        items.append(_item("user", _input_parts(exchange)))
        if exchange.developer:
            text = {"type": "input_text", "text": exchange.developer}
            items.append(_item("developer", [text]))
        for step in exchange.steps:
            items += _response_step(step)
    body: Body = {"model": "m", "input": items, "store": False}
    body |= {"client_metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"]}
    names = ("temperature", "tools", "parallel_tool_calls", "prompt_cache_key")
    body |= {name: made.options[name] for name in names if name in made.options}
    if made.system:
        body["instructions"] = made.system[0]
    if "max_tokens" in made.options:
        body["max_output_tokens"] = made.options["max_tokens"]
    return body


def _item(role: str, content: list[Body]) -> Body:
    return {"type": "message", "role": role, "content": content}


def _input_parts(exchange: Exchange) -> list[Body]:
    parts: list[Body] = [{"type": "input_text", "text": t} for t in exchange.texts]
    if exchange.picture:
        parts.append({"type": "input_image", "image_url": exchange.picture})
    return parts


def _response_step(step: Step) -> list[Body]:
    items: list[Body] = []
    if step.thought:
        items.append(_thought(step))
    if step.text:
        items.append(_item("assistant", [{"type": "output_text", "text": step.text}]))
    if step.refusal:
        items.append(_item("assistant", [{"type": "refusal", "refusal": step.refusal}]))
    items += [_response_call(call) for call in step.calls if call.lost != "call"]
    return items + [
        {
            "type": "custom_tool_call_output"
            if call.custom
            else "function_call_output",
            "call_id": call.id,
            "output": call.result,
        }
        for call in step.calls
        if call.lost != "result"
    ]


def _response_call(call: MadeCall) -> Body:
    if call.custom:
        made = {"type": "custom_tool_call", "input": call.arguments}
    else:
        made = {"type": "function_call", "arguments": call.arguments}
    return {**made, "call_id": call.id, "name": call.name}


def _thought(step: Step) -> Body:
    summary = [{"type": "summary_text", "text": step.thought}]
    item: Body = {"type": "reasoning", "summary": summary}
    signed = {"type": "thinking", "thinking": step.thought, "signature": step.signature}
    details = {"type": "reasoning.text", "text": step.thought, "index": 0}
    beside = {
        call.id: {"google": {"thought_signature": call.signature}}
        for call in step.calls
        if call.signature
    }
    item["encrypted_content"] = sealed([signed if step.signature else details], beside)
    return item


SURFACES: dict[str, Callable[[Conversation], Body]] = {
    "chat": chat,
    "messages": messages,
    "responses": responses,
}
