"""Anthropic's Messages as we serve them: chunks in, events and whole messages out."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from providers import (
    MESSAGES,
    Choice,
    Chunk,
    Delta,
    FinishReason,
    NativeEvent,
    ProviderError,
    ProviderProtocolError,
    ToolCallDelta,
    Usage,
)
from providers.errors import (
    ProviderBusy,
    ProviderFailed,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from server.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    GatewayError,
    InternalError,
    InvalidAPIKey,
    InvalidRequest,
    MethodNotAllowed,
    ProviderNotAllowed,
    ProviderNotFound,
    ServerStopping,
)
from server.racing.errors import Loss, NobodyWon, StreamInterrupted
from server.wire.messages.answer import RENDERING
from server.wire.messages.count import estimate
from server.wire.messages.errors import error_answer, error_frame
from server.wire.messages.request import parse
from server.wire.usage import without_nulls
from tests.rig import anthropic_events
from tests.rig.anthropic_events import (
    BEGUN,
    CITED,
    ENDED,
    FOUND,
    SEARCH,
    THEIRS,
    block,
    blocks,
)

REQUEST, _ = parse(
    b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}'
)
USAGE = Usage(
    prompt_tokens=30,
    completion_tokens=7,
    total_tokens=37,
    extra={
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
)
STARTED = {"input_tokens": 0, "output_tokens": 0}


def chunk(finish: FinishReason | None = None, index: int = 0, **delta: Any) -> Chunk:
    choice = Choice(index=index, delta=Delta(**delta), finish_reason=finish)
    return Chunk(id="chatcmpl-1", model="real", choices=(choice,))


def say(text: str) -> Chunk:
    return chunk(content=text)


def think(text: str) -> Chunk:
    return chunk(reasoning_content=text)


def call(index: int = 0, **piece: Any) -> Chunk:
    """Return a chunk with a piece of one tool call."""
    return chunk(tool_calls=(ToolCallDelta(index=index, **piece),))


ROLE = chunk(content="")
STOP = chunk("stop")
CALLED = chunk("tool_calls")
USED = Chunk(usage=USAGE)
OPENED = call(id="call_1", name="f", arguments="")


def rendered(chunks: Iterable[Chunk], *, together: bool = False) -> bytes:
    stream = RENDERING.stream(REQUEST, "A", "asked")
    batches = [list(chunks)] if together else [[chunk] for chunk in chunks]
    return b"".join([*(stream.render(batch) for batch in batches), stream.end()])


def streamed(chunks: Iterable[Chunk]) -> list[dict[str, Any]]:
    """Return the events of a stream, checked, rendered chunk by chunk."""
    return anthropic_events.events(rendered(chunks))


def whole(chunks: Iterable[Chunk]) -> dict[str, Any]:
    answer = RENDERING.answer(REQUEST, "A", "asked")
    answer.add(chunks)
    return anthropic_events.message(answer.body())


def content(*chunks: Chunk) -> list[dict[str, Any]]:
    """Return the blocks of an answer: the same streamed, rendered at once and whole."""
    found = blocks(streamed(chunks))
    assert blocks(anthropic_events.events(rendered(chunks, together=True))) == found
    assert whole(chunks)["content"] == found
    return found


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def thought(said: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": ""}


def used(id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def stop_reason(*chunks: Chunk) -> str:
    """Return the reason that an answer ends for, which is the same in both forms."""
    (delta,) = [e["delta"] for e in streamed(chunks) if e["type"] == "message_delta"]
    assert whole(chunks)["stop_reason"] == delta["stop_reason"]
    return str(delta["stop_reason"])


# Made of chunks


def test_text() -> None:
    """The whole sequence, to the letter."""
    events = streamed([ROLE, say("Good"), say("bye"), STOP, USED])

    message = events[0]["message"]
    assert message.pop("id").startswith("msg_")
    of = {"index": 0}
    assert events == [
        {
            "type": "message_start",
            "message": {
                "type": "message",
                "role": "assistant",
                "model": "real",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": STARTED,
                "provider": "A",
            },
        },
        {"type": "content_block_start", **of, "content_block": text("")},
        {"type": "ping"},
        {
            "type": "content_block_delta",
            **of,
            "delta": {"type": "text_delta", "text": "Good"},
        },
        {
            "type": "content_block_delta",
            **of,
            "delta": {"type": "text_delta", "text": "bye"},
        },
        {"type": "content_block_stop", **of},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 6,
                "output_tokens": 7,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 4,
                "output_tokens_details": {"thinking_tokens": 5},
            },
        },
        {"type": "message_stop"},
    ]


def test_whole_message() -> None:
    """The same as one message."""
    message = whole([ROLE, say("Good"), say("bye"), STOP, USED])

    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "real",
        "content": [text("Goodbye")],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 6,
            "output_tokens": 7,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 5},
        },
        "provider": "A",
    }


def test_what_the_upstream_does_not_say() -> None:
    """An answer has a usage, a guess if nobody tells it, and the model asked for."""
    events = streamed([Chunk(choices=(Choice(delta=Delta(content="Hi")),)), STOP])

    assert events[0]["message"]["model"] == "asked"
    guessed = events[-2]["usage"]
    assert guessed == {"input_tokens": estimate(REQUEST), "output_tokens": 1}
    assert guessed["input_tokens"] > 0
    assert whole([say("Hi"), STOP])["usage"] == guessed
    told_nothing = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    assert whole([say("Hi"), STOP, Chunk(usage=told_nothing)])["usage"] == guessed


@pytest.mark.parametrize(
    "details", [None, {}, [], {"cached_tokens": None}, {"cached_tokens": "many"}]
)
def test_usage_without_details(details: Any) -> None:
    """What vendors put into the details of a usage is not always a number."""
    extra = {"prompt_tokens_details": details, "completion_tokens_details": details}
    usage = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5, extra=extra)

    events = streamed([say("Hi"), STOP, Chunk(usage=usage)])

    assert events[-2]["usage"] == {"input_tokens": 3, "output_tokens": 2}


def test_reasoning_becomes_thoughts() -> None:
    """Each change of kind ends a block and begins the next."""
    chunks = [
        think("Let me"),
        think(" see."),
        say("Four."),
        think("Sure?"),
        say("Yes."),
    ]

    assert content(*chunks, STOP) == [
        thought("Let me see."),
        text("Four."),
        thought("Sure?"),
        text("Yes."),
    ]


def test_tool_call() -> None:
    """A call's pieces are its input's; the text before it is a block of its own."""
    pieces = [call(arguments='{"a":'), call(arguments="1}")]

    assert content(say("See:"), OPENED, *pieces, CALLED) == [
        text("See:"),
        used("call_1", "f", a=1),
    ]
    deltas = [
        e["delta"]
        for e in streamed([OPENED, *pieces, CALLED])
        if "index" in e and "delta" in e
    ]
    assert deltas == [
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "input_json_delta", "partial_json": "1}"},
    ]


def test_call_of_nothing() -> None:
    """A call without arguments is one with an empty input."""
    assert content(OPENED, CALLED) == [used("call_1", "f")]


def test_custom_call() -> None:
    """
    A call of a custom tool, which no client of this API declares, has its text as an
    input, however it is cut, and what follows it comes after.
    """
    pieces = [
        call(id="call_1", type="custom", name="patch", extra={"custom": {}}),
        call(extra={"custom": {"input": 'a "b\\'}}),
        call(extra={"custom": {"input": "\n😀"}}),
    ]

    assert content(*pieces, say("So."), CALLED) == [
        used("call_1", "patch", input='a "b\\\n😀'),
        text("So."),
    ]


def test_call_without_an_id() -> None:
    """Results need an id to name, so a call that has none is given one."""
    events = streamed([call(name="f", arguments="{}"), CALLED])

    assert events[1]["content_block"]["id"].startswith("toolu_")


def test_name_after_the_arguments() -> None:
    """A block's start has the name, so it waits for that."""
    chunks = [
        call(id="call_1", arguments='{"a"'),
        call(name="f"),
        call(arguments=":1}"),
    ]

    assert content(*chunks, CALLED) == [used("call_1", "f", a=1)]


