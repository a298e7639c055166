"""Anthropic's Messages API: what is asked, and what is made of the answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from providers import (
    ChatRequest,
    Chunk,
    FinishReason,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
    ToolCallDelta,
    Usage,
)
from providers.dialects import UNREADABLE, Call, read_error
from providers.dialects.anthropic.dialect import Anthropic
from providers.dialects.anthropic.reading import STATUS
from providers.dialects.anthropic.request import DEFAULT_MAX_TOKENS
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.errors import ProviderDenied, ProviderFailed, error_class
from server.wire.chat import parse
from tests.rig import samples
from tests.rig.samples import ALL_AT_ONCE, WIRE, counted, delivered, events

SAMPLES = WIRE / "anthropic"
SETTINGS = ProviderSettings(
    id="Test",
    kind="anthropic",
    base_url="https://api.anthropic.com/v1",
    api_key="sk-test-1234",
)

COUNTED = Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9)


def chunk(
    content: str | None = None, finish: FinishReason | None = None, **delta: Any
) -> Chunk:
    whole = {"id": "msg_1", "model": "claude-x", "usage": COUNTED if finish else None}
    return samples.chunk(content, finish=finish, whole=whole, **delta)


def called(index: int, id: str, name: str) -> Chunk:
    call = ToolCallDelta(index=index, id=id, type="function", name=name)
    return chunk(tool_calls=(call,))


def argued(index: int, arguments: str) -> Chunk:
    return chunk(tool_calls=(ToolCallDelta(index=index, arguments=arguments),))


def thought(index: int, text: str, signature: str) -> Chunk:
    signed = {"type": "thinking", "thinking": text, "signature": signature}
    return chunk(extra={"thinking_blocks": [{"index": index, **signed}]})


HI = chunk("Hi")
STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")
ADD = called(0, "toolu_1", "add")
LLAMA: dict[str, Any] = {"id": "chatcmpl-1", "model": "smollm2"}
# What each sample of an answer in good order says.
ANSWERS: dict[str, list[Chunk]] = {
    "text.sse": [chunk("Grüß"), chunk(" dich 👋"), STOP],
    "no_such_block.sse": [HI, evolve(STOP, usage=counted(5, 1))],
    "text_in_start.sse": [HI, chunk(" you"), STOP],
    "llamacpp.sse": [
        evolve(HI, **LLAMA),
        evolve(
            chunk(finish="length"),
            **LLAMA,
            usage=counted(32, 1, prompt_tokens_details={"cached_tokens": 31}),
        ),
    ],
    "tool.sse": [
        chunk("I look."),
        ADD,
        argued(0, '{"a":'),
        argued(0, " 1}"),
        CALLED,
    ],
    "tools_parallel.sse": [
        ADD,
        argued(0, '{"a":1}'),
        called(1, "toolu_2", "now"),
        argued(1, "{}"),
        called(2, "toolu_3", "sub"),
        argued(2, '{"b":'),
        argued(2, "2}"),
        CALLED,
    ],
    "tool_input_in_start.sse": [ADD, argued(0, '{"a":1}'), CALLED],
    "thinking.sse": [
        chunk(reasoning_content="Let me"),
        chunk(reasoning_content=" see."),
        thought(0, "Let me see.", "c2lnbmF0dXJl"),
        chunk("Four."),
        evolve(
            STOP,
            usage=counted(5, 9, completion_tokens_details={"reasoning_tokens": 6}),
        ),
    ],
    "thinking_between.sse": [
        chunk(reasoning_content="One."),
        thought(0, "One.", "c2ln"),
        ADD,
        argued(0, "{}"),
        chunk(reasoning_content="Two."),
        thought(1, "Two.", "Z25h"),
        called(1, "toolu_2", "sub"),
        argued(1, "{}"),
        CALLED,
    ],
    "thinking_unsigned.sse": [
        chunk(reasoning_content="Hm"),
        chunk(reasoning_content="."),
        HI,
        STOP,
    ],
    "thinking_hidden.sse": [
        thought(0, "", "c2ln"),
        chunk(
            extra={
                "thinking_blocks": [
                    {"index": 1, "type": "redacted_thinking", "data": "ZGF0YQ=="}
                ]
            }
        ),
        HI,
        STOP,
    ],
    "refusal.sse": [
        chunk(refusal="I can't help with that."),
        chunk(finish="content_filter"),
    ],
    "refusal_unexplained.sse": [
        HI,
        chunk(refusal="The model refused."),
        chunk(finish="content_filter"),
    ],
    "usage.sse": [
        HI,
        evolve(
            STOP,
            usage=counted(
                117,
                3,
                prompt_tokens_details={"cached_tokens": 100, "cache_write_tokens": 10},
            ),
        ),
    ],
    "usage_missing.sse": [HI, evolve(STOP, usage=None)],
    "unknown.sse": [HI, STOP],
    "names_missing.sse": [HI, STOP],
    "message_stop_missing.sse": [HI, STOP],
    "message_stop_cut.sse": [HI, STOP],
    "stop_reason_missing.sse": [HI, evolve(STOP, usage=counted(5, 1))],
    "after_stop.sse": [HI, STOP],
    "message.json": [
        chunk(reasoning_content="Hm"),
        thought(0, "Hm", "c2ln"),
        chunk("Grüß"),
        ADD,
        argued(0, '{"a":1}'),
        CALLED,
    ],
}
Failure = tuple[type[Exception] | tuple[type[Exception], ...], str | None]
# What each sample of a failure raises, and a part of what that says.
FAILURES: dict[str, Failure] = {
    "error_first.sse": (ProviderFailed, "Overloaded"),
    "error_later.sse": (ProviderBusy, "Too many tokens a minute"),
    "error_untyped.sse": (ProviderRefusedRequest, "The prompt is too long"),
    "error_unknown.sse": (ProviderFailed, "Something new"),
    "error_empty.sse": (ProviderFailed, "names no reason"),
    "error.json": (ProviderDenied, "invalid x-api-key"),
    "truncated.sse": (ProviderProtocolError, "before its stop_reason"),
    "truncated_block.sse": (ProviderProtocolError, "before its stop_reason"),
    "truncated_call.sse": (ProviderProtocolError, "before its stop_reason"),
    "truncated_event.sse": (ProviderProtocolError, "inside an event"),
    "message_cut.json": (ProviderProtocolError, "inside an event"),
    "page.html": (ProviderProtocolError, "a page of HTML"),
    "invalid_json.sse": (UNREADABLE, None),
    "text_not_text.sse": (UNREADABLE, None),
    "arguments_not_text.sse": (UNREADABLE, None),
}


def read(body: bytes, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    return delivered(Anthropic(SETTINGS), body, size)


def ended(reason: str, **more: Any) -> bytes:
    return events(
        {"type": "message_delta", "delta": {"stop_reason": reason, **more}},
        {"type": "message_stop"},
    )


def test_every_sample_is_used() -> None:
    """No sample lies about that no test reads."""
    assert {path.name for path in SAMPLES.iterdir()} == {*ANSWERS, *FAILURES}


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str, size: int) -> None:
    """An answer's chunks are what it says, byte by byte or all at once."""
    body = (SAMPLES / name).read_bytes()

    assert list(read(body, size)) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(("name", "failure"), FAILURES.items(), ids=FAILURES)
