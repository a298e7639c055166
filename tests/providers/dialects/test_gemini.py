"""Google's Gemini API: what is sent, and what is made of the answers."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from attrs import evolve

from providers import (
    ChatRequest,
    Choice,
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
from providers.dialects.framing import MAX_EVENT_BYTES, SSEDecoder
from providers.dialects.gemini.dialect import Gemini
from providers.errors import ProviderDenied, ProviderFailed
from server.wire import chat
from tests.rig.samples import ALL_AT_ONCE, WIRE, chunk, delivered

SAMPLES = WIRE / "gemini"
KEY = "AIza-test-1234"
SETTINGS = ProviderSettings(id="Test", kind="gemini", api_key=KEY)


def signed(signature: str) -> dict[str, Any]:
    return {"extra_content": {"google": {"thought_signature": signature}}}


def call(index: int, name: str, arguments: str = "{}", **more: Any) -> ToolCallDelta:
    return ToolCallDelta(
        index=index, type="function", name=name, arguments=arguments, **more
    )


def used(asked: int, said: int, total: int, **details: Any) -> Usage:
    return Usage(
        prompt_tokens=asked,
        completion_tokens=said,
        total_tokens=total,
        extra={
            f"{name}_tokens_details": {f"{what}_tokens": n}
            for name, (what, n) in details.items()
        },
    )


EMPTY = chunk()
HI = chunk("Hi")
STOP = chunk(finish="stop")
HI_STOP = chunk("Hi", finish="stop")
ONE: dict[str, Any] = {"id": "resp-1", "model": "gemini-2.5-flash"}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
LOGPROBS = {
    "content": [
        {
            "token": "H",
            "logprob": -0.5,
            "bytes": [72],
            "top_logprobs": [
                {"token": "H", "logprob": -0.5, "bytes": [72]},
                {"token": "ß", "logprob": -1.5, "bytes": [195, 159]},
            ],
        },
        {"token": "i", "logprob": 0.0, "bytes": [105], "top_logprobs": []},
    ],
    "refusal": None,
}
# What each sample of an answer in good order says.
ANSWERS: dict[str, list[Chunk]] = {
    "text.sse": [
        evolve(chunk("Grüß"), **ONE, usage=used(9, 1, 10)),
        evolve(chunk(" dich 👋"), **ONE, usage=used(9, 3, 12)),
        evolve(chunk(".", finish="stop"), **ONE, usage=used(9, 4, 13)),
    ],
    "thoughts.sse": [
        evolve(chunk(reasoning_content="Let me"), model="gemini-3-flash"),
        chunk("Fou", reasoning_content=" see."),
        chunk("r."),
        evolve(
            STOP,
            usage=used(7, 49, 56, prompt=("cached", 4), completion=("reasoning", 40)),
        ),
    ],
    "tool_call.sse": [
        chunk(reasoning_content="I look."),
        chunk(
            tool_calls=(
                call(
                    0,
                    "get_weather",
                    '{"city":"Paris","days":[1,2]}',
                    id="fc_1",
                    extra=signed("c2lnMQ=="),
                ),
            )
        ),
        evolve(
            chunk(finish="tool_calls"),
            usage=used(5, 7, 12, completion=("reasoning", 7)),
        ),
    ],
    "tool_calls_parallel.sse": [
        chunk(
            "Both.",
            tool_calls=(
                call(0, "add", '{"a":1}', extra=signed("c2lnMg==")),
                call(1, "sub", '{"b":"é"}'),
            ),
        ),
        chunk(tool_calls=(call(2, "neg"),), finish="tool_calls"),
    ],
    "tool_call_of_a_mock.sse": [
        chunk(tool_calls=(call(0, "add"),), finish="tool_calls")
    ],
    "tool_call_cut.sse": [
        chunk(tool_calls=(call(0, "add"),)),
        chunk(finish="length"),
    ],
    "empty_parts.sse": [
        *[EMPTY] * 4,
        Chunk(usage=used(3, 0, 3)),
        HI,
        STOP,
    ],
    "two_candidates.sse": [
        Chunk(choices=(*chunk("a").choices, *chunk("b", index=1).choices)),
        chunk("B", index=1, finish="length"),
        chunk("A", finish="stop"),
    ],
    "usage_after_finish.sse": [HI_STOP, Chunk(usage=used(3, 1, 4))],
    "safety_later.sse": [HI, chunk(finish="content_filter")],
    "blocked_later.sse": [HI, chunk(finish="content_filter")],
    "rated_prompt.sse": [HI_STOP],
    "image.sse": [chunk("See:"), chunk(extra={"images": [PNG]}), STOP],
    "logprobs.sse": [Chunk(choices=(evolve(HI_STOP.choices[0], logprobs=LOGPROBS),))],
    "unknown.sse": [Chunk(), HI, STOP],
    "done.sse": [HI_STOP],
    "array.json": [
        evolve(chunk("He"), **ONE),
        evolve(chunk("llo", finish="stop"), **ONE),
    ],
    "response.json": [
        evolve(
            chunk(
                "Hi",
                reasoning_content="Hm",
                tool_calls=(call(0, "add"),),
                finish="tool_calls",
            ),
            **ONE,
            usage=used(3, 1, 4),
        )
    ],
}
Failure = tuple[type[Exception] | tuple[type[Exception], ...], str | None]
# What each sample of a failure raises, and a part of what that says.
FAILURES: dict[str, Failure] = {
    "error_later.sse": (ProviderFailed, "The model is overloaded"),
    "error_in_list_later.sse": (ProviderFailed, "The model is overloaded"),
    "error_event.sse": (ProviderFailed, "An internal error"),
    "error_quota.sse": (ProviderBusy, "exceeded your current quota"),
    "error.json": (ProviderFailed, "The model is overloaded"),
    "error_in_list.json": (ProviderFailed, "The model is overloaded"),
    "blocked.sse": (ProviderRefusedRequest, "the prompt was blocked: SAFETY"),
    "blocked_for.sse": (ProviderRefusedRequest, "blocked: It breaks the terms"),
    "safety.sse": (ProviderRefusedRequest, "said nothing .* finishReason SAFETY"),
    "recitation.sse": (ProviderRefusedRequest, "RECITATION: Too close to a source"),
    "malformed_call_later.sse": (ProviderFailed, "MALFORMED_FUNCTION_CALL"),
    "malformed_call.sse": (ProviderFailed, "CALL: Malformed function call: add"),
    "no_signature.sse": (ProviderFailed, "finishReason MISSING_THOUGHT_SIGNATURE"),
    "truncated.sse": (ProviderProtocolError, "before its finishReason"),
    "truncated_candidate.sse": (ProviderProtocolError, "before its finishReason"),
    "truncated_event.sse": (ProviderProtocolError, "inside an event"),
    "usage_only.sse": (ProviderProtocolError, "before its finishReason"),
    "invalid_json.sse": (UNREADABLE, None),
    "page.html": (ProviderProtocolError, "a page of HTML"),
}
SIZES = [1, 1 << 20]


def read(body: bytes, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    return delivered(Gemini(SETTINGS), body, size)


def ending(chunks: list[Chunk]) -> list[Chunk]:
    """Move the finish reasons to a last chunk, with the usage: they are told once."""
    told: list[Chunk] = []
    ends: list[Choice] = []
    for each in chunks:
        ends += [
            Choice(index=c.index, finish_reason=c.finish_reason)
            for c in each.choices
            if c.finish_reason
        ]
        said = [evolve(c, finish_reason=None) for c in each.choices]
        if ends:
            said = [c for c in said if c.delta != EMPTY.choices[0].delta]
        if said or not ends:
            told.append(
                evolve(each, choices=tuple(said), usage=None if ends else each.usage)
            )
    usages = [each.usage for each in chunks if each.usage]
    frame = [each for each in chunks if any(c.finish_reason for c in each.choices)][-1]
    ends.sort(key=lambda choice: choice.index)
    last = evolve(frame, choices=tuple(ends), usage=usages[-1] if usages else None)
    return [*told, last]


def without_new_ids(chunk: Chunk) -> Chunk:
    """Take the ids that the dialect has made, and Google's words, out of a chunk."""
    for choice in chunk.choices:
        choice.native_finish_reason = None
        choice.delta = evolve(
            choice.delta,
            tool_calls=tuple(
                evolve(call, id=None) if (call.id or "").startswith("call_") else call
                for call in choice.delta.tool_calls
            ),
        )
    return chunk


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def frame(*parts: Any, **candidate: Any) -> bytes:
    return event({"candidates": [{"content": {"parts": parts}, **candidate}]})


