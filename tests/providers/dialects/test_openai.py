"""OpenAI's chat completions, and what the vendors that copy it make of them."""

import json
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from attrs import evolve

from providers import (
    Chunk,
    ProviderBusy,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
    ToolCallDelta,
    Usage,
)
from providers.dialects import UNREADABLE
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.dialects.openai.dialect import OpenAI
from providers.errors import ProviderDenied, ProviderFailed
from tests.rig.samples import ALL_AT_ONCE, WIRE, call, chunk, delivered

SAMPLES = WIRE / "openai"
SETTINGS = ProviderSettings(id="Test", kind="openai", api_key="sk-test-1234")
COUNTED = Usage(prompt_tokens=3, completion_tokens=1, total_tokens=4)
WHOLE: dict[str, Any] = {
    "id": "chatcmpl-1",
    "created": 1700000000,
    "model": "m",
    "usage": COUNTED,
}


def calls(*calls: ToolCallDelta) -> Chunk:
    return chunk(tool_calls=calls)


EMPTY = chunk()
HI = chunk("Hi")
STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")
THOUGHT = [
    EMPTY,
    chunk(reasoning_content="Let me"),
    chunk(reasoning_content=" see."),
    chunk("Four."),
    STOP,
]
TEXT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "created": 1700000000,
    "model": "gpt-x-2026",
    "extra": {"service_tier": "default", "system_fingerprint": "fp_1"},
}
LLAMA: dict[str, Any] = {"id": "chatcmpl-2", "created": 1795307431, "model": "smollm2"}
DETAILS: dict[str, Any] = {
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
LOGPROBS: dict[str, Any] = {
    "content": [
        {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    ],
    "refusal": None,
}
# What each sample of an answer in good order says.
ANSWERS: dict[str, list[Chunk]] = {
    "text.sse": [
        evolve(EMPTY, **TEXT),
        evolve(chunk("Grüß"), **TEXT),
        evolve(chunk(" dich 👋"), **TEXT),
        evolve(
            STOP,
            **TEXT,
            usage=Usage(
                prompt_tokens=9, completion_tokens=4, total_tokens=13, extra=DETAILS
            ),
        ),
    ],
    "role_only.sse": [EMPTY, EMPTY, EMPTY, STOP],
    "reasoning_content.sse": THOUGHT,
    "reasoning.sse": [chunk(reasoning_content="Let me see."), *THOUGHT[3:]],
    "reasoning_mistral.sse": [
        EMPTY,
        chunk(reasoning_content="Let me see."),
        *THOUGHT[3:],
    ],
    "refusal.sse": [EMPTY, chunk(refusal="I can't"), chunk(refusal=" help."), STOP],
    "tool_calls.sse": [
        calls(),
        calls(call(0, '{"a":', id="call_1", name="add")),
        calls(call(0, "1}")),
        CALLED,
    ],
    "tool_calls_parallel.sse": [
        calls(),
        calls(),
        calls(
            call(0, id="call_1", name="add"),
            call(1, '{"b":2}', id="call_2", name="sub"),
            call(0, '{"a":1}'),
        ),
        CALLED,
    ],
    "tool_calls_without_index.sse": [
        calls(call(0, '{"a":', id="call_1", name="add")),
        calls(call(0, "1}")),
        calls(call(1, '{"b":', id="call_2", name="sub")),
        calls(call(1, "2}")),
        calls(
            call(2, "{}", id="call_3", name="neg"),
            call(3, "{}", id="call_4", name="abs"),
        ),
        CALLED,
    ],
    "tool_calls_object.sse": [
        calls(
            call(
                0,
                '{"a":1,"to":["é"]}',
                id="call_1",
                name="add",
                extra={"extra_content": {"google": {"thought_signature": "sig"}}},
            )
        ),
        CALLED,
    ],
    "function_call.sse": [
        chunk(function_call={"name": "add", "arguments": ""}),
        chunk(function_call={"arguments": "{}"}),
        chunk(finish="function_call"),
    ],
    "audio.sse": [
        chunk(audio={"id": "audio_1", "transcript": "Hi"}),
        chunk(audio={"data": "AAAA"}),
        STOP,
    ],
    "logprobs.sse": [
        Chunk(choices=(evolve(HI.choices[0], logprobs=LOGPROBS),)),
        STOP,
    ],
    "two_choices.sse": [
        EMPTY,
        chunk(index=1),
        chunk("b", index=1),
        chunk("a"),
        chunk("A"),
        Chunk(choices=(*STOP.choices, *chunk(index=1, finish="length").choices)),
    ],
    "usage_on_finish.sse": [
        HI,
        evolve(
            STOP,
            usage=Usage(
                prompt_tokens=3,
                completion_tokens=1,
                total_tokens=4,
                extra={"prompt_cache_hit_tokens": 2},
            ),
        ),
    ],
    "usage_in_x_groq.sse": [
        evolve(HI, extra={"x_groq": {"id": "req_1"}}),
        evolve(
            STOP,
            usage=evolve(COUNTED, extra={"queue_time": 0.1}),
            extra={
                "x_groq": {
                    "id": "req_1",
                    "usage": {
                        "queue_time": 0.1,
                        "prompt_tokens": 3,
                        "completion_tokens": 1,
                        "total_tokens": 4,
                    },
                }
            },
        ),
    ],
    "usage_null.sse": [HI, STOP],
    "usage_after_finish.sse": [HI, evolve(STOP, usage=COUNTED)],
    "done_without_finish.sse": [
        chunk("a"),
        chunk("b", index=1),
        Chunk(choices=(*STOP.choices, *chunk(index=1, finish="stop").choices)),
    ],
    "finish_without_done.sse": [HI, STOP],
    "after_done.sse": [HI, STOP],
    "comments.sse": [HI, STOP],
    "llamacpp.sse": [
        evolve(EMPTY, **LLAMA, extra={"system_fingerprint": "b0-unknown"}),
        evolve(chunk("I"), **LLAMA),
        evolve(chunk(finish="length"), **LLAMA, extra={"timings": {"predicted_n": 1}}),
    ],
    "azure_filter.sse": [
        Chunk(created=0, extra={"prompt_filter_results": [{"prompt_index": 0}]}),
        HI,
        chunk(finish="content_filter"),
    ],
    "completion.json": [
        evolve(chunk("Hi", reasoning_content="Hm", finish="stop"), **WHOLE)
    ],
    "completion_tool_calls.json": [
        evolve(
            chunk(
                tool_calls=(
                    call(0, "{}", id="call_1", name="add"),
                    call(1, '{"b":2}', id="call_2", name="sub"),
                ),
                finish="tool_calls",
            ),
            **WHOLE,
        )
    ],
}
Failure = tuple[type[Exception] | tuple[type[Exception], ...], str | None]
# What each sample of a failure raises, and a part of what that says.
FAILURES: dict[str, Failure] = {
    "truncated.sse": (ProviderProtocolError, "before its finish_reason"),
    "truncated_choice.sse": (ProviderProtocolError, "before its finish_reason"),
    "truncated_event.sse": (UNREADABLE, None),
    "finish_error.sse": (ProviderFailed, "finish_reason 'error'"),
    "error_first.sse": (ProviderFailed, "The model is overloaded"),
    "error_later.sse": (ProviderFailed, "The server had an error"),
    "error_event.sse": (ProviderFailed, "Out of memory"),
    "error_vllm.sse": (ProviderRefusedRequest, "The prompt is too long"),
    "error_in_list.sse": (ProviderFailed, "The model is overloaded"),
    "error_text.sse": (ProviderFailed, "CUDA out of memory"),
    "error_openrouter.sse": (ProviderBusy, "Rate limited by the provider"),
    "error_cerebras.sse": (ProviderBusy, "Too many requests"),
    "invalid_json.sse": (UNREADABLE, None),
    "completion_unfinished.json": (ProviderProtocolError, "before its finish_reason"),
    "completion_cut.json": (UNREADABLE, None),
    "error.json": (ProviderDenied, "Insufficient credits"),
    "error_in_list.json": (ProviderFailed, "The model is overloaded"),
    "page.html": (ProviderProtocolError, "HTML"),
}


def read(body: bytes, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    return delivered(OpenAI(SETTINGS), body, size)


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def frame(delta: Any = None, **choice: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta or {}, **choice}]})


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


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("head", "tail"),
    [(b"\xef\xbb\xbf", b""), (b"\n\r\n \n", b"\n\n"), (b"\xef\xbb\xbf\n", b"")],
    ids=["BOM", "blank lines", "both"],
)
@pytest.mark.parametrize("name", ["text.sse", "completion.json"])
def test_head_and_tail(name: str, head: bytes, tail: bytes, size: int) -> None:
    """A byte order mark and blank lines around an answer are no part of it."""
    body = head + (SAMPLES / name).read_bytes() + tail

    assert list(read(body, size)) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_no_final_blank_line(size: int) -> None:
    """The end of the body ends its last event too."""
    body = (SAMPLES / "finish_without_done.sse").read_bytes().rstrip(b"\n")

    assert list(read(body, size)) == [HI, STOP]


