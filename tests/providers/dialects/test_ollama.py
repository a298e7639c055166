"""Ollama's own chat API: what it is asked, and what its lines say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from providers import (
    Chunk,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
    ToolCallDelta,
    Usage,
)
from providers.dialects import DIALECTS, UNREADABLE, read_error
from providers.dialects.framing import MAX_EVENT_BYTES, EventTooLarge
from providers.dialects.ollama.dialect import Ollama
from providers.errors import ProviderDenied, ProviderFailed
from server.wire.chat import parse
from tests.rig import samples
from tests.rig.samples import ALL_AT_ONCE, WIRE, counted, delivered

SAMPLES = WIRE / "ollama"
SETTINGS = ProviderSettings(id="Test", kind="ollama")
HELLO = [{"role": "user", "content": "Hello"}]
ADD = {"type": "function", "function": {"name": "add"}}
PIXEL = "iVBORw0KGgo="


def chunk(
    content: str | None = None,
    *,
    model: str | None = "m",
    usage: Usage | None = None,
    **fields: Any,
) -> Chunk:
    whole = {"model": model, "usage": usage}
    return samples.chunk(content, whole=whole, **fields)


def call(index: int, id: str, name: str, arguments: str) -> ToolCallDelta:
    return ToolCallDelta(
        index=index, id=id, type="function", name=name, arguments=arguments
    )


HI = chunk("Hi")
STOP = chunk(finish="stop")
TOP = [
    {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
    {"token": "", "logprob": -2.25},
]
# What each sample of an answer in good order says.
ANSWERS: dict[str, list[Chunk]] = {
    "text.ndjson": [
        chunk("Grüß", model="llama3.2:3b"),
        chunk(" dich 👋\n", model="llama3.2:3b"),
        chunk(finish="stop", model="llama3.2:3b", usage=counted(26, 9)),
    ],
    "reasoning.ndjson": [
        chunk(reasoning_content="Let me", model="qwen3"),
        chunk(reasoning_content=" see.", model="qwen3"),
        chunk("Four", reasoning_content="So", model="qwen3"),
        chunk(".", model="qwen3"),
        chunk(finish="stop", model="qwen3", usage=counted(12, 30)),
    ],
    "tool_call.ndjson": [
        chunk("One moment."),
        chunk(
            tool_calls=(
                call(
                    0,
                    "call_a1",
                    "get_weather",
                    '{"city":"Orléans","days":[1,2],"exact":true}',
                ),
            )
        ),
        chunk(finish="tool_calls"),
    ],
    "tool_calls_parallel.ndjson": [
        chunk(
            tool_calls=(
                call(0, "call_a1", "add", '{"a":1}'),
                call(1, "call_b2", "sub", "{}"),
            )
        ),
        chunk(tool_calls=(call(2, "call_c3", "neg", "{}"),)),
        chunk(
            tool_calls=(call(3, "call_d4", "abs", '{"x": -1}'),), finish="tool_calls"
        ),
    ],
    "tool_call_cut.ndjson": [
        chunk(tool_calls=(call(0, "call_a1", "add", "{}"),)),
        chunk(finish="length"),
    ],
    "done_length.ndjson": [HI, chunk(finish="length")],
    "done_load.ndjson": [HI, STOP],
    "done_unload.ndjson": [HI, STOP],
    "done_made_up.ndjson": [
        HI,
        Chunk(
            model="m",
            choices=(evolve(STOP.choices[0], native_finish_reason="made_up"),),
        ),
    ],
    "done_without_reason.ndjson": [HI, STOP],
    "usage_without_prompt.ndjson": [chunk("Hi", finish="stop", usage=counted(0, 1))],
    "logprobs.ndjson": [
        chunk(
            "Hi",
            logprobs={"content": [{**TOP[0], "top_logprobs": TOP}], "refusal": None},
        ),
        chunk(
            finish="stop",
            logprobs={
                "content": [
                    {"token": "", "logprob": -0.25, "bytes": None, "top_logprobs": []}
                ],
                "refusal": None,
            },
        ),
    ],
    "whole.ndjson": [
        chunk("Hi", reasoning_content="Hm", finish="stop", usage=counted(3, 1))
    ],
    "unknown.ndjson": [HI, chunk(), chunk(model=None), STOP],
}
Failure = tuple[type[Exception] | tuple[type[Exception], ...], str | None]
# What each sample of a failure raises, and a part of what that says.
FAILURES: dict[str, Failure] = {
    "error_first.ndjson": (ProviderFailed, "an error was encountered"),
    "error_later.ndjson": (ProviderFailed, "has terminated: signal: killed"),
    "error_object.ndjson": (ProviderBusy, "upstream overloaded"),
    "truncated.ndjson": (ProviderProtocolError, "before its last line"),
    "invalid_json.ndjson": (UNREADABLE, None),
    "page.html": (UNREADABLE, None),
}


def read(body: bytes, size: int = ALL_AT_ONCE) -> Iterator[Chunk]:
    return delivered(Ollama(SETTINGS), body, size)


def line(message: Any = None, **more: Any) -> bytes:
    return json.dumps({"message": message, "done": True, **more}).encode() + b"\n"


def encoded(model: str = "llama3.2", **fields: Any) -> Any:
    """Return what Ollama is sent for a request as a client makes it."""
    request = {"model": "m", "messages": HELLO, **fields}
    chat, _ = parse(json.dumps(request).encode())
    sent = Ollama(SETTINGS).encode(chat, model)
    return json.loads(sent.body)


def test_it_is_known_by_its_name() -> None:
    """A configuration's `kind` for it is "ollama"."""
    assert DIALECTS["ollama"] is Ollama


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
@pytest.mark.parametrize("name", ANSWERS)
def test_line_ends(name: str, size: int) -> None:
    """Blank lines, CRLF and a last line without an end change nothing."""
    body = (SAMPLES / name).read_bytes().replace(b"\n", b"\r\n\r\n").rstrip()

    assert list(read(b"\n" + body, size)) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(("name", "failure"), FAILURES.items(), ids=FAILURES)