def test_every_sample_is_used() -> None:
    """No sample lies about that no test reads."""
    used = {*ANSWERS, *FAILURES, *WORDLESS}
    assert {path.name for path in SAMPLES.iterdir()} == used


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str, size: int, line_end: bytes) -> None:
    """An answer's chunks are what it says, byte by byte or all at once."""
    body = (SAMPLES / name).read_bytes().replace(b"\n", line_end)

    assert [without_new_ids(c) for c in read(body, size)] == ending(ANSWERS[name])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "failure"), FAILURES.items(), ids=FAILURES)
def test_failures(name: str, failure: Failure, size: int) -> None:
    """A failure is told as what it is, byte by byte or all at once."""
    error, says = failure
    with pytest.raises(error, match=says):
        list(read((SAMPLES / name).read_bytes(), size))


WORDLESS = {"used_up.sse": "length", "nothing.sse": "stop"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "reason"), WORDLESS.items())
def test_wordless(name: str, reason: str, size: int) -> None:
    """An answer without a word that ended by itself is one, with its reason."""
    chunks = list(read((SAMPLES / name).read_bytes(), size))

    assert not any(chunk.has_token for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == reason


@pytest.mark.parametrize("name", ["truncated.sse", "error_later.sse"])
def test_what_came_before_a_failure_is_told(name: str) -> None:
    """The chunks before a failure are not lost with it."""
    chunks = read((SAMPLES / name).read_bytes())

    assert next(chunks) == HI


@pytest.mark.parametrize(
    ("name", "status", "code", "seconds"),
    [
        ("error_later.sse", 503, "UNAVAILABLE", None),
        ("error_quota.sse", 429, "RESOURCE_EXHAUSTED", 34.5),
        ("blocked.sse", 400, "SAFETY", None),
        ("safety.sse", 400, "SAFETY", None),
        ("malformed_call.sse", None, "MALFORMED_FUNCTION_CALL", None),
    ],
)
def test_words_of_failures(
    name: str, status: int | None, code: str, seconds: float | None
) -> None:
    """A failure has the status it repeats, Google's word for it and its wait."""
    with pytest.raises(ProviderError) as caught:
        list(read((SAMPLES / name).read_bytes()))

    found = caught.value
    assert (found.status, found.upstream_code) == (status, code)
    assert found.retry_after == seconds


STOPS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "LANGUAGE",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            "NO_IMAGE",
            "IMAGE_OTHER",
            "OTHER",
            "CONTINUATION",
            "MADE_UP",
        ),
        "stop",
    ),
}


