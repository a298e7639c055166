"""OpenAI's Responses API: what is made of the answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from providers import (
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
    TextRun,
    ToolCallDelta,
    Usage,
    chunks_of,
)
from providers.dialects import UNREADABLE
from providers.dialects.framing import MAX_EVENT_BYTES
from providers.dialects.responses import Responses
from providers.dialects.responses.ending import STATUS
from providers.errors import ProviderDenied, ProviderFailed, error_class
from tests.rig import samples
from tests.rig.samples import ALL_AT_ONCE, WIRE, delivered, events

SAMPLES = WIRE / "responses"
SETTINGS = ProviderSettings(
    id="Test",
    kind="responses",
    base_url="https://api.openai.com/v1",
    api_key="sk-test-1234",
)
COUNTED = Usage(
    prompt_tokens=5,
    completion_tokens=4,
    total_tokens=9,
    extra={
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
)


def chunk(
    content: str | None = None, finish: FinishReason | None = None, **delta: Any
) -> Chunk:
    usage = COUNTED if finish else None
    begun = {"id": "resp_1", "created": 1790000000, "model": "gpt-x"}
    return samples.chunk(
        content, finish=finish, whole={**begun, "usage": usage}, **delta
    )


def called(index: int, id: str, name: str, said: str | None = None) -> Chunk:
    call = ToolCallDelta(index=index, id=id, type="function", name=name, arguments=said)
    return chunk(tool_calls=(call,))


def argued(index: int, arguments: str) -> Chunk:
    return chunk(tool_calls=(ToolCallDelta(index=index, arguments=arguments),))


def custom(text: str, name: str = "") -> Chunk:
    begun: dict[str, Any] = {"id": "call_1", "type": "custom"} if name else {}
    said = {"name": name, "input": text} if name else {"input": text}
    call = ToolCallDelta(index=0, extra={"custom": said}, **begun)
    return chunk(tool_calls=(call,))


def thought(text: str) -> Chunk:
    return chunk(reasoning_content=text)


def seal(index: int, text: str, *summary: str) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": text} for text in summary]
    entry = {"provider": "Test", "encrypted_content": text, "summary": parts}
    block = {"index": index, "type": "openai_reasoning", **entry}
    return {"thinking_blocks": [block]}


def sealed(index: int, text: str, *summary: str) -> Chunk:
    return chunk(extra=seal(index, text, *summary))


HI = chunk("Hi")
STOP = chunk(finish="stop")
CUT = chunk(finish="length")
CALLED = chunk(finish="tool_calls")
FOUR = chunk("Four.")
ADD, SUB = called(0, "call_1", "add"), called(1, "call_2", "sub")
ADDED = [ADD, argued(0, '{"a":'), argued(0, " 1}")]
INTERLEAVED = [
    ADD,
    SUB,
    argued(0, '{"a":'),
    argued(1, '{"b":'),
    argued(0, " 1}"),
    argued(1, "2}"),
    CALLED,
]
CITED = {"start_index": 0, "end_index": 2, "title": "T", "url": "https://x.test/"}
CITATION = chunk(
    extra={"annotations": [{"type": "url_citation", "url_citation": CITED}]}
)
LIKELY = {"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]}
OTHER = {"token": "Ho", "logprob": -1.5, "bytes": [72, 111]}
LLAMA: dict[str, Any] = {"id": "resp_l", "created": None, "model": None}
LAST_OF_LLAMA = Chunk(
    id="resp_l",
    created=1790000000,
    model="smollm2",
    choices=(Choice(finish_reason="tool_calls"),),
    usage=Usage(prompt_tokens=5, completion_tokens=4, total_tokens=9),
)
# What each sample of an answer in good order says.
ANSWERS: dict[str, list[Chunk]] = {
    "text.sse": [chunk("Grüß"), chunk(" dich 👋"), STOP],
    "names_missing.sse": [HI, STOP],
    "done_marker.sse": [HI, STOP],
    "after_end.sse": [HI, STOP],
    "last_cut.sse": [HI, STOP],
    "unknown.sse": [HI, STOP],
    "keepalives.sse": [HI, STOP],
    "text_at_the_end.sse": [HI, STOP],
    "text_in_done.sse": [HI, STOP],
    "text_in_item.sse": [HI, STOP],
    "text_longer_in_done.sse": [HI, chunk(" you"), chunk("."), STOP],
    "text_worded_anew.sse": [HI, STOP],
    "two_parts.sse": [chunk("One."), chunk("Two."), STOP],
    "two_parts_no_indices.sse": [chunk("One."), chunk("Two."), STOP],
    "refusal.sse": [chunk(refusal="I "), chunk(refusal="can't."), STOP],
    "refusal_at_the_end.sse": [chunk(refusal="I can't."), STOP],
    "logprobs.sse": [
        evolve(
            chunk(),
            choices=(
                Choice(
                    delta=Delta(content="Hé"),
                    logprobs={
                        "content": [{**LIKELY, "top_logprobs": [LIKELY, OTHER]}],
                        "refusal": None,
                    },
                ),
            ),
        ),
        STOP,
    ],
    "summary.sse": [
        thought("Let me"),
        thought(" see."),
        thought("\n\nFour it is."),
        sealed(0, "gAAAA1", "Let me see.", "Four it is."),
        FOUR,
        STOP,
    ],
    "thoughts.sse": [thought("H"), thought("m."), FOUR, STOP],
    "ollama.sse": [thought("H"), thought("m."), sealed(0, "Hm.", "Hm."), FOUR, STOP],
    "reasoning_hidden.sse": [chunk("Four.", extra=seal(0, "gAAAA1")), STOP],
    "reasoning_in_item.sse": [
        thought("Really."),
        sealed(0, "gAAAA1", "A.", "B."),
        FOUR,
        STOP,
    ],
    "reasoning_at_the_end.sse": [
        FOUR,
        thought("A.\n\nB."),
        sealed(0, "gAAAA1", "A.", "B."),
        STOP,
    ],
    "reasoning_twice.sse": [
        chunk(tool_calls=ADD.choices[0].delta.tool_calls, extra=seal(0, "gAAAA1")),
        argued(0, "{}"),
        sealed(1, "gAAAA2"),
        SUB,
        argued(1, "{}"),
        CALLED,
    ],
    "call.sse": [*ADDED, CALLED],
    "text_and_call.sse": [chunk("I look."), *ADDED, CALLED],
    "calls_interleaved.sse": INTERLEAVED,
    "calls_misnumbered.sse": INTERLEAVED,
    "calls_misnumbered_in_turn.sse": [
        *ADDED,
        SUB,
        argued(1, '{"b":'),
        argued(1, "2}"),
        CALLED,
    ],
    "calls_renamed.sse": INTERLEAVED,
    "calls_not_added.sse": [
        called(0, "call_1", "add", '{"a": 1}'),
        called(1, "call_2", "sub", '{"b":2}'),
        CALLED,
    ],
    "calls_at_the_end.sse": [
        HI,
        called(0, "call_1", "add", '{"a": 1}'),
        called(1, "call_2", "sub", '{"b":2}'),
        CALLED,
    ],
    "call_without_arguments.sse": [
        called(0, "call_1", "now"),
        argued(0, "{}"),
        CALLED,
    ],
    "call_vllm.sse": [*ADDED, CALLED],
    "llamacpp.sse": [
        evolve(each, **LLAMA)
        for each in (
            thought("Hm"),
            HI,
            chunk(" you"),
            called(0, "fc_a", "add"),
            argued(0, '{"a":1}'),
            called(1, "fc_b", "sub"),
            argued(1, '{"b":2}'),
        )
    ]
    + [LAST_OF_LLAMA],
    "custom_call.sse": [
        custom("", "patch"),
        custom("*** Begin"),
        custom("\n+x"),
        CALLED,
    ],
    "web_search.sse": [HI, CITATION, STOP],
    "mcp.sse": [HI, STOP],
    "image.sse": [
        chunk(
            extra={
                "images": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/webp;base64,UklGRg=="},
                    }
                ]
            }
        ),
        STOP,
    ],
    "cut_by_length.sse": [HI, CUT],
    "cut_by_filter.sse": [HI, chunk(finish="content_filter")],
    "cut_for_no_reason.sse": [HI, CUT],
    "cut_but_completed.sse": [HI, CUT],
    "said_nothing.sse": [STOP],
    "thought_only.sse": [sealed(0, "gAAAA1"), CUT],
    "usage_missing.sse": [HI, evolve(STOP, usage=None)],
    "usage_bare.sse": [HI, evolve(STOP, usage=evolve(COUNTED, extra={}))],
    "service_tier.sse": [HI, evolve(STOP, extra={"service_tier": "flex"})],
    "response.json": [
        thought("Really."),
        sealed(0, "gAAAA1", "A.", "B."),
        chunk("Grüß", refusal="No."),
        called(0, "call_1", "add", '{"a":1}'),
        evolve(
            chunk(
                tool_calls=(
                    ToolCallDelta(
                        index=1,
                        type="custom",
                        extra={"custom": {"name": "patch", "input": "*** Begin\n+x"}},
                    ),
                )
            )
        ),
        CALLED,
    ],
    "response_cut.json": [HI, CUT],
}
Failure = tuple[type[Exception] | tuple[type[Exception], ...], str | None]
CUT_OFF = (ProviderProtocolError, "ended before its last event")
# What each sample of a failure raises, and a part of what that says.
FAILURES: dict[str, Failure] = {
    "error_first.sse": (ProviderFailed, "Something broke"),
    "error_later.sse": (ProviderBusy, "Too many"),
    "error_nested.sse": (ProviderRefusedRequest, "It is not for me"),
    "error_in_chat_shape.sse": (ProviderFailed, "over capacity"),
    "error_empty.sse": (ProviderFailed, "names no reason"),
    "error.json": (ProviderDenied, "Incorrect API key"),
    "failed.sse": (ProviderFailed, "The model broke"),
    "failed_later.sse": (ProviderFailed, "Overloaded"),
    "failed_openrouter.sse": (ProviderBusy, "Slow down"),
    "failed_unexplained.sse": (ProviderFailed, "names no reason"),
    "failed_but_completed.sse": (ProviderFailed, "The model broke"),
    "failed.json": (ProviderRefusedRequest, "Not this"),
    "cancelled.sse": (ProviderFailed, "cancelled"),
    "queued.json": CUT_OFF,
    "nothing.json": CUT_OFF,
    "truncated.sse": CUT_OFF,
    "truncated_call.sse": CUT_OFF,
    "done_without_end.sse": CUT_OFF,
    "truncated_event.sse": (ProviderProtocolError, "inside an event"),
    "truncated.json": (ProviderProtocolError, "inside an event"),
    "page.html": (ProviderProtocolError, "a page of HTML"),
    "call_unnamed.sse": (ProviderProtocolError, "without its name"),
    "invalid_json.sse": (UNREADABLE, None),
    "delta_not_text.sse": (UNREADABLE, None),
    "arguments_not_text.sse": (UNREADABLE, None),
}


def read(body: bytes, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    return delivered(Responses(SETTINGS), body, size)


def test_every_sample_is_used() -> None:
    """No sample lies about that no test reads."""
    assert {path.name for path in SAMPLES.iterdir()} == {*ANSWERS, *FAILURES}


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str, size: int) -> None:
    """An answer's chunks are what it says, byte by byte or all at once."""
    body = (SAMPLES / name).read_bytes()

    assert list(read(body, size)) == ANSWERS[name]