def test_failures(name: str, failure: Failure, size: int) -> None:
    """A failure is told as what it is, byte by byte or all at once."""
    error, says = failure
    with pytest.raises(error, match=says):
        list(read((SAMPLES / name).read_bytes(), size))


@pytest.mark.parametrize("name", ["text.ndjson", "tool_calls_parallel.ndjson"])
def test_a_cut_answer_is_no_answer(name: str) -> None:
    """Wherever a stream is cut, it is not taken as whole."""
    body = (SAMPLES / name).read_bytes().rstrip()
    for cut in range(len(body)):
        dialect = Ollama(SETTINGS)
        list(dialect.receive(body[:cut]))

        assert not dialect.finished
        with pytest.raises(ProviderProtocolError, match="the stream ended"):
            list(dialect.end())


def test_nothing_is_read_after_the_last_line() -> None:
    """The answer is over with the line that says so: nothing more need be awaited."""
    dialect = Ollama(SETTINGS)
    (last,) = dialect.receive(line({"content": "Hi"}))

    assert last == chunk("Hi", finish="stop", model=None)
    assert (dialect.done, dialect.finished) == (True, True)
    assert list(dialect.receive(line({"content": "more"}))) == []


def test_calls_without_an_id_get_one() -> None:
    """Each call can be answered by its id, also where an older server gives none."""
    function = {"name": "add", "arguments": {}}
    calls = [{"function": function}, {"id": "", "function": function}]
    (found,) = read(line({"tool_calls": calls}))
    (again,) = read(line({"tool_calls": calls}))

    made = [*found.choices[0].delta.tool_calls, *again.choices[0].delta.tool_calls]
    ids = {each.id for each in made}
    assert len(ids) == 4
    assert all(each and each.startswith("call_") for each in ids)


@pytest.mark.parametrize(
    ("message", "is_token"),
    [
        (None, False),
        ({"role": "assistant"}, False),
        ({"content": ""}, False),
        ({"content": " "}, True),
        ({"thinking": ""}, False),
        ({"thinking": "Hm"}, True),
        ({"tool_calls": []}, False),
        ({"tool_calls": [{"function": {"name": "f"}}]}, True),
    ],
    ids=str,
)
def test_tokens(message: Any, is_token: bool) -> None:
    """Only text, thoughts and calls that are not empty win a race."""
    (found,) = read(line(message))

    assert found.has_token is is_token