@pytest.mark.parametrize(("theirs", "ours"), STOPS.items())
def test_finish_reasons(theirs: str, ours: FinishReason) -> None:
    """Whatever Google's reason for an end is, clients see one of OpenAI's."""
    *_, found = read(frame({"text": "Hi"}, finishReason=theirs))

    assert found.choices[0].finish_reason == ours


BROKEN = (
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
)


@pytest.mark.parametrize("theirs", BROKEN)
def test_broken_answers(theirs: str) -> None:
    """A reason that says that a call came to nothing is an error, after text too."""
    with pytest.raises(ProviderFailed, match=theirs):
        list(read(frame({"text": "Hi"}, finishReason=theirs)))


FILTERED = [theirs for theirs, ours in STOPS.items() if ours == "content_filter"]


@pytest.mark.parametrize("theirs", [*FILTERED, *BROKEN])
def test_silence(theirs: str) -> None:
    """Who says nothing because of a filter, or since it broke off, is out."""
    wanted = ProviderFailed if theirs in BROKEN else ProviderRefusedRequest
    with pytest.raises(wanted, match=f"finishReason {theirs}"):
        list(read(frame({"text": ""}, finishReason=theirs)))


@pytest.mark.parametrize(
    ("part", "is_token"),
    [
        ({}, False),
        ({"text": ""}, False),
        ({"text": "", "thoughtSignature": "c2ln"}, False),
        ({"text": " "}, True),
        ({"text": "", "thought": True}, False),
        ({"text": "Hm", "thought": True}, True),
        ({"functionCall": {"name": "f"}}, True),
        ({"functionCall": {}}, False),
        ({"madeUp": "x"}, False),
    ],
    ids=str,
)
def test_tokens(part: dict[str, Any], is_token: bool) -> None:
    """Only text, thoughts and calls that are not empty win a race."""
    (found,) = Gemini(SETTINGS).receive(frame(part))

    assert found.has_token is is_token