def test_id_and_name_in_every_piece() -> None:
    """Some upstreams repeat both; they are told once."""
    pieces = [call(id="call_1", name="f", arguments=a) for a in ('{"a":', "1}")]

    assert content(*pieces, CALLED) == [used("call_1", "f", a=1)]


def test_parallel_calls() -> None:
    """The second call's pieces are sent as they come once the first is complete."""
    second = call(1, id="call_2", name="g", arguments='{"b":')
    chunks = [OPENED, call(arguments='{"a":1}'), second, call(1, arguments="2}")]

    assert content(*chunks, CALLED) == [
        used("call_1", "f", a=1),
        used("call_2", "g", b=2),
    ]
    stream = RENDERING.stream(REQUEST, "A", "asked")
    stream.render(chunks[:2])
    assert b'"partial_json":"{\\"b\\":"' in stream.render([second])


def test_interleaved_calls() -> None:
    """Pieces of two calls by turns: the second waits until the first is complete."""
    chunks = [
        OPENED,
        call(1, id="call_2", name="g", arguments='{"b":{}'),
        call(arguments='{"a":{}'),
        call(1, arguments="}"),
        say("Both."),
        call(arguments="}"),
    ]

    assert content(*chunks, CALLED) == [
        used("call_1", "f", a={}),
        used("call_2", "g", b={}),
        text("Both."),
    ]