@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n", b"no healthy upstream"])
def test_nothing_said(body: bytes) -> None:
    """A body without an event has no chunks; that this is a failure is seen outside."""
    assert list(read(body)) == []


def test_done_stops_the_reading() -> None:
    """Nothing need be read after `[DONE]`, nor is there anything in what follows."""
    dialect = OpenAI(SETTINGS)

    assert list(dialect.receive(frame({"content": "Hi"}, finish_reason="stop")))
    assert (dialect.finished, dialect.done) == (True, False)
    assert list(dialect.receive(b"data: [DONE]\n\n")) == [STOP]
    assert dialect.done
    assert list(dialect.receive(frame({"content": "more"}))) == []


def test_finished_is_for_every_choice() -> None:
    """An answer is finished only when each choice that was begun is."""
    dialect = OpenAI(SETTINGS)
    finished = []
    for index, reason in [(0, None), (1, None), (0, "stop"), (1, "length")]:
        choice = {"index": index, "delta": {}, "finish_reason": reason}
        list(dialect.receive(event({"choices": [choice]})))
        finished.append(dialect.finished)

    assert finished == [False, False, False, True]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
        "function_call": "function_call",
        "eos": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_length": "length",
        "tool_use": "tool_calls",
        "safety": "content_filter",
        "made_up": "stop",
    }.items(),
)
def test_finish_reasons(theirs: str, ours: str) -> None:
    """Whatever word a vendor has for an end, clients see one of OpenAI's."""
    *_, found = read(frame({"content": "Hi"}, finish_reason=theirs))

    assert found.choices[0].finish_reason == ours