@pytest.mark.parametrize(
    "payload",
    [
        [1],
        "x",
        None,
        {"message": "text"},
        {"message": {"content": 5}},
        {"message": {"thinking": ["x"]}},
        {"message": {"tool_calls": [{"id": "a"}]}},
        {"message": {"tool_calls": [{"function": {}}]}},
        {"done": True, "eval_count": "9"},
    ],
    ids=str,
)
def test_lines_of_another_shape(payload: Any) -> None:
    """What Ollama never sends is a line that can't be read, and not half an answer."""
    with pytest.raises(UNREADABLE):
        list(read(json.dumps(payload).encode() + b"\n" + line()))


def test_a_line_without_an_end() -> None:
    """Bytes without a line feed are an error before they fill the memory."""
    dialect = Ollama(SETTINGS)
    dialect.receive(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(EventTooLarge):
        dialect.receive(b"x")


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, '"llama3.2" does not support thinking', ProviderRefusedRequest),
        (400, "the input length exceeds the context length", ProviderRefusedRequest),
        (401, "unauthorized", ProviderDenied),
        (404, "model 'x' not found", ProviderRefusedRequest),
        (429, "too many requests", ProviderBusy),
        (499, "request canceled", ProviderFailed),
        (500, "model runner has unexpectedly stopped", ProviderFailed),
        (502, "cloud model cannot be reached", ProviderFailed),
        (
            503,
            "server busy, please try again.  maximum pending requests exceeded",
            ProviderFailed,
        ),
    ],
)
def test_errors(status: int, message: str, error: type[ProviderError]) -> None:
    """An error's text is told, and whether the same request may succeed later."""
    found = read_error(status, json.dumps({"error": message}).encode())

    assert type(found) is error
    assert (found.status, found.message) == (status, message)
    assert found.retryable is (status in {429, 499, 500, 502, 503})


def test_call() -> None:
    """A chat goes to `chat`, below the base URL, with the key if there is one."""
    chat, _ = parse(json.dumps({"model": "m", "messages": HELLO}).encode())
    local = Ollama(SETTINGS).encode(chat, "llama3.2")
    cloud = Ollama(evolve(SETTINGS, api_key="ollama-key")).encode(chat, "llama3.2")

    assert local.path == "chat"
    assert "Authorization" not in local.headers
    assert local.headers["Content-Type"] == "application/json"
    assert cloud.headers["Authorization"] == "Bearer ollama-key"
    assert json.loads(local.body) == {
        "model": "llama3.2",
        "messages": HELLO,
        "stream": True,
        "truncate": False,
    }


def test_models() -> None:
    """The installed models are listed; `latest` is what a name without a tag means."""
    rows = [{"name": n, "model": n} for n in ("llama3.2:3b", "qwen3:latest")]
    dialect = Ollama(evolve(SETTINGS, api_key="ollama-key"))
    asked = dialect.list_models()

    assert (asked.path, asked.body) == ("tags", b"")
    assert asked.headers["Authorization"] == "Bearer ollama-key"
    listed = dialect.read_models(json.dumps({"models": rows}).encode())
    assert listed == ("llama3.2:3b", "qwen3:latest", "qwen3")
    assert dialect.read_models(b'{"models":[]}') == ()