def test_text_after_a_call() -> None:
    """Text after a complete call is a block of its own, at once."""
    stream = RENDERING.stream(REQUEST, "A", "asked")
    stream.render([OPENED, call(arguments="{}")])

    assert b"text_delta" in stream.render([say("Done.")])


def test_refusal() -> None:
    """A refusal is text, and the reason to stop."""
    assert content(chunk(refusal="I"), chunk(refusal=" won't."), STOP) == [
        text("I won't.")
    ]
    assert stop_reason(chunk(refusal="No."), STOP) == "refusal"


def test_pictures() -> None:
    """A picture is shown as Markdown; what is none is not."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}}
    broken: Any = [7, {}, {"image_url": "x"}, {"image_url": {}}]

    assert content(say("See: "), chunk(extra={"images": [image, *broken]}), STOP) == [
        text("See: ![](data:image/png;base64,aWk=)")
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "end_turn"),
    ],
)
def test_stop_reasons(finish: FinishReason, reason: str) -> None:
    """Each reason has another name; who says "tool_calls" without one misleads."""
    assert stop_reason(say("Hi"), chunk(finish)) == reason


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "tool_use"), ("tool_calls", "tool_use"), ("length", "max_tokens")],
)
def test_stop_reasons_with_calls(finish: FinishReason, reason: str) -> None:
    """Not every vendor says that it called a tool: whoever waits for that must see."""
    assert stop_reason(OPENED, chunk(finish)) == reason


def test_nothing_follows_the_end() -> None:
    """What comes after the finish, or for another choice, is no part of the answer."""
    other = chunk(index=1, content="B")

    assert content(say("A"), other, STOP, say("C"), chunk("length")) == [text("A")]


def test_broken_input() -> None:
    """
    Input that is no JSON object can't be shown in a message, unless it is only cut
    short: then that is what the stop reason says.
    """
    for arguments in ("{", "[]", "7"):
        with pytest.raises(ProviderProtocolError, match="not a JSON object"):
            whole([OPENED, call(arguments=arguments), CALLED])

    cut = [OPENED, call(arguments='{"a":'), chunk("length")]
    assert whole(cut)["content"] == [used("call_1", "f")]


def test_endless_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that has to be kept may grow without end; what is sent on may."""
    monkeypatch.setattr("server.wire.bound.MAX_ANSWER", 1000)
    text, piece = say("x" * 100), call(arguments="x" * 100)
    calls = [call(index) for index in range(2000)]

    assert rendered([text] * 100)
    for endless in ([piece] * 100, [OPENED, *[text] * 100], calls):
        with pytest.raises(ProviderProtocolError, match="larger than"):
            rendered(endless)