def test_failures(name: str, failure: Failure, size: int) -> None:
    """A failure is told as what it is, byte by byte or all at once."""
    error, says = failure
    with pytest.raises(error, match=says):
        list(read((SAMPLES / name).read_bytes(), size))


@pytest.mark.parametrize("name", ["text.sse", "tool.sse", "thinking.sse"])
def test_cut_anywhere(name: str) -> None:
    """Wherever a body ends before its stop_reason is there, the answer is cut."""
    body = (SAMPLES / name).read_bytes()
    whole = body.index(b"event: message_stop") - 2
    for end in range(whole):
        with pytest.raises(ProviderProtocolError):
            list(read(body[:end]))

    assert list(read(body[:whole])) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\n\r\n \n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("name", ["text.sse", "message.json"])
def test_head(name: str, head: bytes, size: int) -> None:
    """A byte order mark and blank lines before an answer are no part of it."""
    assert list(read(head + (SAMPLES / name).read_bytes(), size)) == ANSWERS[name]


@pytest.mark.parametrize("head", [b"{", b"\n"])
def test_bound(head: bytes) -> None:
    """A body without an event is not collected without end."""
    dialect = Anthropic(SETTINGS)
    dialect.receive(head)

    with pytest.raises(ValueError, match="larger than"):
        dialect.receive(b" " * MAX_EVENT_BYTES)


