"""Chat completions as we serve them: bodies in, streams and whole answers out."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from providers import (
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ProviderProtocolError,
    ToolCallDelta,
    Usage,
)
from server.errors import InvalidJSON, InvalidRequest
from server.racing.lineup import RaceOptions, Selection
from server.wire.bound import MAX_ANSWER
from server.wire.chat import (
    RENDERING,
    ChatCompletionAnswer,
    ChatCompletionStream,
    Identity,
    parse,
)
from server.wire.errors import error_frame

HELLO = [{"role": "user", "content": "hello"}]
BODY: dict[str, Any] = {"model": "m", "messages": HELLO}
USAGE = Usage(
    prompt_tokens=3,
    completion_tokens=2,
    total_tokens=5,
    extra={"completion_tokens_details": {"reasoning_tokens": 1}},
)


def encoded(**fields: Any) -> bytes:
    return json.dumps(BODY | fields).encode()


def chunk(
    finish_reason: FinishReason | None = None,
    index: int = 0,
    logprobs: dict[str, Any] | None = None,
    **delta: Any,
) -> Chunk:
    """Return an upstream's chunk with one choice."""
    choice = Choice(
        index=index,
        delta=Delta(**delta),
        finish_reason=finish_reason,
        logprobs=logprobs,
    )
    return Chunk(id="chatcmpl-1", created=1700, model="real", choices=(choice,))


def call(index: int = 0, choice: int = 0, **piece: Any) -> Chunk:
    """Return a chunk with a piece of one tool call."""
    return chunk(index=choice, tool_calls=(ToolCallDelta(index=index, **piece),))


def likely(token: str) -> dict[str, Any]:
    row = {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []}
    return {"content": [row], "refusal": None}


ROLE = chunk(content="")
STOP = chunk("stop")
USED = Chunk(usage=USAGE)
TEXT = [ROLE, chunk(content="Good"), chunk(content="bye"), STOP, USED]


def frames(sent: bytes) -> list[Any]:
    """Return the payloads of a stream's events, parsed but for `[DONE]`."""
    events = sent.decode().split("\n\n")
    assert events.pop() == ""
    found = [event.removeprefix("data: ") for event in events]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


def streamed(chunks: Iterable[Chunk], **request: Any) -> list[Any]:
    """Return the events of a stream, rendered chunk by chunk."""
    chat, _ = parse(encoded(stream=True, **request))
    stream = RENDERING.stream(chat, "A", "asked")
    return frames(b"".join([*(stream.render([c]) for c in chunks), stream.end()]))


def deltas(chunks: Iterable[Chunk]) -> list[dict[str, Any]]:
    events = streamed(chunks)[:-1]
    return [choice["delta"] for event in events for choice in event["choices"]]


def whole(chunks: Iterable[Chunk]) -> dict[str, Any]:
    answer = ChatCompletionAnswer(Identity("A", "asked"))
    answer.add(chunks)
    body: dict[str, Any] = json.loads(answer.body())
    return body


def message(chunks: Iterable[Chunk]) -> dict[str, Any]:
    (choice,) = whole(chunks)["choices"]
    found: dict[str, Any] = choice["message"]
    return found


# Requests


def test_what_is_native_is_not_the_clients_to_say() -> None:
    """It has headers, and goes past the translation: a body can't have it."""
    native = {"format": "messages", "body": {}, "headers": {"host": "x"}}

    request, _ = parse(encoded(native=native))

    assert request.native is None
    assert request.body["native"] == native


def test_parse() -> None:
    """A body becomes a request, with the fields that we act on."""
    fields = {"temperature": 1, "stop": ["a"], "n": 2, "stream": True}

    request, selection = parse(encoded(**fields))

    assert (request.model, request.messages[0].content) == ("m", "hello")
    assert (request.temperature, request.stop, request.n) == (1.0, ("a",), 2)
    assert request.stream
    assert selection == Selection()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {"include_obfuscation": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ],
)
def test_parse_stream_options(fields: dict[str, Any], expected: bool) -> None:
    """Usage in a stream is for who asks for it."""
    assert parse(encoded(**fields))[0].include_usage is expected