@pytest.mark.parametrize("name", ANSWERS)
def test_whole_answers(name: str) -> None:
    """An answer that was asked for in one piece is read as whatever it is."""
    body = (SAMPLES / name).read_bytes()

    assert list(chunks_of(Responses(SETTINGS).read_whole(body))) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(("name", "failure"), FAILURES.items(), ids=FAILURES)
def test_failures(name: str, failure: Failure, size: int) -> None:
    """A failure is told as what it is, byte by byte or all at once."""
    error, says = failure
    with pytest.raises(error, match=says):
        list(read((SAMPLES / name).read_bytes(), size))


@pytest.mark.parametrize("name", ["text.sse", "calls_interleaved.sse", "summary.sse"])
def test_cut_anywhere(name: str) -> None:
    """Wherever a body ends before its last event is there, the answer is cut."""
    body = (SAMPLES / name).read_bytes()
    last = body.index(b"event: response.completed")
    for end in range(0, last + 40, 7):
        with pytest.raises(ProviderProtocolError):
            list(read(body[:end]))

    assert list(read(body.rstrip())) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\n\r\n \n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("name", ["text.sse", "response.json"])
def test_head(name: str, head: bytes, size: int) -> None:
    """A byte order mark and blank lines before an answer are no part of it."""
    assert list(read(head + (SAMPLES / name).read_bytes(), size)) == ANSWERS[name]