def test_done_and_finished() -> None:
    """An answer is finished with its stop_reason, and done with message_stop."""
    dialect = Anthropic(SETTINGS)
    steps = []
    for event in (SAMPLES / "text.sse").read_bytes().split(b"\n\n"):
        list(dialect.receive(event + b"\n\n"))
        steps.append((dialect.finished, dialect.done))

    assert set(steps[:-3]) == {(False, False)}
    assert steps[-3:] == [(True, False), (True, True), (True, True)]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "pause_turn": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
        "made_up": "stop",
    }.items(),
)
def test_stop_reasons(theirs: str, ours: str) -> None:
    """Each end of a message is one of OpenAI's, also one that is not known yet."""
    *_, found = read(ended(theirs))

    assert found.choices[0].finish_reason == ours


def first_token(name: str) -> bytes:
    """Return the line of a sample with which its first token comes."""
    dialect = Anthropic(SETTINGS)
    for line in (SAMPLES / name).read_bytes().splitlines(keepends=True):
        if any(chunk.has_token for chunk in dialect.receive(line + b"\n")):
            return line
    raise AssertionError("no token")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("text.sse", b"text_delta"),
        ("thinking.sse", b"thinking_delta"),
        ("tools_parallel.sse", b'"content_block":{"type":"tool_use"'),
        ("thinking_hidden.sse", b"text_delta"),
        ("refusal.sse", b"message_delta"),
    ],
)
def test_first_token(name: str, event: bytes) -> None:
    """A race is won by text, thoughts and calls, not by starts, pings, signatures."""
    assert event in first_token(name)


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_errors_in_a_stream(kind: str, status: int) -> None:
    """An error inside a stream is the one that it would be before it."""
    body = {"type": "error", "error": {"type": kind, "message": "Sorry"}}
    before = read_error(status, json.dumps(body).encode())

    with pytest.raises(ProviderError, match="Sorry") as caught:
        list(read(events(body)))

    assert type(caught.value) is type(before) is error_class(status)
    assert (caught.value.status, caught.value.upstream_code) == (status, kind)


def encoded(
    model: str = "claude-sonnet-4-6", settings: ProviderSettings = SETTINGS, **body: Any
) -> Any:
    """Return the body that a client's request becomes."""
    return json.loads(call(model, settings, **body).body)