@pytest.mark.parametrize(
    ("delta", "is_token"),
    [
        ({}, False),
        ({"role": "assistant"}, False),
        ({"content": None}, False),
        ({"content": ""}, False),
        ({"content": []}, False),
        ({"content": " "}, True),
        ({"reasoning_content": ""}, False),
        ({"reasoning_content": "Hm"}, True),
        ({"reasoning": "Hm"}, True),
        ({"refusal": ""}, False),
        ({"refusal": "No"}, True),
        ({"tool_calls": []}, False),
        ({"tool_calls": [{"index": 0, "id": "call_1"}]}, False),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, False),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}, True),
        ({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, True),
        ({"function_call": {"name": "", "arguments": ""}}, False),
        ({"function_call": {"name": "f", "arguments": ""}}, True),
        ({"audio": {"id": "audio_1"}}, False),
        ({"audio": {"id": "audio_1", "transcript": ""}}, False),
        ({"audio": {"transcript": "Hi"}}, True),
        ({"audio": {"data": "AAAA"}}, True),
        ({"made_up": "x"}, False),
    ],
    ids=str,
)
def test_tokens(delta: dict[str, Any], is_token: bool) -> None:
    """Only text, reasoning, refusal, audio and calls that are not empty win a race."""
    chunks = read(frame(delta, finish_reason="stop"))

    assert any(found.has_token for found in chunks) is is_token