def test_done_and_finished() -> None:
    """An answer is finished and done with its last event, not with its last item."""
    dialect = Responses(SETTINGS)
    steps = []
    for event in (SAMPLES / "text.sse").read_bytes().split(b"\n\n"):
        list(dialect.receive(event + b"\n\n"))
        steps.append((dialect.finished, dialect.done))

    assert set(steps[:-2]) == {(False, False)}
    assert steps[-2:] == [(True, True), (True, True)]


def first_token(name: str) -> bytes:
    """Return the line of a sample with which its first token comes."""
    dialect = Responses(SETTINGS)
    for line in (SAMPLES / name).read_bytes().splitlines(keepends=True):
        if any(chunk.has_token for chunk in dialect.receive(line + b"\n")):
            return line
    raise AssertionError("no token")


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("text.sse", b'"response.output_text.delta"'),
        ("keepalives.sse", b'"response.output_text.delta"'),
        ("refusal.sse", b'"response.refusal.delta"'),
        ("summary.sse", b'"response.reasoning_summary_text.delta"'),
        ("thoughts.sse", b'"response.reasoning_text.delta"'),
        ("reasoning_hidden.sse", b'"response.output_text.delta"'),
        ("call.sse", b'"response.output_item.added"'),
        ("custom_call.sse", b'"response.output_item.added"'),
        ("calls_not_added.sse", b'"response.output_item.done"'),
        ("web_search.sse", b'"response.output_text.delta"'),
        ("image.sse", b'"response.output_item.done"'),
        ("text_in_done.sse", b'"response.output_text.done"'),
        ("text_in_item.sse", b'"response.output_item.done"'),
        ("text_at_the_end.sse", b'"response.completed"'),
    ],
)
def test_first_token(name: str, event: bytes) -> None:
    """
    A race is won by text, thoughts and calls, wherever they are told first; not by
    beginnings, seals, or what the upstream does by itself.
    """
    assert event in first_token(name)