def call(model: str, settings: ProviderSettings = SETTINGS, **body: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    request, _ = parse(json.dumps(body).encode())
    assert isinstance(request, ChatRequest)
    return Anthropic(settings).encode(request, model)


def test_call() -> None:
    """A call has all that the API requires, and nothing that was not asked for."""
    made = call("claude-sonnet-4-6")

    assert made.path == "messages"
    assert made.headers == {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-test-1234",
    }
    assert json.loads(made.body) == {
        "model": "claude-sonnet-4-6",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


def test_keys() -> None:
    """Others than Anthropic get the key in both headers; no key, no header."""
    other = evolve(SETTINGS, base_url="http://127.0.0.1:8080/v1")

    headers = call("m", other).headers
    assert headers["x-api-key"] == "sk-test-1234"
    assert headers["Authorization"] == "Bearer sk-test-1234"
    headers = call("m", evolve(other, api_key=None)).headers
    assert not {"x-api-key", "Authorization"} & {*headers}


def text(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": each} for each in texts]


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def tool_call(id: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function}


def tool_use(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def tool_result(id: str, *texts: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": text(*texts)}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def inline_image(media_type: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": PIXEL}
    return {"type": "image", "source": source}


PIXEL = "iVBORw0KGgo="
SIGNED = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
UNSHOWN = {"type": "thinking", "thinking": "", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
# Messages of OpenAI's, and the turns that they become.
CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "texts": (
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": text("a", "", "b")},
        ],
        [user(*text("Hi")), assistant(*text("Hello")), user(*text("a", "b"))],
    ),
    "one's messages are one turn": (
        [
            {"role": "user", "content": "a"},
            {"role": "user", "name": "Bob", "content": "b"},
            {"role": "system", "content": "From now on in French."},
        ],
        [user(*text("a", "b", "From now on in French."))],
    ),
    "system alone": (
        [{"role": "system", "content": "Say hello."}],
        [user(*text("Say hello."))],
    ),
    "nothing said": (
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": None},
            {"role": "user", "content": "b"},
        ],
        [user(*text("a", "b"))],
    ),
    "images": (
        [
            {
                "role": "user",
                "content": [
                    *text("See"),
                    image(f"data:image/png;base64,{PIXEL}"),
                    image(f"data:image/jpg;base64,{PIXEL}"),
                    image("https://example.org/a.jpg"),
                ],
            }
        ],
        [
            user(
                *text("See"),
                inline_image("image/png"),
                inline_image("image/png"),  # what the bytes say
                {
                    "type": "image",
                    "source": {"type": "url", "url": "https://example.org/a.jpg"},
                },
            )
        ],
    ),
    "calls and results": (
        [
            {"role": "user", "content": "Add."},
            {
                "role": "assistant",
                "content": "I do.",
                "tool_calls": [
                    tool_call("call_1", "add", '{"a": [1]}'),
                    tool_call("call_2", "now", ""),
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "3"},
            {"role": "tool", "tool_call_id": "call_2", "content": text("noon", "12")},
            {"role": "user", "content": "And?"},
        ],
        [
            user(*text("Add.")),
            assistant(
                *text("I do."),
                tool_use("call_1", "add", a=[1]),
                tool_use("call_2", "now"),
            ),
            user(
                tool_result("call_1", "3"),
                tool_result("call_2", "noon", "12"),
                *text("And?"),
            ),
        ],
    ),
    "results go first": (
        [
            {
                "role": "assistant",
                "tool_calls": [tool_call("call_1", "add", "{}")],
            },
            {"role": "developer", "content": "Be quick."},
            {"role": "tool", "tool_call_id": "call_1", "content": ""},
        ],
        [
            assistant(tool_use("call_1", "add")),
            user(tool_result("call_1"), *text("Be quick.")),
        ],
    ),
    "refusals": (
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": None, "refusal": "Never."},
            {"role": "user", "content": "c"},
        ],
        [
            user(*text("a")),
            assistant(*text("No.")),
            user(*text("b")),
            assistant(*text("Never.")),
            user(*text("c")),
        ],
    ),
    "thoughts": (
        [
            {"role": "system", "content": "Think."},
            {"role": "user", "content": "a", "thinking_blocks": [SIGNED]},
            {
                "role": "assistant",
                "content": "A",
                "reasoning_content": "Hm",
                "thinking_blocks": [
                    {"index": 0, **SIGNED},
                    {"index": 1, **UNSHOWN},
                    {"index": 2, **REDACTED},
                ],
            },
            {"role": "user", "content": "b"},
        ],
        [
            user(*text("a")),
            assistant(SIGNED, UNSHOWN, REDACTED, *text("A")),
            user(*text("b")),
        ],
    ),
    "thoughts that can't be sent": (
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "A", "reasoning_content": "Hm"},
            {"role": "assistant", "content": "A", "thinking_blocks": 5},
            {
                "role": "assistant",
                "content": "A",
                "thinking_blocks": [
                    "Hm",
                    {**SIGNED, "signature": ""},
                    {**SIGNED, "signature": None},
                    {"type": "redacted_thinking"},
                    {"type": "made_up", "thinking": "Hm"},
                ],
            },
            {"role": "assistant", "content": None, "thinking_blocks": [SIGNED]},
            {"role": "user", "content": "b"},
        ],
        [user(*text("a")), assistant(*text("A", "A", "A")), user(*text("b"))],
    ),
}