@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        "text",
        [5],
        {"candidates": 5},
        {"candidates": "text"},
        {"candidates": [None]},
        {"candidates": [{"content": "text"}]},
        {"candidates": [{"content": {"parts": 5}}]},
        {"candidates": [{"content": {"parts": ["text"]}}]},
        {"candidates": [{"content": {"parts": [{"text": 5}]}}]},
        {"candidates": [{"content": {"parts": [{"text": ["x"], "thought": True}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": "f"}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": 5}}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]},
        {
            "candidates": [
                {"content": {"parts": [{"functionCall": {"name": "f", "args": [1]}}]}}
            ]
        },
        {"candidates": [{"content": {"parts": [{"inlineData": "x"}]}}]},
        {"candidates": [{"content": {"parts": [{"inlineData": {"data": "x"}}]}}]},
        {"candidates": [{"index": {"0": 0}}]},
        {"candidates": [{"finishReason": ["STOP"]}]},
        {"candidates": [{"logprobsResult": "x"}]},
        {"promptFeedback": "x"},
        {"usageMetadata": "many"},
        {"usageMetadata": {"promptTokenCount": "3"}},
    ],
    ids=str,
)
def test_wrong_types(payload: Any) -> None:
    """An event whose values are of other types than the API's can't be parsed."""
    body = frame({"text": "Hi"}) + event(payload) + frame(finishReason="STOP")
    with pytest.raises(UNREADABLE):
        list(read(body))


def test_finished_is_for_every_candidate() -> None:
    """An answer is finished only when each candidate that was begun is."""
    dialect = Gemini(SETTINGS)
    finished = []
    for index, reason in [(0, None), (1, None), (0, "STOP"), (1, "STOP")]:
        list(dialect.receive(frame({"text": "x"}, index=index, finishReason=reason)))
        finished.append(dialect.finished)

    assert finished == [False, False, False, True]


def test_cut_after_the_end() -> None:
    """What breaks off after the finishReason takes nothing from the answer."""
    body = frame({"text": "Hi"}, finishReason="STOP") + b'data: {"usageMeta'

    assert list(read(body)) == [HI, STOP]


@pytest.mark.parametrize("head", [b"", b"data: ", b'{"x": "'], ids=repr)
def test_bound(head: bytes) -> None:
    """An answer that goes on for ever fills no memory, whatever it begins like."""
    with pytest.raises(ValueError, match="larger than"):
        list(read(head + b" " * (MAX_EVENT_BYTES + 2**21)))


@pytest.mark.parametrize("size", SIZES)
def test_json_outside_of_any_field(size: int) -> None:
    """JSON that stands between events, without a field's name, is an event's data."""
    stream = b'data: a\n\n\n {\r\n "b": 1}\r\n\r\ndata: c\n\n[\n2]\n'
    decoder = SSEDecoder()
    events = []
    for start in range(0, len(stream), size):
        events += decoder.feed(stream[start : start + size])

    assert [*events, *decoder.flush()] == [b"a", b'{\n "b": 1}', b"c", b"[\n2]"]


USER: Any = {"role": "user", "content": "Hello"}
HELLO = {"role": "user", "parts": [{"text": "Hello"}]}


def parse(*messages: Any, **more: Any) -> ChatRequest:
    """Return the request that a client of the gateway makes with this body."""
    body = {"model": "m", "messages": messages or (USER,), **more}
    return chat.parse(orjson.dumps(body))[0]


def encode(*messages: Any, model: str = "gemini-2.0-flash", **more: Any) -> Call:
    return Gemini(SETTINGS).encode(parse(*messages, **more), model)


def sent(*messages: Any, **more: Any) -> Any:
    return orjson.loads(encode(*messages, **more).body)


def test_call() -> None:
    """The whole of a small call: where it goes, its key, its body."""
    made = encode(model="gemini-2.0-flash")

    assert made.path == "models/gemini-2.0-flash:streamGenerateContent?alt=sse"
    assert made.headers == {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "x-goog-api-key": KEY,
    }
    assert orjson.loads(made.body) == {"contents": [HELLO]}


def test_no_key() -> None:
    """A provider without a key sends none."""
    made = Gemini(evolve(SETTINGS, api_key=None)).encode(parse(), "gemini-2.0-flash")

    assert "x-goog-api-key" not in made.headers


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("gemini-2.0-flash", "gemini-2.0-flash"),
        ("models/gemini-2.0-flash", "gemini-2.0-flash"),
        ("../secret?x=1#y", "..%2Fsecret%3Fx%3D1%23y"),
        ("günther", "g%C3%BCnther"),
    ],
)
def test_model_in_the_path(model: str, segment: str) -> None:
    """A model's name is one segment of the path, with or without its prefix."""
    path = f"models/{segment}:streamGenerateContent?alt=sse"

    assert encode(model=model).path == path