def test_endless_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer has a bound."""
    monkeypatch.setattr("server.wire.bound.MAX_ANSWER", 1000)

    with pytest.raises(ProviderProtocolError, match="larger than"):
        whole([say("x" * 100)] * 100)


# Passed on


def native(*events: dict[str, Any], **more: Any) -> Chunk:
    """Return a chunk of an upstream that speaks the API; *more* is what it means."""
    made = (
        NativeEvent(MESSAGES, event["type"], json.dumps(event).encode())
        for event in events
    )
    return Chunk(native=tuple(made), **more)


def named(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with the winner's name where we put it, and no null in a usage."""
    message = {**events[0]["message"], "provider": "A"}
    rest = [
        {**each, "usage": without_nulls(each["usage"])} if "usage" in each else each
        for each in events[1:]
    ]
    return [{**events[0], "message": message}, *rest]


def test_passed_events() -> None:
    """Every event is passed on as it is, but for the winner's name and nulls."""
    assert streamed([native(*THEIRS[:5]), *map(native, THEIRS[5:])]) == named(THEIRS)


def test_passed_message() -> None:
    """The whole message is what the events come to, with all that they have."""
    message = whole([native(*THEIRS[:5]), *map(native, THEIRS[5:])])

    assert message == {
        **BEGUN["message"],
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {**SEARCH, "input": {"query": "x"}},
            FOUND,
            {"type": "text", "text": "Found.", "citations": [CITED, CITED]},
            {"type": "redacted_thinking", "data": "eA=="},
        ],
        "stop_reason": "stop_sequence",
        "stop_sequence": "END",
        "usage": {
            **BEGUN["message"]["usage"],
            "output_tokens": 12,
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        },
        "provider": "A",
    }


def test_fields_and_events_of_the_future() -> None:
    """What nobody knows yet is passed on, streamed, and kept, whole."""
    news = {"type": "news", "told": 1.0}
    start = {"type": "marvel", "level": 1}
    grown = {"type": "marvel_delta", "level": 2, "tale": "once", "more": {"a": 1}}
    delta = {**ENDED, "context_management": {"applied_edits": []}}
    events = [
        BEGUN,
        news,
        *block(0, start, grown, grown),
        delta,
        {"type": "message_stop"},
    ]

    assert anthropic_events.named(rendered([native(*events)])) == named(events)

    answer = RENDERING.answer(REQUEST, "A", "asked")
    answer.add([native(*events)])
    message = json.loads(answer.body())
    assert message["content"] == [
        {"type": "marvel", "level": 2, "tale": "onceonce", "more": {"a": 1}}
    ]
    assert message["context_management"] == {"applied_edits": []}


def test_bytes_survive() -> None:
    """JSON is not written anew: numbers stay as they were, and lines stay apart."""
    data = b'{"type": "content_block_delta",\n"index": 0,\n"delta": {"n": 1.0e2}}'
    event = NativeEvent(MESSAGES, "content_block_delta", data)
    start = native(BEGUN)
    stream = RENDERING.stream(REQUEST, "A", "asked")
    stream.render([start])

    assert stream.render([Chunk(native=(event,))]) == (
        b"event: content_block_delta\n"
        b'data: {"type": "content_block_delta",\n'
        b'data: "index": 0,\ndata: "delta": {"n": 1.0e2}}\n\n'
    )


def test_what_is_passed_is_not_said_twice() -> None:
    """A chunk with events says nothing besides, nor does one without, among them."""
    fine = block(0, text(""), {"type": "text_delta", "text": "Fine."})
    said = say("Fine.")
    chunks = [
        native(BEGUN, *fine[:2], choices=said.choices),
        native(fine[2]),
        chunk("stop"),
        native(ENDED, {"type": "message_stop"}),
    ]

    assert blocks(streamed(chunks)) == [text("Fine.")]
    assert whole(chunks)["content"] == [text("Fine.")]


COPIES: dict[str, list[dict[str, Any]]] = {
    "start": [{"type": "message_start", "message": {"id": "msg_1", "usage": None}}],
    "no start": [],
}
ENDS: dict[str, list[dict[str, Any]]] = {
    "no usage": [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}],
    "no delta": [{"type": "message_stop"}],
    "no end": [],
}