MESSAGES: dict[str, tuple[Any, Any]] = {
    "system": (
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be brief."},
    ),
    "developer": (
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "Be brief."},
    ),
    "text parts": (
        {
            "role": "user",
            "name": "Ada",
            "content": [
                {"type": "text", "text": "One."},
                {"type": "text", "text": ""},
                {"type": "text", "text": "Two."},
            ],
        },
        {"role": "user", "content": "One.\nTwo."},
    ),
    "images": (
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PIXEL}"},
                },
                {"type": "text", "text": "Which is larger?"},
                {
                    "type": "image_url",
                    "image_url": {
                        "url": "data:image/jpeg;base64,AAAA",
                        "detail": "low",
                    },
                },
            ],
        },
        {"role": "user", "content": "Which is larger?", "images": [PIXEL, "AAAA"]},
    ),
    "only an image": (
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PIXEL}"},
                }
            ],
        },
        {"role": "user", "content": "", "images": [PIXEL]},
    ),
    "answer": (
        {
            "role": "assistant",
            "content": "Four.",
            "reasoning_content": "Two and two.",
            "tool_calls": [],
        },
        {"role": "assistant", "content": "Four.", "thinking": "Two and two."},
    ),
    "refusal": (
        {"role": "assistant", "content": None, "refusal": "I can't."},
        {"role": "assistant", "content": "I can't."},
    ),
    "refusal part": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": "No."},
    ),
    "calls": (
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1, "to": ["é"]}'},
                },
                {
                    "id": "call_2",
                    "type": "function",
                    "function": {"name": "now", "arguments": ""},
                },
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_1",
                    "function": {"name": "add", "arguments": {"a": 1, "to": ["é"]}},
                },
                {"id": "call_2", "function": {"name": "now", "arguments": {}}},
            ],
        },
    ),
    "result of a call not in the chat": (
        {"role": "tool", "tool_call_id": "call_0", "content": "3"},
        {"role": "user", "content": "3"},
    ),
}


@pytest.mark.parametrize(("given", "sent"), MESSAGES.values(), ids=MESSAGES)
def test_messages(given: Any, sent: Any) -> None:
    """A message says to Ollama what it said to us."""
    made = encoded(messages=[given])["messages"]
    # A call without a result gets one.
    assert [each for each in made if each["role"] != "tool"] == [sent]


def test_results_name_their_functions() -> None:
    """A result has a call's id with us, and its function's name too with Ollama."""
    calls = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name}}
        for name in ("add", "sub")
    ]
    results = [
        {"role": "tool", "tool_call_id": "call_sub", "content": "1"},
        {
            "role": "tool",
            "tool_call_id": "call_add",
            "content": [{"type": "text", "text": "3"}],
        },
    ]
    asked = {"role": "assistant", "tool_calls": calls}

    sent = encoded(messages=[*HELLO, asked, *results])["messages"]

    assert sent[2:] == [
        {"role": "tool", "tool_call_id": id_, "tool_name": name, "content": content}
        for id_, name, content in [("call_sub", "sub", "1"), ("call_add", "add", "3")]
    ]


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NO_ARGUMENTS = {"type": "object", "properties": {}}
SENT_ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": NO_ARGUMENTS},
}
# What a client may ask, and what Ollama is sent beside model and messages.
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sampling": (
        {
            "temperature": 0,
            "top_p": 0.5,
            "seed": 0,
            "frequency_penalty": -1.5,
            "presence_penalty": 0,
        },
        {
            "options": {
                "temperature": 0,
                "top_p": 0.5,
                "seed": 0,
                "frequency_penalty": -1.5,
                "presence_penalty": 0,
            }
        },
    ),
    "Ollama's own options": (
        {"top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1, "num_ctx": 8192},
        {
            "options": {
                "top_k": 40,
                "min_p": 0.1,
                "repeat_penalty": 1.1,
                "num_ctx": 8192,
            }
        },
    ),
    "max_tokens": ({"max_tokens": 5}, {"options": {"num_predict": 5}}),
    "max_completion_tokens": (
        {"max_completion_tokens": 7, "max_tokens": 5},
        {"options": {"num_predict": 7}},
    ),
    "one stop": ({"stop": "END"}, {"options": {"stop": ["END"]}}),
    "stops": ({"stop": ["a", "b"]}, {"options": {"stop": ["a", "b"]}}),
    "no stops": ({"stop": []}, {}),
    "nulls": ({"stop": None, "temperature": None, "tools": None, "seed": None}, {}),
    "streamed": ({"stream": True, "stream_options": {"include_usage": True}}, {}),
    "not streamed": ({"stream": False}, {}),
    "text": ({"response_format": {"type": "text"}}, {}),
    "JSON": ({"response_format": {"type": "json_object"}}, {"format": "json"}),
    "schema": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
            }
        },
        {"format": SCHEMA},
    ),
    "logprobs": (
        {"logprobs": True, "top_logprobs": 2},
        {"logprobs": True, "top_logprobs": 2},
    ),
    "no logprobs": ({"logprobs": False, "top_logprobs": 0}, {}),
    "tool": ({"tools": [ADD]}, {"tools": [SENT_ADD]}),
    "whole tool": (
        {
            "tool_choice": "auto",
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
        },
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "add",
                        "description": "Adds.",
                        "parameters": SCHEMA,
                    },
                }
            ]
        },
    ),
    "no tools wanted": ({"tools": [ADD], "tool_choice": "none"}, {}),
    "hints": (
        {
            "user": "u",
            "metadata": {"a": "b"},
            "store": True,
            "parallel_tool_calls": True,
            "service_tier": "auto",
            "verbosity": "low",
            "prediction": {"type": "content", "content": "x"},
            "made_up": 1,
        },
        {},
    ),
    "defaults": (
        {"n": 1, "logit_bias": {}, "modalities": ["text"], "functions": []},
        {},
    ),
    **{
        f"reasoning effort {effort}": ({"reasoning_effort": effort}, {"think": think})
        for effort, think in {
            "none": False,
            "minimal": "low",
            "low": "low",
            "medium": "medium",
            "high": "high",
            "xhigh": "max",
            "max": "max",
        }.items()
    },
    "reasoning effort made up": ({"reasoning_effort": "made up"}, {}),
}