def tool(name: str, **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def called(call_id: str, name: str, arguments: str = "{}", **more: Any) -> Any:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **more}


def calls(*tool_calls: Any, **more: Any) -> Any:
    return {"role": "assistant", "content": None, "tool_calls": tool_calls, **more}


def result(call_id: str, content: Any, **more: Any) -> Any:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def response(call_id: str, name: str, value: Any) -> Any:
    return {"functionResponse": {"id": call_id, "name": name, "response": value}}


def function_call(call_id: str, name: str, **more: Any) -> Any:
    return {"functionCall": {"id": call_id, "name": name, "args": {}}, **more}


def image(url: str) -> Any:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def user(*parts: Any) -> Any:
    return {"role": "user", "content": parts}


def turn(role: str, *parts: Any) -> Any:
    return {"role": role, "parts": list(parts)}


def text(value: str) -> Any:
    return {"text": value}


SCHEMA = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/City"}},
    "additionalProperties": False,
    "$defs": {"City": {"type": "string"}},
}
# OpenAI's messages, and what is made of them besides the rest of the body.
CONVERSATIONS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "system": (
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            USER,
        ],
        {
            "systemInstruction": {"parts": [text("Be brief.\n\nBe kind.")]},
            "contents": [HELLO],
        },
    ),
    "system alone": (
        [{"role": "system", "content": "Say hello."}],
        {"contents": [turn("user", text("Say hello."))]},
    ),
    "system later": (
        [USER, {"role": "system", "content": "Be brief."}],
        {"contents": [turn("user", text("Hello"), text("Be brief."))]},
    ),
    "turns of one side": (
        [
            user({"type": "text", "text": "a"}, {"type": "text", "text": ""}),
            {"role": "user", "content": "b", "name": "Bob"},
            {"role": "assistant", "content": "c", "reasoning_content": "thoughts"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": None, "refusal": "d"},
            {
                "role": "assistant",
                "content": [
                    {"type": "refusal", "refusal": "e"},
                    {"type": "refusal", "refusal": None},
                ],
            },
            USER,
        ],
        {
            "contents": [
                turn("user", text("a"), text("b")),
                turn("model", text("c"), text("d"), text("e")),
                HELLO,
            ]
        },
    ),
    "media": (
        [
            user(
                image("data:image/png;base64,iVBORw=="),
                image("data:image/jpg;base64,/9j/"),
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,JVBERg==",
                    },
                },
                {"type": "text", "text": "?"},
            )
        ],
        {
            "contents": [
                turn(
                    "user",
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
                    {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "AA"}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
                    text("?"),
                )
            ]
        },
    ),
    "parallel calls": (
        [
            USER,
            calls(called("a", "f", '{"x": 1}'), called("b", "g", ""), content="Well."),
            result("b", "21 degrees"),
            result("a", '{"ok": true}'),
            USER,
        ],
        {
            "contents": [
                HELLO,
                turn(
                    "model",
                    text("Well."),
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                    function_call("b", "g"),
                ),
                turn(
                    "user",
                    response("b", "g", {"result": "21 degrees"}),
                    response("a", "f", {"ok": True}),
                    text("Hello"),
                ),
            ]
        },
    ),
    "results of all kinds": (
        [
            calls(*(called(each, each) for each in "abcd")),
            result("a", "[1, 2]"),
            result("b", [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]),
            result("c", ""),
            result("d", "null"),
            result("e", "Hm", name="of_another_history"),
            result("f", ""),
        ],
        {
            "contents": [
                turn("model", *(function_call(each, each) for each in "abcd")),
                turn(
                    "user",
                    response("a", "a", {"result": [1, 2]}),
                    response("b", "b", {"result": "x\ny"}),
                    response("c", "c", {"result": ""}),
                    response("d", "d", {"result": None}),
                    {"text": "Hm"},  # its call is nowhere
                ),
            ]
        },
    ),
    "pictures in a result": (
        [
            calls(called("a", "f")),
            result("a", [image("data:image/png;base64,AA")]),
        ],
        {
            "contents": [
                turn("model", function_call("a", "f")),
                turn(
                    "user",
                    response("a", "f", {"result": ""}),
                    {"inlineData": {"mimeType": "image/png", "data": "AA"}},
                ),
            ]
        },
    ),
    "one id for two": (
        [
            calls(called("a", "f"), called("a", "g")),
            result("a", "1"),
            result("a", "2"),
        ],
        {
            "contents": [
                turn("model", function_call("a", "f"), function_call("a", "g")),
                turn(
                    "user",
                    response("a", "f", {"result": 1}),
                    response("a", "g", {"result": 2}),
                ),
            ]
        },
    ),
    "ids that come again": (
        [
            calls(called("call_0", "f")),
            result("call_0", "1"),
            calls(called("call_0", "g")),
            result("call_0", "2"),
        ],
        {
            "contents": [
                turn("model", function_call("call_0", "f")),
                turn("user", response("call_0", "f", {"result": 1})),
                turn("model", function_call("call_0", "g")),
                turn("user", response("call_0", "g", {"result": 2})),
            ]
        },
    ),
}