@pytest.mark.parametrize("start", COPIES)
@pytest.mark.parametrize("end", ENDS)
def test_what_copies_of_the_api_leave_out(start: str, end: str) -> None:
    """A start, a usage, a reason and an end are made up where they are missing."""
    said = block(0, text("Fi"), {"type": "text_delta", "text": "ne."})
    events = [*COPIES[start], *said, *ENDS[end]]

    shown = streamed(map(native, events))

    assert shown[0]["message"]["usage"] == STARTED
    assert shown[-2]["delta"]["stop_reason"] == "end_turn"
    assert shown[-2]["usage"] == {"output_tokens": 0}
    assert [event["type"] for event in shown].count("message_stop") == 1
    assert whole(map(native, events))["content"] == [text("Fine.")]


def test_refusal_before_anything_is_said() -> None:
    """A message that ends as it begins has no blocks, and its reason."""
    told = {"type": "refusal", "category": "cyber", "explanation": "No."}
    delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": told}
    events = [BEGUN, {**ENDED, "delta": delta}, {"type": "message_stop"}]

    assert streamed([native(*events)]) == named(events)
    assert whole([native(*events)])["stop_details"] == told


def test_events_of_another_format() -> None:
    """What an upstream of a third format says in its own words is translated."""
    event = NativeEvent("other", "spoke", b"{}")
    spoken = Chunk(native=(event,), choices=say("Hi").choices)

    assert content(spoken, STOP) == [text("Hi")]


# Errors


def lost(error: ProviderError) -> NobodyWon:
    return NobodyWon([Loss(id="A", error=error, ms=1.0)])


def broken(error: ProviderError) -> StreamInterrupted:
    return StreamInterrupted(Loss(id="A", error=error, ms=1.0))


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error"),
        (InvalidAPIKey("x"), 401, "authentication_error"),
        (ProviderNotAllowed("x"), 403, "permission_error"),
        (ProviderNotFound("x"), 404, "not_found_error"),
        (MethodNotAllowed("x"), 405, "invalid_request_error"),
        (BodyTooLarge("x"), 413, "request_too_large"),
        (InternalError("x"), 500, "api_error"),
        (ServerStopping("x"), 529, "overloaded_error"),
        (DeadlineExceeded("x"), 504, "timeout_error"),
        (lost(ProviderBusy("x")), 429, "rate_limit_error"),
        (lost(ProviderFailed("x")), 500, "api_error"),
        (lost(ProviderFailed("x", status=529)), 529, "overloaded_error"),
        (lost(ProviderTimeout("x")), 504, "timeout_error"),
        (lost(ProviderRefusedRequest("x", status=422)), 400, "invalid_request_error"),
    ],
)
def test_errors(error: GatewayError, status: int, kind: str) -> None:
    """Each has the API's own status and type, and what our errors have besides."""
    found, body = error_answer(error, "req-1")

    assert found == status
    payload = json.loads(body)
    assert payload["type"] == "error"
    assert payload["request_id"] == "req-1"
    assert payload["error"] == error.payload() | {"type": kind}


def test_status_of_its_own() -> None:
    """A status that the API does not have is one of those it is made of."""
    error = InvalidRequest("x")
    error.status = 415
    failed = InternalError("x")
    failed.status = 507

    assert error_answer(error, "r")[0] == 415
    assert b'"type":"invalid_request_error"' in error_answer(error, "r")[1]
    assert b'"type":"api_error"' in error_answer(failed, "r")[1]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProviderFailed("Overloaded", status=529), "overloaded_error"),
        (ProviderBusy("Too many", status=429), "overloaded_error"),
        (ProviderFailed("Broken", status=500), "api_error"),
        (ProviderProtocolError("Broken"), "api_error"),
    ],
)
def test_error_in_a_stream(error: ProviderError, kind: str) -> None:
    """A frame of its own, with the type by which clients know to come back later."""
    (event,) = anthropic_events.named(error_frame(broken(error)))

    assert event["type"] == "error"
    assert event["error"]["type"] == kind
    assert event["error"]["code"] == "stream_interrupted"
    assert error.message in event["error"]["message"]