def test_provider_and_race_are_for_us() -> None:
    """`provider` and `race` select; upstreams get the rest, unknown fields and all."""
    race = {"strategy": "fallback", "max_parallel": 1, "deadline": 2}
    fields = {"min_p": 0.1, "messages": [{**HELLO[0], "x": 1}]}

    request, selection = parse(encoded(**fields, provider="A B", race=race))

    assert request.body == BODY | fields
    assert selection.providers == ("A", "B")
    options = RaceOptions(strategy="fallback", max_parallel=1, deadline=2.0)
    assert selection.race == options


@pytest.mark.parametrize("given", ["text", 7, None, {"model": "other"}])
def test_a_field_called_body(given: Any) -> None:
    """A client's own field called `body` does no harm, and is passed on as others."""
    request, _ = parse(encoded(body=given))

    assert request.model == "m"
    assert request.body == BODY | {"body": given}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": None, "tools": None, "stop": None, "stream": None},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        {"messages": [{"role": "developer", "content": [{"type": "x", "y": 1}]}]},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [{"type": "web_search"}]},
        {"seed": -1, "logit_bias": {"5": 100}, "metadata": {"a": "b"}},
        {"provider": None, "race": None},
        {"race": {}},
    ],
)
def test_parse_lets_in_what_openai_does(fields: dict[str, Any]) -> None:
    """Nulls, parts and tools of unknown types and open objects are no errors."""
    parse(encoded(**fields))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The request body is empty."),
        (b" \n", "The request body is empty."),
        (b"{", "The request body is not valid JSON"),
        (b'{"model": NaN}', "The request body is not valid JSON"),
        (b'{"model": "\xff"}', "The request body is not valid JSON"),
        (b"{} {}", "The request body is not valid JSON"),
        (b"[" * 100_000, "The request body is not valid JSON"),
        (b"[]", "The request body must be a JSON object."),
        (b"null", "The request body must be a JSON object."),
        (b'"model"', "The request body must be a JSON object."),
    ],
)
def test_what_is_no_json_object(body: bytes, words: str) -> None:
    """A body that is no JSON object is told what it should be."""
    with pytest.raises(InvalidJSON) as caught:
        parse(body)

    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert caught.value.message.startswith(words)


USER_ERRORS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": ""}, "model", "'model' must not be empty."),
    ({"model": None}, "model", "'model' must be a string, not null."),
    ({"model": 7}, "model", "'model' must be a string, not 7."),
    ({"messages": []}, "messages", "'messages' must not be empty."),
    ({"messages": "a"}, "messages", "'messages' must be an array, not 'a'."),
    ({"messages": ["a"]}, "messages[0]", "must be an object, not 'a'."),
    ({"messages": [{}]}, "messages[0].role", "'messages[0].role' is missing."),
    (
        {"messages": [*HELLO, {"role": "king", "content": ""}]},
        "messages[1].role",
        "must be one of developer, system, user, assistant, tool, function, not",
    ),
    (
        {"messages": [{"role": "user", "content": 7}]},
        "messages[0].content",
        "must be a string or an array, not 7.",
    ),
    (
        {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        "messages[0].content[0].type",
        "is missing.",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        "messages[0].content[0].text",
        "must be a string, not 1.",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
        "messages[0].tool_calls[0].id",
        "is missing.",
    ),
    ({"temperature": 3}, "temperature", "'temperature' must be <= 2"),
    ({"temperature": "hot"}, "temperature", "must be a number, not 'hot'."),
    ({"top_p": -0.1}, "top_p", "'top_p' must be >= 0"),
    ({"n": 0}, "n", "'n' must be >= 1"),
    ({"n": 129}, "n", "'n' must be <= 128"),
    ({"n": 1.5}, "n", "must be a whole number, not 1.5."),
    ({"max_tokens": 0}, "max_tokens", "'max_tokens' must be >= 1"),
    ({"max_completion_tokens": "9"}, "max_completion_tokens", "must be a whole number"),
    ({"top_logprobs": 21}, "top_logprobs", "'top_logprobs' must be <= 20"),
    ({"frequency_penalty": 2.1}, "frequency_penalty", "must be <= 2"),
    ({"presence_penalty": -3}, "presence_penalty", "must be >= -2"),
    ({"stream": "yes"}, "stream", "'stream' must be true or false, not 'yes'."),
    ({"stream": 1}, "stream", "'stream' must be true or false, not 1."),
    ({"stream_options": []}, "stream_options", "must be an object, not an array."),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "must"),
    ({"stop": 1}, "stop", "'stop' must be a string or an array, not 1."),
    ({"stop": ["a", 1]}, "stop[1]", "'stop[1]' must be a string, not 1."),
    ({"tools": {}}, "tools", "'tools' must be an array, not an object."),
    ({"tools": [{}]}, "tools[0].type", "is missing."),
    (
        {"tools": [{"type": "function", "function": {"name": ""}}]},
        "tools[0].function.name",
        "must not be empty.",
    ),
    ({"tool_choice": 1}, "tool_choice", "must be a string or an object, not 1."),
    ({"response_format": "json"}, "response_format", "must be an object, not 'json'."),
    ({"response_format": {}}, "response_format.type", "is missing."),
    ({"logit_bias": []}, "logit_bias", "must be an object, not an array."),
    ({"provider": 1}, "provider", "must be a string of provider ids"),
    ({"provider": ["A", 1]}, "provider", "or an array of ids."),
    ({"provider": {}}, "provider", "must be a string of provider ids"),
    ({"race": "fast"}, "race", "'race' must be an object, not 'fast'."),
    ({"race": {"stratgy": "race"}}, "race.stratgy", "did you mean 'strategy'?"),
    ({"race": {"max_parallel": 0}}, "race.max_parallel", "must be >= 1"),
    ({"race": {"max_parallel": 1.5}}, "race.max_parallel", "must be a whole number"),
    ({"race": {"deadline": 0}}, "race.deadline", "must be > 0"),
    ({"race": {"first_token_timeout": -1}}, "race.first_token_timeout", "must be > 0"),
]