@pytest.mark.parametrize(
    ("messages", "body"), CONVERSATIONS.values(), ids=CONVERSATIONS
)
def test_conversations(messages: list[Any], body: dict[str, Any]) -> None:
    """Messages of every kind become what Gemini has for them."""
    assert sent(*messages) == body


@pytest.mark.parametrize(
    ("more", "body"),
    [
        (
            {"tools": [tool("f", description="F", parameters=SCHEMA), tool("g")]},
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "f",
                                "description": "F",
                                "parametersJsonSchema": SCHEMA,
                            },
                            {"name": "g"},
                        ]
                    }
                ],
                "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            },
        ),
        ({"tools": []}, {}),
        ({"tool_choice": "none"}, {}),
    ],
    ids=["tools", "no tools", "no choice"],
)
def test_tools(more: dict[str, Any], body: dict[str, Any]) -> None:
    """Functions are declared with their whole JSON schema."""
    assert sent(**more) == {"contents": [HELLO], **body}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (tool("f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
    ids=str,
)
def test_tool_choice(choice: Any, config: dict[str, Any]) -> None:
    """How tools are chosen is said in Gemini's modes."""
    body = sent(tools=[tool("f")], tool_choice=choice)

    assert body["toolConfig"] == {"functionCallingConfig": config}


@pytest.mark.parametrize(
    ("more", "config"),
    [
        ({"temperature": 0, "top_p": 0.5}, {"temperature": 0, "topP": 0.5}),
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"maxOutputTokens": 6}),
        ({"stop": "x"}, {"stopSequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stopSequences": ["x", "y"]}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"n": 1}, None),
        ({"seed": 7}, {"seed": 7}),
        ({"seed": 2**40 + 7}, {"seed": 7}),
        (
            {"frequency_penalty": 1, "presence_penalty": -1},
            {"frequencyPenalty": 1, "presencePenalty": -1},
        ),
        ({"frequency_penalty": 0, "presence_penalty": 0}, None),
        ({"logprobs": True}, {"responseLogprobs": True}),
        (
            {"logprobs": True, "top_logprobs": 3},
            {"responseLogprobs": True, "logprobs": 3},
        ),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"response_format": {"type": "text"}}, None),
        (
            {"response_format": {"type": "json_object"}},
            {"responseMimeType": "application/json"},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
                }
            },
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
        (
            {
                "user": "u",
                "metadata": {"a": "b"},
                "parallel_tool_calls": False,
                "service_tier": "flex",
                "store": True,
                "top_k": 7,
                "stream": True,
                "stream_options": {"include_usage": True},
                "logit_bias": {},
            },
            None,
        ),
    ],
    ids=str,
)
def test_generation(more: dict[str, Any], config: dict[str, Any] | None) -> None:
    """Each wish about the generation is carried, hints without a place are dropped."""
    assert sent(**more).get("generationConfig") == config