@pytest.mark.parametrize(
    ("messages", "turns"), CONVERSATIONS.values(), ids=CONVERSATIONS
)
def test_conversations(
    messages: list[dict[str, Any]], turns: list[dict[str, Any]]
) -> None:
    """Messages become turns, the user's and the assistant's, as the API wants them."""
    assert encoded(messages=messages)["messages"] == turns


TOOL = {"type": "function", "function": {"name": "add"}}
MADE_TOOL = {"name": "add", "input_schema": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
HELLO = {"role": "user", "content": "Hi"}
# Fields of OpenAI's, and what of the body they become.
FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
    ({"stop": "\n#"}, {"stop_sequences": ["\n#"]}),
    ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
    ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"temperature": 2}, {"temperature": 1.0}),
    ({"temperature": 0, "top_p": 0.5}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
    ({"reasoning_effort": "high"}, {"output_config": {"effort": "high"}}),
    ({"reasoning_effort": "max"}, {"output_config": {"effort": "max"}}),
    ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    ({"thinking": "yes"}, {}),
    (
        {"tools": [TOOL]},
        {"tools": [MADE_TOOL], "tool_choice": {"type": "auto"}},
    ),
    (
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": True},
        {"tools": [MADE_TOOL], "tool_choice": {"type": "any"}},
    ),
    (
        {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
        {"tools": [MADE_TOOL], "tool_choice": {"type": "none"}},
    ),
    (
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "add",
                        "description": "Adds.",
                        "parameters": SCHEMA,
                        "strict": True,
                    },
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
            "parallel_tool_calls": False,
        },
        {
            "tools": [
                {
                    "name": "add",
                    "description": "Adds.",
                    "input_schema": SCHEMA,
                    "strict": True,
                }
            ],
            "tool_choice": {
                "type": "tool",
                "name": "add",
                "disable_parallel_tool_use": True,
            },
        },
    ),
    ({"tool_choice": "auto"}, {}),
    ({"response_format": {"type": "text"}}, {}),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
            },
            "reasoning_effort": "low",
        },
        {
            "output_config": {
                "effort": "low",
                "format": {"type": "json_schema", "schema": SCHEMA},
            }
        },
    ),
    (
        {"response_format": {"type": "json_object"}},
        {"system": "Answer with one JSON object and with nothing else."},
    ),
    (
        {
            "response_format": {"type": "json_object"},
            "messages": [{"role": "developer", "content": "Be brief."}, HELLO],
        },
        {
            "system": "Be brief.\n\nAnswer with one JSON object and with nothing else.",
        },
    ),
    (
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": text("Be", "kind.")},
                HELLO,
            ]
        },
        {"system": "Be brief.\n\nBe\nkind."},
    ),
    # Hints, and what asks for nothing.
    (
        {
            "n": 1,
            "logprobs": False,
            "frequency_penalty": 0,
            "presence_penalty": 0.0,
            "logit_bias": {},
            "seed": 1,
            "metadata": {"a": "b"},
            "store": True,
            "service_tier": "auto",
            "stream_options": {"include_usage": True},
            "made_up": 1,
        },
        {},
    ),
]


@pytest.mark.parametrize(("body", "made"), FIELDS, ids=map(str, range(len(FIELDS))))
def test_fields(body: dict[str, Any], made: dict[str, Any]) -> None:
    """A field that the API has a word for is said in it; nothing is added."""
    assert encoded(**body) == {**encoded(), **made}