@pytest.mark.parametrize(("fields", "param", "words"), USER_ERRORS)
def test_user_errors(fields: dict[str, Any], param: str, words: str) -> None:
    """A wrong field is a 400 that names it and says in a sentence what is right."""
    with pytest.raises(InvalidRequest) as caught:
        parse(encoded(**fields))

    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.message.startswith(f"'{param}' ")
    assert words in caught.value.message
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("field", ["model", "messages"])
def test_missing_fields(field: str) -> None:
    """Both fields that a chat can't do without are asked for by name."""
    body = {name: value for name, value in BODY.items() if name != field}

    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps(body).encode())

    assert caught.value.payload() == {
        "message": f"'{field}' is missing.",
        "type": "invalid_request_error",
        "param": field,
        "code": "invalid_request",
    }


# Streams


def test_a_stream() -> None:
    """A plain answer: a role once, texts, one finish_reason, and [DONE]."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700,
        "model": "real",
        "provider": "A",
    }
    choices: list[dict[str, Any]] = [
        {"delta": {"role": "assistant", "content": "Good"}, "finish_reason": None},
        {"delta": {"content": "bye"}, "finish_reason": None},
        {"delta": {}, "finish_reason": "stop"},
    ]

    assert streamed(TEXT) == [
        *[{**head, "choices": [{"index": 0, **choice}]} for choice in choices],
        "[DONE]",
    ]


@pytest.mark.parametrize("extent", range(1, 6))
def test_a_stream_is_the_same_however_it_arrives(extent: int) -> None:
    """Chunks that arrive together are rendered as if they had come one by one."""
    stream = ChatCompletionStream(Identity("A", "asked"), include_usage=True)
    groups = [TEXT[at : at + extent] for at in range(0, len(TEXT), extent)]

    sent = b"".join(stream.render(group) for group in groups) + stream.end()

    assert frames(sent) == streamed(TEXT, stream_options={"include_usage": True})


@pytest.mark.parametrize(
    "nothing",
    [
        Chunk(),
        ROLE,
        USED,
        chunk(),
        chunk(content=None, reasoning_content="", refusal=""),
        Chunk(choices=(Choice(), Choice(index=1))),
    ],
)
def test_what_renders_nothing(nothing: Chunk) -> None:
    """A chunk without anything to show is no event."""
    assert (
        ChatCompletionStream(Identity("A", "m"), include_usage=True).render([nothing])
        == b""
    )


def test_identity_is_the_first_chunks() -> None:
    """id, created and model stay those of the first chunk, whatever comes later."""
    changed = Chunk(id="other", created=1, model="other", choices=STOP.choices)

    events = streamed([chunk(content="a"), changed])[:-1]

    assert {(e["id"], e["created"], e["model"]) for e in events} == {
        ("chatcmpl-1", 1700, "real")
    }


def test_identity_is_made_up() -> None:
    """An upstream that names no id, time or model is given them, once."""
    bare = [Chunk(choices=c.choices) for c in TEXT]

    events = streamed(bare)[:-1]

    assert len({(e["id"], e["created"]) for e in events}) == 1
    assert events[0]["id"].startswith("chatcmpl-")
    assert events[0]["created"] > 1_700_000_000
    assert events[0]["model"] == "asked"
    assert streamed(bare)[0]["id"] != events[0]["id"]


def test_provider_is_in_every_chunk() -> None:
    """The winner's id is in every event, the one with the usage included."""
    events = streamed(TEXT, stream_options={"include_usage": True})

    assert [event["provider"] for event in events[:-1]] == ["A"] * 4