SHOWN = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", None, SHOWN),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "minimal", {"thinkingBudget": 512}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, **SHOWN}),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192, **SHOWN}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24576, **SHOWN}),
        ("gemini-2.5-flash", "xhigh", {"thinkingBudget": 24576, **SHOWN}),
        ("models/gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-flash-lite", None, None),
        ("gemini-2.5-flash-lite", "low", {"thinkingBudget": 1024, **SHOWN}),
        ("gemini-2.5-flash-image", "low", None),
        ("gemini-3-flash-preview", None, SHOWN),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash-preview", "low", {"thinkingLevel": "LOW", **SHOWN}),
        ("gemini-3-flash-preview", "medium", {"thinkingLevel": "MEDIUM", **SHOWN}),
        ("gemini-3-flash-preview", "high", {"thinkingLevel": "HIGH", **SHOWN}),
        ("gemini-3-flash-preview", "xhigh", {"thinkingLevel": "HIGH", **SHOWN}),
        ("gemini-3-pro-preview", "none", {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH", **SHOWN}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM", **SHOWN}),
        ("gemini-2.0-flash", None, None),
        ("gemini-2.0-flash", "high", None),
        ("gemini-flash-latest", "high", None),
        ("gemma-3-27b-it", "high", None),
    ],
)
def test_thinking(
    model: str, effort: str | None, config: dict[str, Any] | None
) -> None:
    """Thoughts are asked for, as many as wanted, of the models that take the wish."""
    body = sent(model=model, reasoning_effort=effort)

    assert body.get("generationConfig", {}).get("thinkingConfig") == config


DUMMY = {"thoughtSignature": "skip_thought_signature_validator"}


@pytest.mark.parametrize(
    ("model", "unsigned"),
    [
        ("gemini-3-flash-preview", DUMMY),
        ("models/gemini-3.1-pro", DUMMY),
        ("gemini-flash-latest", DUMMY),
        ("gemini-2.5-flash", {}),
        ("gemma-3-27b-it", {}),
    ],
)
def test_signatures(model: str, unsigned: dict[str, Any]) -> None:
    """
    A call's signature comes back from the client to where it was. The first call of
    a step that has none, made by another vendor's model, gets what Google has for that.
    """
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        calls(called("a", "f", **signed("c2ln")), called("b", "g")),
        result("a", "1"),
        result("b", "2"),
        calls(called("c", "f"), called("d", "g", **signed("bGF0ZXI="))),
        result("c", "3"),
        result("d", "4"),
        calls(called("e", "f", extra_content={"google": {"thought_signature": None}})),
    ]
    contents = sent(*messages, model=model)["contents"]

    assert [each["parts"] for each in contents if each["role"] == "model"] == [
        [function_call("a", "f", thoughtSignature="c2ln"), function_call("b", "g")],
        [
            function_call("c", "f", **unsigned),
            function_call("d", "g", thoughtSignature="bGF0ZXI="),
        ],
        [function_call("e", "f", **unsigned)],
    ]


@pytest.mark.parametrize(
    "extra",
    [
        "x",
        [],
        {},
        {"google": "x"},
        {"google": {}},
        {"google": {"thought_signature": 5}},
    ],
    ids=str,
)
def test_odd_signatures(extra: Any) -> None:
    """What is no signature, where one may be, is no signature."""
    body = sent(USER, calls(called("a", "f", extra_content=extra)), USER)

    assert body["contents"][1]["parts"] == [function_call("a", "f")]


def test_signature_goes_around() -> None:
    """A signature that came with a call is one that can be sent with it."""
    (_, answered, *_) = read((SAMPLES / "tool_call.sse").read_bytes())
    (delta,) = answered.choices[0].delta.tool_calls
    assert delta.name
    again = called("fc_1", delta.name, delta.arguments or "", **delta.extra)

    body = sent(USER, calls(again), model="gemini-3-flash")

    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "c2lnMQ=="


@pytest.mark.parametrize(
    ("messages", "more", "says"),
    [
        ([user(image("https://example.com/a.png"))], {}, "images .* data: URLs only"),
        ([user(image("data:image/svg+xml,<svg/>"))], {}, "images .* data: URLs only"),
        ([user({"type": "image_url", "image_url": {}})], {}, "no url"),
        ([user({"type": "file", "file": {"file_id": "f"}})], {}, "files .* data: URLs"),
        ([user({"type": "input_audio"})], {}, "lacks its data or its format"),
        ([user({"type": "video_url"})], {}, "'video_url'"),
        ([{"role": "user", "content": ""}], {}, "no message has any content"),
        ([{"role": "function", "name": "f", "content": "1"}], {}, "role 'function'"),
        ([calls({"id": "a", "type": "custom"})], {}, "type 'custom'"),
        ([USER], {"tools": [{"type": "web_search"}]}, "type 'web_search'"),
        ([USER], {"tool_choice": "required"}, "there are no tools"),
        ([USER], {"tool_choice": tool("f")}, "there are no tools"),
        ([USER], {"tools": [tool("f")], "tool_choice": "never"}, "'never'"),
        ([USER], {"logit_bias": {"1": 5}}, "'logit_bias'"),
        ([USER], {"modalities": ["text", "audio"]}, "'modalities'"),
        ([USER], {"functions": [{"name": "f"}]}, "'functions'"),
        ([USER], {"response_format": {"type": "grammar"}}, "'grammar'"),
        ([USER], {"reasoning_effort": "utmost"}, "'utmost'"),
    ],
    ids=str,
)
def test_refusals(messages: list[Any], more: dict[str, Any], says: str) -> None:
    """What the API can't say puts the racer out, with the reason."""
    with pytest.raises(ProviderRefusedRequest, match=says) as caught:
        encode(*messages, **more)

    assert caught.value.status == 400