@pytest.mark.parametrize(
    ("model", "takes"),
    {
        "claude-3-5-sonnet-20241022": {"temperature"},
        "claude-opus-4-20250514": {"temperature"},
        "claude-opus-4-1-20250805": {"temperature"},
        "claude-sonnet-4-5-20250929": {"temperature"},
        "claude-haiku-4-5": {"temperature"},
        "claude-opus-4-5": {"temperature", "output_config"},
        "anthropic/claude-sonnet-4.6": {"temperature", "output_config"},
        "claude-opus-4-7": {"output_config"},
        "claude-opus-4-8-20260301": {"output_config"},
        "anthropic/claude-opus-4.8": {"output_config"},
        "claude-opus-5": {"output_config"},
        "claude-sonnet-5-5": {"output_config"},
        "claude-mythos-5-2": {"output_config"},
        "smollm2": {"temperature", "output_config"},
    }.items(),
)
def test_models_differ(model: str, takes: set[str]) -> None:
    """A model is not sent what it would refuse the request for."""
    body = encoded(model, temperature=0.5, top_p=0.5, reasoning_effort="low")

    assert {*body} - {*encoded(model)} == takes


def content(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


# Requests that the API can't say, and a part of why.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "'n'"),
    ({"logprobs": True}, "'logprobs'"),
    ({"logit_bias": {"50256": -100}}, "'logit_bias'"),
    ({"frequency_penalty": 0.5}, "'frequency_penalty'"),
    ({"presence_penalty": 0.5}, "'presence_penalty'"),
    ({"modalities": ["text", "audio"]}, "'modalities'"),
    ({"audio": {"voice": "alloy", "format": "wav"}}, "'audio'"),
    ({"functions": [{"name": "f"}]}, "'functions'"),
    ({"web_search_options": {"a": 1}}, "'web_search_options'"),
    ({"reasoning_effort": "huge"}, "no reasoning_effort 'huge'"),
    ({"tool_choice": "required"}, "there are no tools"),
    ({"tools": [TOOL], "tool_choice": "sometimes"}, "no tool_choice 'sometimes'"),
    ({"tool_choice": {"type": "function", "function": "f"}}, "must name a function"),
    ({"tools": [{"type": "web_search"}]}, "tools of the type"),
    ({"response_format": {"type": "grammar"}}, "response_format 'grammar'"),
    (content({"type": "input_audio", "input_audio": {}}), "'input_audio'"),
    (content({"type": "file", "file": {"file_id": "f"}}), "'file'"),
    (content(image("data:image/tiff;base64,AAAA")), "'image/tiff'"),
    (content(image("data:image/png,AAAA")), "neither"),
    (content(image("file:///etc/passwd")), "neither"),
    ({"messages": [{"role": "user", "content": ""}]}, "no message has any content"),
    ({"messages": [{"role": "function", "name": "f", "content": "3"}]}, "'function'"),
    (
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}
            ]
        },
        "tool calls of the type 'custom'",
    ),
]


@pytest.mark.parametrize(("body", "why"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_refused(body: dict[str, Any], why: str) -> None:
    """What the API can't say is refused with the reason, and not left out."""
    with pytest.raises(ProviderRefusedRequest, match=why) as caught:
        encoded(**body)

    assert caught.value.status == 400


def test_models() -> None:
    """The list of models is asked for in one page, and names those that still work."""
    dialect = Anthropic(SETTINGS)
    made = dialect.list_models()
    rows = [
        {"type": "model", "id": "claude-opus-5", "lifecycle": "active"},
        {"type": "model", "id": "claude-opus-4-5", "lifecycle": "deprecated"},
        {"type": "model", "id": "claude-2.1", "lifecycle": "retired"},
        {"id": "smollm2", "object": "model"},
    ]
    body = json.dumps({"data": rows, "has_more": False}).encode()

    assert made.path == "models?limit=1000"
    assert made.headers["x-api-key"] == "sk-test-1234"
    assert made.headers["anthropic-version"] == "2023-06-01"
    assert dialect.read_models(body) == ("claude-opus-5", "claude-opus-4-5", "smollm2")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"models":[]}', b"[1]"])
def test_unreadable_models(body: bytes) -> None:
    """A list of another shape is unreadable, and no empty list."""
    with pytest.raises(UNREADABLE):
        Anthropic(SETTINGS).read_models(body)