def test_each_choice_has_one_role_and_one_finish() -> None:
    """With n=2 each choice has its own role, in its first delta, and its own finish."""
    chunks = [
        chunk(content="a"),
        chunk(index=1, content="b"),
        chunk(content="c"),
        chunk("stop"),
        chunk("length", index=1, content="d"),
    ]

    choices = [choice for e in streamed(chunks)[:-1] for choice in e["choices"]]

    roles = [(c["index"], c["delta"].get("role")) for c in choices]
    assert roles == [
        (0, "assistant"),
        (1, "assistant"),
        (0, None),
        (0, None),
        (1, None),
    ]
    ends = [(c["index"], c["finish_reason"]) for c in choices if c["finish_reason"]]
    assert ends == [(0, "stop"), (1, "length")]


def test_nothing_follows_a_finish() -> None:
    """What an upstream says after a finish_reason is not shown, nor a second finish."""
    late = [chunk(content="more"), chunk("length"), chunk(logprobs=likely("x"))]

    assert streamed([*TEXT, *late]) == streamed(TEXT)


def test_usage_is_for_who_asks() -> None:
    """Usage comes once, last, in an event without choices, if it was asked for."""
    early = Chunk(usage=Usage(total_tokens=1), choices=chunk(content="Good").choices)
    chunks = [early, *TEXT[2:]]

    events = streamed(chunks, stream_options={"include_usage": True})

    assert [event for event in streamed(chunks)[:-1] if "usage" in event] == []
    *before, last, done = events
    assert [event for event in before if "usage" in event] == []
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert done == "[DONE]"


def test_usage_that_nobody_knows() -> None:
    """Where the upstream counts nothing, no numbers are made up."""
    events = streamed(TEXT[:-1], stream_options={"include_usage": True})

    assert events[-1] == "[DONE]"
    assert all(event["choices"] for event in events[:-1])


@pytest.mark.parametrize(
    "name", ["content", "reasoning_content", "refusal", "audio", "function_call"]
)
def test_what_a_delta_shows(name: str) -> None:
    """Whatever carries a token is shown under OpenAI's name for it."""
    value = {"data": "a"} if name in {"audio", "function_call"} else "a"

    delta: dict[str, Any] = {name: value}

    assert deltas([chunk(**delta)]) == [{"role": "assistant", name: value}]


def test_logprobs() -> None:
    """Log probabilities stand beside the delta they are of."""
    (event, _) = streamed([chunk(content="a", logprobs=likely("a"))])

    assert event["choices"][0]["logprobs"] == likely("a")


def test_fields_that_we_do_not_know() -> None:
    """What a vendor adds to a chunk, a delta or a call survives in its place."""
    pieces = (
        ToolCallDelta(index=0, id="c", name="f", extra={"signature": "s"}),
        ToolCallDelta(index=0, arguments="{}", extra={"signature": "t"}),
    )
    delta = Delta(tool_calls=pieces, extra={"annotations": [1]})
    vendors = Chunk(choices=(Choice(delta=delta),), extra={"system_fingerprint": "fp"})

    (event, _) = streamed([vendors])

    assert event["system_fingerprint"] == "fp"
    assert event["choices"][0]["delta"]["annotations"] == [1]
    shown = event["choices"][0]["delta"]["tool_calls"]
    assert [call["signature"] for call in shown] == ["s", "t"]


def test_details_of_reasoning() -> None:
    """A stream passes the fragments on; in a whole answer those of an index are one."""
    fragments = [
        {"type": "reasoning.text", "text": "H", "format": "x-v1", "index": 0},
        {"type": "reasoning.text", "text": "m", "index": 0},
        {"index": 0, "signature": "q"},
    ]
    chunks = [chunk(extra={"reasoning_details": [each]}) for each in fragments]

    assert [d["reasoning_details"] for d in deltas(chunks)] == [[f] for f in fragments]
    whole = {**fragments[0], "text": "Hm", "signature": "q"}
    assert message([*chunks, chunk("stop", content="a")])["reasoning_details"] == [
        whole
    ]