def test_list_of_models() -> None:
    """All models in one call with the key; those that chat are listed by short name."""
    dialect = Gemini(SETTINGS)
    made = dialect.list_models()
    rows = [
        {
            "name": "models/gemini-x",
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        },
        {"name": "models/embedding-x", "supportedGenerationMethods": ["embedContent"]},
        {"name": "gemini-y", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/none"},
    ]

    assert (made.path, made.headers["x-goog-api-key"]) == ("models?pageSize=1000", KEY)
    assert dialect.read_models(orjson.dumps({"models": rows})) == (
        "gemini-x",
        "gemini-y",
    )
    assert dialect.read_models(b"{}") == ()


def google_error(status: int, word: str, *details: Any) -> dict[str, Any]:
    error = {"code": status, "message": "No", "status": word, "details": details}
    return {"error": error}


RPC = "type.googleapis.com/google.rpc."
BAD_KEY = {"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID"}
PER_DAY = {
    "@type": f"{RPC}QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PER_MINUTE = {
    "@type": f"{RPC}QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}],
}


def retry(delay: Any) -> dict[str, Any]:
    return {"@type": f"{RPC}RetryInfo", "retryDelay": delay}


@pytest.mark.parametrize(
    ("body", "error", "code", "seconds"),
    [
        (
            google_error(400, "INVALID_ARGUMENT"),
            ProviderRefusedRequest,
            "INVALID_ARGUMENT",
            None,
        ),
        (
            google_error(400, "INVALID_ARGUMENT", BAD_KEY),
            ProviderDenied,
            "API_KEY_INVALID",
            None,
        ),
        (
            google_error(400, "FAILED_PRECONDITION"),
            ProviderDenied,
            "FAILED_PRECONDITION",
            None,
        ),
        (
            google_error(403, "PERMISSION_DENIED"),
            ProviderDenied,
            "PERMISSION_DENIED",
            None,
        ),
        (
            google_error(404, "NOT_FOUND"),
            ProviderRefusedRequest,
            "NOT_FOUND",
            None,
        ),
        (
            google_error(429, "RESOURCE_EXHAUSTED"),
            ProviderBusy,
            "RESOURCE_EXHAUSTED",
            None,
        ),
        (
            google_error(429, "RESOURCE_EXHAUSTED", PER_MINUTE, retry("34s")),
            ProviderBusy,
            "RESOURCE_EXHAUSTED",
            34.0,
        ),
        (
            google_error(429, "RESOURCE_EXHAUSTED", retry("34s"), PER_DAY),
            ProviderBusy,
            "RESOURCE_EXHAUSTED",
            3600.0,
        ),
        (
            [google_error(503, "UNAVAILABLE", retry("0.25s"))],
            ProviderFailed,
            "UNAVAILABLE",
            0.25,
        ),
        (
            google_error(504, "DEADLINE_EXCEEDED", retry(f"{'9' * 400}s"), retry(5)),
            ProviderFailed,
            "DEADLINE_EXCEEDED",
            None,
        ),
        (
            google_error(500, "INTERNAL", "x", None, {"reason": {}}),
            ProviderFailed,
            "INTERNAL",
            None,
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_error_bodies(
    body: Any, error: type[ProviderError], code: str, seconds: float | None
) -> None:
    """An error body is told by whose fault it is, Google's word for it and its wait."""
    first = body[0] if isinstance(body, list) else body
    status = first["error"]["code"]

    found = read_error(status, orjson.dumps(body))

    assert type(found) is error
    assert (found.status, found.upstream_code) == (status, code)
    assert (found.message, found.retry_after) == ("No", seconds)