@pytest.mark.parametrize("name", ["said_nothing.sse", "thought_only.sse"])
def test_no_token(name: str) -> None:
    """An answer without a word has no token, and is whole all the same."""
    assert not any(chunk.has_token for chunk in read((SAMPLES / name).read_bytes()))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *STATUS.items(),
        ("bio_policy", 400),
        ("cyber_policy", 400),
        ("misalignment_policy_violation", 400),
        ("image_parse_error", 400),
        ("invalid_base64_image", 400),
        ("vector_store_timeout", None),
        ("made_up", None),
    ],
)
def test_codes(code: str, status: int | None) -> None:
    """The API's words for failures stand for the statuses that they have elsewhere."""
    told = {"code": code, "message": "Because."}
    for event in (
        {"type": "error", **told, "param": None},
        {"type": "error", "error": told},
        {"type": "response.failed", "response": {"status": "failed", "error": told}},
    ):
        with pytest.raises(ProviderError) as caught:
            list(read(events(event)))

        assert type(caught.value) is error_class(status)
        assert caught.value.status == status
        assert caught.value.upstream_code == code
        assert caught.value.message == "Because."


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("Rate limit reached. Please try again in 11.5s. Visit", 11.5),
        ("Please try again in 350ms.", 0.35),
        ("Please try again later", None),
        ("Please try again in 3 strange days", None),
    ],
)
def test_wait(message: str, wait: float | None) -> None:
    """How long to leave it alone stands in the text."""
    told = {"type": "error", "code": "rate_limit_exceeded", "message": message}
    with pytest.raises(ProviderBusy) as caught:
        list(read(events(told)))

    assert caught.value.retry_after == wait


