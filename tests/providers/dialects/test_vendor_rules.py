"""What each vendor of OpenAI's API is sent, by the rules of its row."""

import json
from typing import Any

import pytest

from providers import ProviderRefusedRequest, ProviderSettings
from providers.dialects.openai.dialect import OpenAI
from server.config.tables import vendor_settings
from server.wire.chat import parse

HI = {"role": "user", "content": "Hi"}
# An id that every vendor takes.
FITS = "Abc123XYZ"
CALL = {"id": FITS, "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": FITS, "content": "ok"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def row(name: str) -> ProviderSettings:
    return vendor_settings(name)


GENERIC = ProviderSettings(id="X", kind="openai", base_url="https://x.test/v1")


def dialect_and_body(
    settings: ProviderSettings, body: dict[str, Any], model: str = "m"
) -> tuple[OpenAI, Any]:
    request, _ = parse(json.dumps({"model": "m", "messages": [HI], **body}).encode())
    dialect = OpenAI(settings)
    return dialect, json.loads(dialect.encode(request, model).body)


def sent(settings: ProviderSettings, body: dict[str, Any], model: str = "m") -> Any:
    return dialect_and_body(settings, body, model)[1]


def turns(settings: ProviderSettings, *messages: Any, model: str = "m") -> Any:
    return sent(settings, {"messages": list(messages)}, model)["messages"]


@pytest.mark.parametrize(
    ("vendor", "role"),
    [
        ("DeepSeek", "system"),
        ("Mistral", "system"),
        ("OpenAI", "developer"),
        ("AzureOpenAI", "developer"),
        ("Groq", "developer"),
    ],
)
def test_developers(vendor: str, role: str) -> None:
    """Who does not know the role reads the system's, wherever it stands."""
    brief = {"role": "developer", "content": "Be brief."}

    assert [m["role"] for m in turns(row(vendor), brief, HI, brief)] == [
        role,
        "user",
        role,
    ]


EXTRA = {
    "store": False,
    "metadata": {"a": "b"},
    "prompt_cache_key": "k",
    "safety_identifier": "s",
}


@pytest.mark.parametrize(
    ("vendor", "kept"),
    [
        ("Groq", set()),
        ("Mistral", {"metadata", "prompt_cache_key"}),
        ("Cerebras", {"prompt_cache_key"}),
        ("OpenAI", set(EXTRA)),
        ("AzureOpenAI", set(EXTRA)),
    ],
)
def test_fields_that_change_no_answer(vendor: str, kept: set[str]) -> None:
    """They go where they are taken, and elsewhere the request goes without them."""
    assert EXTRA.keys() & sent(row(vendor), EXTRA).keys() == kept


@pytest.mark.parametrize("bound", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("DeepSeek", "max_tokens"),
        ("Mistral", "max_tokens"),
        ("Zai", "max_tokens"),
        ("OpenAI", "max_completion_tokens"),
        ("MiniMax", "max_completion_tokens"),
    ],
)
def test_the_bound_has_the_vendors_name(vendor: str, name: str, bound: str) -> None:
    """Whichever name the client used, the vendor reads its own, and only that."""
    body = sent(row(vendor), {bound: 9})

    assert {n: body[n] for n in body if n.startswith("max_")} == {name: 9}


SAID = {"role": "assistant", "content": "I see."}


@pytest.mark.parametrize(
    ("messages", "made"),
    [
        ([HI, CALLS, RESULT, HI], [HI, CALLS, RESULT, SAID, HI]),
        (
            [CALLS, RESULT, {"role": "system", "content": "x"}],
            [CALLS, RESULT, SAID, {"role": "system", "content": "x"}],
        ),
        ([HI, CALLS, RESULT], [HI, CALLS, RESULT]),
        ([HI, {"role": "assistant", "content": ""}, HI], [HI, SAID, HI]),
        (
            [HI, {"role": "assistant", "content": None, "refusal": "No."}],
            [HI, {"role": "assistant", "content": "No."}],
        ),
    ],
    ids=["user after tool", "system after tool", "nothing", "empty", "refusal"],
)
def test_turns_at_mistral(messages: list[Any], made: list[Any]) -> None:
    """An assistant's message follows a tool's, and none says nothing at all."""
    assert turns(row("Mistral"), *messages) == made


REFUSED_BY = {
    "reasoning_content": ("Groq", "Cerebras", "Mistral"),
    "reasoning_details": ("Groq", "Cerebras", "Mistral", "OpenAI"),
    "thinking_blocks": ("Groq", "Cerebras", "Mistral", "OpenAI", "AzureOpenAI"),
}


@pytest.mark.parametrize(
    ("field", "vendor"),
    [(field, vendor) for field, names in REFUSED_BY.items() for vendor in names],
)
def test_reasoning_stays_from_strict_readers(field: str, vendor: str) -> None:
    """What another vendor wants back is no field of this one's; others are sent it."""
    message = {"role": "assistant", "content": "a", field: "x"}

    assert turns(row(vendor), HI, message)[1] == {"role": "assistant", "content": "a"}
    assert turns(GENERIC, HI, message)[1] == message


BESIDE = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


@pytest.mark.parametrize("vendor", ["Mistral", "Groq", "Cerebras", "OpenAI"])
def test_signatures_of_google(vendor: str) -> None:
    """A call's signature goes to Google, and to who is not known to refuse it."""
    signed = {**CALLS, "tool_calls": [{**CALL, **BESIDE}]}

    assert "extra_content" not in turns(row(vendor), HI, signed)[1]["tool_calls"][0]
    assert turns(GENERIC, HI, signed, RESULT) == [HI, signed, RESULT]