@pytest.mark.parametrize(("given", "sent"), FIELDS.values(), ids=FIELDS)
def test_fields(given: dict[str, Any], sent: dict[str, Any]) -> None:
    """What a client asks for has its place with Ollama; other hints are left out."""
    base = {
        "model": "llama3.2",
        "messages": HELLO,
        "stream": True,
        "truncate": False,
    }

    assert encoded(**given) == base | sent


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": parts}]}


def calling(**function: str) -> dict[str, Any]:
    call = {"id": "a", "type": "function", "function": {"name": "f", **function}}
    return {"messages": [{"role": "assistant", "tool_calls": [call]}]}


# What Ollama can't be asked, and a part of the reason that is given.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "several answers": ({"n": 2}, "nothing for 'n'"),
    "logit_bias": ({"logit_bias": {"1": 5}}, "nothing for 'logit_bias'"),
    "audio out": (
        {"modalities": ["text", "audio"], "audio": {"voice": "x", "format": "wav"}},
        "nothing for 'audio'",
    ),
    "web search": ({"web_search_options": {"x": 1}}, "'web_search_options'"),
    "old functions": ({"functions": [{"name": "f"}]}, "nothing for 'functions'"),
    "forced call": (
        {"tools": [ADD], "tool_choice": "required"},
        "can't be made to call",
    ),
    "named call": (
        {
            "tools": [ADD],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
        },
        "can't be made to call",
    ),
    "made-up choice": ({"tools": [ADD], "tool_choice": "maybe"}, "'maybe'"),
    "tool of another type": ({"tools": [{"type": "custom"}]}, "no tools but functions"),
    "call of another type": (
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}
            ]
        },
        "no tools but functions",
    ),
    "image elsewhere": (
        user({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        "data: URLs only",
    ),
    "image not in base64": (
        user({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}),
        "data: URLs only",
    ),
    "image nowhere": (user({"type": "image_url"}), "no url"),
    "audio in": (
        user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        "'input_audio'",
    ),
    "file": (user({"type": "file", "file": {"file_id": "f"}}), "'file'"),
    "old result": (
        {"messages": [{"role": "function", "name": "f", "content": "1"}]},
        "role 'function'",
    ),
    "schema without a schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "without a schema",
    ),
    "made-up format": ({"response_format": {"type": "grammar"}}, "'grammar'"),
}


@pytest.mark.parametrize(("given", "says"), REFUSED.values(), ids=REFUSED)
def test_refused(given: dict[str, Any], says: str) -> None:
    """What it can't carry puts it out of the race, with a reason, before any call."""
    with pytest.raises(ProviderRefusedRequest, match=says) as caught:
        encoded(**given)

    assert (caught.value.phase, caught.value.status) == ("connect", 400)