def test_status_of_an_event() -> None:
    """An error that came over another transport has its HTTP status beside it."""
    error = {"type": "made_up", "code": None, "message": "No."}
    with pytest.raises(ProviderBusy):
        list(read(events({"type": "error", "status": 429, "error": error})))


@pytest.mark.parametrize("head", [b"{", b"\n"])
def test_bound(head: bytes) -> None:
    """A body without an event is not collected without end."""
    dialect = Responses(SETTINGS)
    dialect.receive(head)

    with pytest.raises(ValueError, match="larger than"):
        dialect.receive(b" " * MAX_EVENT_BYTES)


def test_items_are_bounded() -> None:
    """Neither the items of an answer nor what is kept of one grow without end."""
    delta = {"type": "response.output_text.delta", "output_index": 0}
    long = events({**delta, "delta": "x" * (MAX_EVENT_BYTES // 2)})
    dialect = Responses(SETTINGS)
    for _ in range(8):
        list(dialect.receive(long))
    with pytest.raises(UNREADABLE, match="longer than"):
        list(dialect.receive(long))

    with pytest.raises(UNREADABLE, match="items"):
        list(
            read(
                events(
                    *({**delta, "output_index": i, "delta": "x"} for i in range(10_001))
                )
            )
        )


def test_ids_of_calls_are_unique() -> None:
    """Where two calls have one id, the other gets one of its own further in."""
    calls = [
        {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
        for name in ("a", "b")
    ]
    body = events(
        {"type": "response.completed", "response": {"id": "r", "output": calls}}
    )

    ids = [
        call.id for chunk in read(body) for call in chunk.choices[0].delta.tool_calls
    ]
    assert ids == ["c", None]


def test_arguments_that_are_an_object() -> None:
    """A call's arguments become JSON text, as its clients want them."""
    call = {"type": "function_call", "call_id": "c", "name": "a", "arguments": {"b": 1}}
    response = {"id": "r", "output": [call]}
    first, _ = read(events({"type": "response.completed", "response": response}))

    assert first.choices[0].delta.tool_calls[0].arguments == '{"b":1}'


def test_models() -> None:
    """The list of models is asked for with the key, and read in either shape."""
    dialect = Responses(SETTINGS)
    call = dialect.list_models()

    assert call.path == "models"
    assert call.headers["Authorization"] == "Bearer sk-test-1234"
    assert dialect.read_models(b'{"data": [{"id": "a"}, {"id": "b"}]}') == ("a", "b")
    assert dialect.read_models(b'[{"id": "a"}]') == ("a",)


def test_seals_before_the_first_token() -> None:
    """All that comes before the first token and belongs to the answer goes with it."""
    done = [
        {
            "type": "response.output_item.done",
            "output_index": i,
            "item": {
                "type": "reasoning",
                "id": f"rs_{i}",
                "encrypted_content": f"g{i}",
            },
        }
        for i in range(2)
    ]
    text = {"type": "response.output_text.delta", "output_index": 2, "delta": "Hi"}
    first, second = Responses(SETTINGS).receive(events(*done, text, text))

    blocks = first.chunks()[0] if isinstance(first, TextRun) else first
    found = blocks.choices[0].delta.extra["thinking_blocks"]
    assert [(each["index"], each["encrypted_content"]) for each in found] == [
        (0, "g0"),
        (1, "g1"),
    ]
    assert all(not each.choices[0].delta.extra for each in chunks_of([second]))


@pytest.mark.parametrize("created", [-1, 2**33, 1e300, "now", None, True])
def test_times_that_are_none(created: Any) -> None:
    """A time that JSON has no room for, or that is none, is not passed on."""
    response = {"id": "r", "created_at": created, "output": []}
    (last,) = read(events({"type": "response.completed", "response": response}))

    assert last.created is None


def item_event(what: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "item": item, **more}


def piece(name: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{name}.delta", "delta": text, **more}


SAID = {"type": "message", "content": [{"type": "output_text", "text": "Hi you"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
NO_CALL = {**CALL, "arguments": ""}
MORE: dict[str, tuple[list[dict[str, Any]], list[Chunk]]] = {
    "an item that is added twice": (
        [
            item_event("added", {**NO_CALL, "id": "fc"}, output_index=0),
            item_event("added", {**NO_CALL, "id": "fc"}, output_index=1),
            item_event("done", {**CALL, "id": "fc"}, output_index=1),
        ],
        [called(0, "c", "f"), argued(0, '{"a":1}')],
    ),
    "items that have neither index nor id": (
        [
            piece("output_text", "Hi"),
            item_event("done", SAID),
            item_event("added", {**NO_CALL, "call_id": "b"}),
            piece("function_call_arguments", '{"a"'),
            item_event("done", CALL),
            item_event("added", {**NO_CALL, "call_id": "d"}),
            piece("function_call_arguments", "{}"),
        ],
        [
            HI,
            chunk(" you"),
            called(0, "b", "f"),
            argued(0, '{"a"'),
            argued(0, ":1}"),
            called(1, "d", "f"),
            argued(1, "{}"),
        ],
    ),
    "pieces with nothing in them": (
        [
            piece("output_text", ""),
            piece("refusal", ""),
            piece("reasoning_text", None),
            piece("reasoning_summary_text", ""),
            piece("function_call_arguments", ""),
            piece("custom_tool_call_input", None),
            item_event("done", {"type": "image_generation_call", "result": None}),
            item_event("done", {"type": "message", "content": [{"type": "made_up"}]}),
            item_event("done", {"type": "reasoning", "summary": [{"text": ""}]}),
        ],
        [],
    ),
    "thoughts that are longer at their end": (
        [
            piece("reasoning_text", "H", output_index=0, content_index=0),
            {
                "type": "response.reasoning_text.done",
                "output_index": 0,
                "content_index": 0,
                "text": "Hm.",
            },
            {
                "type": "response.reasoning_text.done",
                "output_index": 0,
                "content_index": 1,
                "text": "Well.",
            },
        ],
        [thought("H"), thought("m."), thought("\n\nWell.")],
    ),
    "an output in another order": (
        [
            item_event("added", {**NO_CALL, "id": "fc"}, output_index=0),
            piece("output_text", "Hi", output_index=1),
            {
                "type": "response.completed",
                "response": {"output": [SAID, {**CALL, "call_id": "c"}]},
            },
        ],
        [
            called(0, "c", "f"),
            HI,
            argued(0, '{"a":1}'),
            evolve(CALLED, usage=None),
        ],
    ),
    "texts after calls": (
        [
            item_event("added", {**NO_CALL, "id": "fc"}, output_index=0),
            piece("output_text", "Hi", output_index=1),
            piece("function_call_arguments", '{"a":1}', output_index=0),
            piece("output_text", " you", output_index=1),
        ],
        [called(0, "c", "f"), HI, argued(0, '{"a":1}'), chunk(" you")],
    ),
}


@pytest.mark.parametrize(("sent", "said"), MORE.values(), ids=MORE)
def test_more_ways_to_say_it(sent: list[dict[str, Any]], said: list[Chunk]) -> None:
    """However little its events say of their items, an answer is put together."""
    begun = {"id": "resp_1", "created_at": 1790000000, "model": "gpt-x"}
    body = events({"type": "response.created", "response": begun}, *sent)

    assert list(chunks_of(Responses(SETTINGS).receive(body))) == said