@pytest.mark.parametrize(
    ("model", "made"),
    [
        ("google/gemini-3-pro", "skip_thought_signature_validator"),
        ("gemini-flash-latest", "skip_thought_signature_validator"),
        ("gemini-2.5-pro", None),
        ("gpt-5", None),
    ],
)
def test_calls_without_a_signature(model: str, made: str | None) -> None:
    """Google's word for none goes with the first call to models that want one."""
    two = {**CALLS, "tool_calls": [CALL, {**CALL, "id": "d"}]}

    first, second = turns(GENERIC, HI, two, model=model)[1]["tool_calls"]

    google = first.get("extra_content", {}).get("google", {})
    assert google.get("thought_signature") == made
    assert second == {**CALL, "id": "d"}


def test_a_signature_stays_as_it_came() -> None:
    """Where a call is signed, nothing takes the place of that."""
    signed = {**CALLS, "tool_calls": [{**CALL, **BESIDE}]}

    history = (HI, signed, RESULT)
    assert turns(GENERIC, *history, model="gemini-3-pro") == list(history)


@pytest.mark.parametrize("vendor", ["Mistral", "DeepSeek", "Groq", "Cerebras"])
def test_custom_calls(vendor: str) -> None:
    """Who knows functions alone reads a custom call as one of those."""
    custom = {"name": "p", "input": "x"}
    made = {"id": FITS, "type": "custom", "custom": custom}
    message = {**CALLS, "tool_calls": [made]}

    (call,) = turns(row(vendor), HI, message)[1]["tool_calls"]

    assert call["function"] == {"name": "p", "arguments": '{"input":"x"}'}
    assert turns(row("OpenAI"), HI, message)[1] == message


def test_thoughts_of_a_turn_that_calls() -> None:
    """DeepSeek wants them with each message from the first that has one."""
    thinks = {**CALLS, "reasoning_content": "Hm"}
    final = {"role": "assistant", "content": "a"}
    history = (HI, CALLS, RESULT, thinks, RESULT, CALLS, RESULT, final, HI, final)

    thoughts = [
        message.get("reasoning_content")
        for message in turns(row("DeepSeek"), *history)
        if message["role"] == "assistant"
    ]

    assert thoughts == [None, "Hm", "Hm", "Hm", None]


@pytest.mark.parametrize("tools", [[], None], ids=str)
def test_no_tools(tools: Any) -> None:
    """Where none is declared, nothing is said of them; a forced call is an error."""
    idle = {"tools": tools, "tool_choice": "auto", "parallel_tool_calls": True}
    plain = sent(GENERIC, {})

    assert sent(GENERIC, idle) == plain
    assert sent(GENERIC, {**idle, "tool_choice": "none"}) == plain
    assert sent(GENERIC, {"tool_choice": "required"})["tool_choice"] == "required"
    kept = {"tools": [TOOL], "tool_choice": "none"}
    assert sent(GENERIC, kept).items() >= kept.items()


def test_marks_of_a_cache() -> None:
    """They go to who is not known to refuse them."""
    mark = {"cache_control": {"type": "ephemeral"}}
    text = {"type": "text", "text": "Hi"}
    body = {
        "messages": [{"role": "user", "content": [{**text, **mark}]}],
        "tools": [{**TOOL, **mark}],
    }

    assert sent(GENERIC, body).items() >= body.items()
    strict = sent(row("OpenAI"), body)
    assert strict["messages"] == [{"role": "user", "content": [text]}]
    assert strict["tools"] == [TOOL]


def test_content_as_one_text() -> None:
    """Who takes no parts gets their texts; pictures are refused, and not lost."""
    text = {"type": "text", "text": "a"}
    parts = {"role": "user", "content": [text, {**text, "text": "b"}]}
    cloudflare = row("CloudflareAI")

    assert turns(cloudflare, parts, {"role": "assistant", "content": None}) == [
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": ""},
    ]
    image = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    with pytest.raises(ProviderRefusedRequest, match="image_url"):
        turns(cloudflare, {"role": "user", "content": [text, image]})


def test_fields_that_are_left_out_or_added() -> None:
    """A vendor's own fields are there unless the client says otherwise."""
    assert "temperature" not in sent(row("Moonshot"), {"temperature": 0.3})
    assert sent(row("MiniMax"), {})["reasoning_split"] is True
    assert sent(row("MiniMax"), {"reasoning_split": False})["reasoning_split"] is False
    assert "tool_choice" not in sent(
        row("MiniMax"), {"tools": [TOOL], "tool_choice": "auto"}
    )


@pytest.mark.parametrize(
    ("vendor", "body", "note"),
    [
        (
            "Mistral",
            {"messages": [HI, {"role": "developer", "content": "x"}]},
            "developer as system",
        ),
        (
            "Mistral",
            {"messages": [CALLS, RESULT, HI]},
            "the assistant given a word to say",
        ),
        (
            "Mistral",
            {"messages": [{**CALLS, "tool_calls": [{**CALL, "id": "c"}]}]},
            "call ids rewritten",
        ),
        ("Moonshot", {"temperature": 0.3}, "temperature left out"),
        ("Mistral", {}, ""),
    ],
)
def test_notes(vendor: str, body: dict[str, Any], note: str) -> None:
    """What was changed for a vendor is noted, and nothing where nothing was."""
    dialect, _ = dialect_and_body(row(vendor), body)

    assert (note in dialect.notes) if note else not dialect.notes


def test_deep_arguments_are_the_clients_fault() -> None:
    """What can't be written is a refusal of the request, and no fault of ours."""
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    request, _ = parse(json.dumps({"model": "m", "messages": [HI]}).encode())
    body = {**request.body, "made_up": deep}
    broken = type(request)(model="m", messages=request.messages, body=body)

    with pytest.raises(ProviderRefusedRequest, match="can't be written as JSON"):
        OpenAI(GENERIC).encode(broken, "m")