@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        "text",
        [],
        [5],
        {"choices": 5},
        {"choices": {"index": 0}},
        {"choices": [5]},
        {"choices": [None]},
        {"choices": [{"index": {"0": 0}, "delta": {}}]},
        {"choices": [{"index": "0", "delta": {}}]},
        {"choices": [{"index": 0.5, "delta": {}}]},
        {"choices": [{"logprobs": [1], "delta": {}}]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": {"type": "text", "text": 5}}}]},
        {"choices": [{"delta": {"content": [{"type": "text", "text": 5}]}}]},
        {"choices": [{"delta": {"reasoning": {"x": 1}}}]},
        {"choices": [{"delta": {"refusal": True}}]},
        {"choices": [{"delta": {"tool_calls": 5}}]},
        {"choices": [{"delta": {"tool_calls": ["x"]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"name": 5}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": 5}}]}}]},
        {"choices": [{"delta": {"function_call": "f"}}]},
        {"choices": [{"delta": {"audio": 5}}]},
        {"choices": [{"finish_reason": ["stop"]}]},
        {"choices": [], "usage": "many"},
        {"choices": [], "usage": {"prompt_tokens": "3"}},
        {"choices": [], "x_groq": "x"},
    ],
    ids=str,
)
def test_wrong_types(payload: Any) -> None:
    """A frame whose values are of other types than the API's can't be parsed."""
    body = frame({"content": "Hi"}) + event(payload) + frame(finish_reason="stop")
    with pytest.raises(UNREADABLE):
        list(read(body))


@pytest.mark.parametrize(
    "field",
    [{"id": {}}, {"id": 7}, {"model": ["m"]}, {"created": 1e300}, {"created": -1}],
    ids=str,
)
def test_odd_names_are_no_names(field: dict[str, Any]) -> None:
    """An id, a model or a time that is none is left out: nothing hangs on them."""
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    found, _ = read(event({"choices": [choice], **field}))

    assert (found.id, found.model, found.created) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices": [\xff]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xc3"}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"[" * 100_000,
        b"data: nonsense\n\n",
        b"data: {}{}\n\n",
        b'{"id": "\xff"}',
        b'{"choices": []',
        b"[]",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_unreadable(body: bytes) -> None:
    """What is no JSON in UTF-8, or no completion, can't be parsed."""
    with pytest.raises((ProviderProtocolError, *UNREADABLE)):
        list(read(body))


@pytest.mark.parametrize("head", [b"", b"data: ", b'{"id": "'], ids=repr)
def test_bound(head: bytes) -> None:
    """An answer that goes on for ever fills no memory, whatever it begins like."""
    endless = head + b" " * (MAX_EVENT_BYTES + 2**21)
    with pytest.raises(ValueError, match=r"larger than|nothing but white space"):
        list(read(endless))


def test_large_event() -> None:
    """An event of megabytes is read once, and not searched for what it is like."""
    body = frame({"content": "é" * 2**20}, finish_reason=None) + frame(
        finish_reason="stop"
    )
    started = process_time()
    first, _ = read(body)

    assert first.choices[0].delta.content == "é" * 2**20
    assert process_time() - started < 0.4


def test_error_frame_has_a_status() -> None:
    """An error with status 200 is of the class of the status that it repeats."""
    with pytest.raises(ProviderBusy) as caught:
        list(read((SAMPLES / "error_openrouter.sse").read_bytes()))

    assert (caught.value.status, caught.value.upstream_code) == (429, "429")