def test_tool_calls() -> None:
    """A call's id, type and name come with its first piece; the rest are arguments."""
    chunks = [
        call(id="call_1", name="f", arguments=""),
        call(arguments='{"a"'),
        call(1, id="call_2", name="g", type="function", arguments="{}"),
        call(arguments=":1}"),
    ]

    assert [call for delta in deltas(chunks) for call in delta["tool_calls"]] == [
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": ""},
        },
        {"index": 0, "function": {"arguments": '{"a"'}},
        {
            "index": 1,
            "id": "call_2",
            "type": "function",
            "function": {"name": "g", "arguments": "{}"},
        },
        {"index": 0, "function": {"arguments": ":1}"}},
    ]


def test_a_tool_call_without_an_id() -> None:
    """A call that an upstream gives no id is given one, and each call its own."""
    chunks = [call(name="f", arguments="{}"), call(1, name="f", arguments="{}")]

    shown = [call for delta in deltas(chunks) for call in delta["tool_calls"]]
    (first, second) = message(chunks)["tool_calls"]

    assert [call["id"][:5] for call in (*shown, first, second)] == ["call_"] * 4
    assert shown[0]["id"] != shown[1]["id"]
    assert first["id"] != second["id"]


def test_an_error_frame() -> None:
    """An error in a stream is an event with OpenAI's error object."""
    error = InvalidRequest("no", param="p")

    assert frames(error_frame(error)) == [{"error": error.payload()}]


# Whole answers


def test_a_whole_answer() -> None:
    """The same chunks make one completion, with a usage that nobody has to ask for."""
    assert whole(TEXT) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700,
        "model": "real",
        "provider": "A",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Goodbye", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    }


def test_interleaved_tool_calls() -> None:
    """The pieces of each call are put together in their order, the calls in theirs."""
    chunks = [
        call(1, id="call_2", name="g", arguments="["),
        call(id="call_1", name="f"),
        call(arguments='{"a"'),
        call(1, arguments="1]", extra={"signature": "s"}),
        call(arguments=":1}"),
        chunk("tool_calls"),
    ]

    shown = message(chunks)

    assert shown["content"] is None
    f, g = shown["tool_calls"]
    assert (f["id"], f["type"]) == ("call_1", "function")
    assert f["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (g["id"], g["signature"]) == ("call_2", "s")
    assert g["function"] == {"name": "g", "arguments": "[1]"}


def test_two_choices() -> None:
    """With n=2 each choice has its own text and finish, ordered by their indexes."""
    chunks = [
        chunk(index=1, content="b"),
        chunk(content="a"),
        chunk("length", index=1, content="B"),
        chunk(content="A"),
        STOP,
        chunk(content="late"),
    ]

    choices = whole(chunks)["choices"]

    assert [(c["message"]["content"], c["finish_reason"]) for c in choices] == [
        ("aA", "stop"),
        ("bB", "length"),
    ]


def test_merged_logprobs() -> None:
    """Log probabilities of all deltas come in one list, as the tokens came."""
    chunks = [
        chunk(content="a", logprobs=likely("a")),
        chunk(content="b", logprobs=likely("b")),
        STOP,
    ]

    (choice,) = whole(chunks)["choices"]

    tokens = likely("a")["content"] + likely("b")["content"]
    assert choice["logprobs"]["content"] == tokens


def test_merged_audio() -> None:
    """A sound's data and transcript grow; its id and expiry are one each."""
    chunks = [
        chunk(audio={"id": "audio_1", "transcript": "he"}),
        chunk(audio={"id": "audio_1", "data": "AA", "transcript": "llo"}),
        chunk(audio={"data": "BB"}),
        chunk(audio={"expires_at": 1800}),
    ]

    assert message(chunks)["audio"] == {
        "id": "audio_1",
        "transcript": "hello",
        "data": "AABB",
        "expires_at": 1800,
    }


def test_reasoning_refusal_and_the_old_function_call() -> None:
    """Every kind of text is put together on its own."""
    chunks = [
        chunk(reasoning_content="h"),
        chunk(reasoning_content="m", refusal="n"),
        chunk(refusal="o", function_call={"name": "f", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}, extra={"annotations": [1]}),
        chunk(extra={"annotations": [2]}),
    ]

    assert message(chunks) == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "refusal": "no",
        "function_call": {"name": "f", "arguments": "{}"},
        "annotations": [1, 2],
    }


def test_unknown_fields_of_chunks() -> None:
    """What a vendor adds to its chunks is on the completion."""
    chunks = [Chunk(extra={"citations": ["a"]}), *TEXT, Chunk(extra={"x": 1})]

    body = whole(chunks)

    assert (body["citations"], body["x"]) == (["a"], 1)


BIG = "x" * (MAX_ANSWER // 2 + 1)


@pytest.mark.parametrize(
    "endless",
    [
        chunk(content=BIG),
        chunk(reasoning_content=BIG),
        chunk(refusal=BIG),
        call(name="f", arguments=BIG),
        chunk(function_call={"arguments": BIG}),
        chunk(audio={"data": BIG}),
        chunk(extra={"details": [BIG]}),
        chunk(logprobs=likely(BIG)),
    ],
    ids=[
        "text",
        "reasoning",
        "refusal",
        "tool",
        "function",
        "audio",
        "extra",
        "logprobs",
    ],
)
def test_an_answer_without_end(endless: Chunk) -> None:
    """However an answer grows, it is refused before it fills the memory."""
    answer = ChatCompletionAnswer(Identity("A", "m"))

    with pytest.raises(ProviderProtocolError, match="is larger than"):
        answer.add([endless] * 2)


# What the official client makes of it

STREAMS: dict[str, list[Chunk]] = {
    "text": TEXT,
    "cut by length": [chunk(content="a"), chunk("length"), USED],
    "one chunk": [chunk("stop", content="all at once")],
    "reasoning": [chunk(reasoning_content="hm"), chunk(content="a"), STOP],
    "refusal": [chunk(refusal="I "), chunk(refusal="can't"), chunk("content_filter")],
    "tool calls": [
        call(id="call_1", name="f", type="function"),
        call(1, id="call_2", name="g", arguments="["),
        call(arguments='{"a"'),
        call(1, arguments="]"),
        call(arguments=":1}"),
        chunk("tool_calls"),
        USED,
    ],
    "text and a tool call": [
        chunk(content="Let me see."),
        call(id="call_1", name="f", arguments="{}"),
        chunk("tool_calls"),
    ],
    "a name in every piece": [
        call(id="call_1", name="f", arguments='{"a"'),
        call(id="call_1", name="f", arguments=":1}"),
        chunk("tool_calls"),
    ],
    "an id before the name": [
        call(id="call_1"),
        call(name="f", arguments="{}"),
        chunk("tool_calls"),
    ],
    "two choices": [
        chunk(content="a"),
        chunk(index=1, content="b"),
        chunk("stop", content="A"),
        chunk("stop", index=1, content="B"),
    ],
    "log probabilities": [
        chunk(content="a", logprobs=likely("a")),
        chunk(content="b", logprobs=likely("b")),
        STOP,
    ],
    "the old function call": [
        chunk(function_call={"name": "f", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}),
        chunk("function_call"),
    ],
    "noise": [ROLE, Chunk(), *TEXT[1:], chunk(content="late"), USED],
}


def shared(completion: ChatCompletion) -> list[Any]:
    """Return what a stream and a whole answer have to agree in, less empty values."""
    shown = completion.model_dump()
    found = [{k: shown[k] for k in ("id", "created", "model", "provider")}]
    for choice in shown["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        parts = {**choice["message"], **(choice["logprobs"] or {})}
        parts["finish_reason"] = choice["finish_reason"]
        found.append({name: value for name, value in parts.items() if value})
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_the_official_client_agrees(name: str) -> None:
    """OpenAI's package makes of our stream what we make of it as a whole answer."""
    state = ChatCompletionStreamState()

    *events, done = streamed(STREAMS[name], stream_options={"include_usage": True})
    for event in events:
        state.handle_chunk(ChatCompletionChunk.model_validate(event, strict=True))

    assert done == "[DONE]"
    completion = ChatCompletion.model_validate(whole(STREAMS[name]), strict=True)
    snapshot = state.current_completion_snapshot
    assert shared(snapshot) == shared(completion)
    assert snapshot.usage == completion.usage
