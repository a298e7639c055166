"""OpenAI's Responses API: what a chat is asked as."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from providers import (
    MESSAGES,
    ChatPiece,
    ChatRequest,
    NativeRequest,
    ProviderRefusedRequest,
    ProviderSettings,
)
from providers.dialects.responses import Responses
from server.wire.chat import RENDERING, parse
from server.wire.responses import ResponseRendering
from server.wire.responses import parse as parse_response
from tests.rig.provider_settings import changed

COPY = ProviderSettings(
    id="Test",
    kind="responses",
    base_url="https://x.test/v1",
    api_key="sk-test-1234",
)
OPENAI = evolve(COPY, base_url="https://api.openai.com/v1")
AZURE = evolve(COPY, base_url="https://me.openai.azure.com/openai/v1")
HELLO: dict[str, Any] = {"role": "user", "content": "hello"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def asked(**fields: Any) -> ChatRequest:
    """Return a chat as the server reads it."""
    body = {"model": "m", "messages": [HELLO], **fields}
    request, _ = parse(json.dumps(body).encode(), None)
    return request


def body_for(settings: ProviderSettings = COPY, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        Responses(settings).encode(asked(**fields), "theirs").body
    )
    return body


def items(*messages: dict[str, Any], settings: ProviderSettings = COPY) -> Any:
    return body_for(settings, messages=list(messages))["input"]


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def called(*calls: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": name,
                "type": "function",
                "function": {"name": "add", "arguments": arguments},
            }
            for name, arguments in calls
        ],
        **more,
    }


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def call_item(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    known = {"type": "function_call", "call_id": call_id, "name": "add"}
    return {**known, "arguments": arguments}


def output_item(call_id: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def test_call() -> None:
    """A stream is asked for that nobody stores, with what can be sent back later."""
    call = Responses(COPY).encode(asked(), "theirs")

    assert call.path == "responses"
    assert call.headers == {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "Authorization": "Bearer sk-test-1234",
    }
    assert json.loads(call.body) == {
        "model": "theirs",
        "input": [HELLO],
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


def test_whole_call() -> None:
    """An answer in one piece is asked for in the same way, less what is a stream's."""
    dialect = Responses(evolve(OPENAI, api_key=None))
    streamed = json.loads(dialect.encode(asked(), "theirs").body)
    call = dialect.encode_whole(asked(), "theirs")

    assert "Authorization" not in call.headers
    assert call.headers["Accept"] == "application/json"
    assert streamed.pop("stream_options") == {"include_obfuscation": False}
    assert json.loads(call.body) == {**streamed, "stream": False}


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        (COPY, "system"),
        (OPENAI, "developer"),
        (AZURE, "developer"),
        (evolve(COPY, base_url="https://eu.api.openai.com/v1"), "developer"),
        (evolve(COPY, base_url="https://x.test/openai/v1"), "system"),
    ],
    ids=["copy", "OpenAI", "Azure", "Europe", "another copy"],
)
def test_system(settings: ProviderSettings, role: str) -> None:
    """
    The first words of system and developer are the instructions, later ones stay in
    their place, under the name that the upstream has for them.
    """
    brief = {"role": "system", "content": "Be brief."}
    kind = {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]}
    body = body_for(settings, messages=[brief, kind, HELLO, kind])

    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert body["input"] == [HELLO, {"role": role, "content": "Be kind."}]
    alone = body_for(settings, messages=[brief, kind])
    assert "instructions" not in alone
    assert alone["input"] == [{"role": role, "content": "Be brief.\n\nBe kind."}]


def test_parts() -> None:
    """Pictures, files and sounds are parts in this API's own shapes."""
    said = items(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": PIXEL}},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://x.test/a", "detail": "low"},
                },
                {"type": "file", "file": {"file_data": PIXEL, "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": PIXEL}},
                {"type": "file", "file": {"file_id": "file-1", "filename": "b"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        }
    )

    assert said == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
                {
                    "type": "input_image",
                    "image_url": "https://x.test/a",
                    "detail": "low",
                },
                {"type": "input_file", "filename": "a.pdf", "file_data": PIXEL},
                {"type": "input_file", "filename": "document", "file_data": PIXEL},
                {"type": "input_file", "file_id": "file-1"},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        }
    ]


def test_texts_alone_are_a_string() -> None:
    """Servers that know no parts can read a text all the same; none is no message."""
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    said = items(
        {"role": "user", "content": parts},
        {"role": "assistant", "content": parts},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": ""},
    )

    assert said == [
        {"role": "user", "content": "One.\nTwo."},
        {"role": "assistant", "content": "One.Two."},
    ]


def test_refusals() -> None:
    """What an assistant has refused stays a refusal."""
    refusal = {"type": "refusal", "refusal": "Nor that."}
    said = items(
        HELLO,
        {"role": "assistant", "content": "Well.", "refusal": "Not this."},
        {"role": "assistant", "content": [refusal]},
    )

    assert said[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Well."},
                {"type": "refusal", "refusal": "Not this."},
            ],
        },
        {"role": "assistant", "content": [refusal]},
    ]


def test_calls() -> None:
    """Calls come after the text, results by the ids of their calls."""
    shown = [
        {"type": "text", "text": "4"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    said = items(
        HELLO,
        called(("c1", '{"a":1}'), ("c2", ""), content="I look."),
        {"role": "user", "content": "Quick!"},
        result("c2", shown),
        result("c1", "3"),
    )

    assert said == [
        HELLO,
        {"role": "assistant", "content": "I look."},
        call_item("c1", '{"a":1}'),
        call_item("c2"),
        {"role": "user", "content": "Quick!"},
        output_item(
            "c2",
            [
                {"type": "input_text", "text": "4"},
                {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
            ],
        ),
        output_item("c1", "3"),
    ]


def test_custom_calls() -> None:
    """Calls of custom tools and their results are items of their own types."""
    custom = {"name": "patch", "input": "*** Begin"}
    call = {"id": "c1", "type": "custom", "custom": custom}
    said = items(
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        result("c1", "Done."),
    )

    assert said[1:] == [
        {"type": "custom_tool_call", "call_id": "c1", **custom},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done."},
    ]


def test_pairs() -> None:
    """
    No call goes without an output, and no output without its call: the API answers
    400 to both.
    """
    said = items(
        result("c0", "lost"),
        called(("c1", "{}"), ("c2", "{}")),
        result("c2", "2"),
        result("c2", "again"),
        HELLO,
        called(("c3", "{}")),
    )

    assert said == [
        {"role": "user", "content": "lost"},
        call_item("c1"),
        call_item("c2"),
        output_item("c1", ""),
        output_item("c2", "2"),
        {"role": "user", "content": "again"},
        HELLO,
        call_item("c3"),
        output_item("c3", ""),
    ]


def test_ids() -> None:
    """Ids that are too long or come again are others, always the same ones."""
    long = "x" * 65
    turns = (
        called(("c0", "{}"), ("x" * 64, "{}"), (long, "{}")),
        result("c0", "1"),
        result("x" * 64, "2"),
        result(long, "3"),
        called(("c0", "{}")),
        result("c0", "4"),
    )
    said = items(*turns)

    ids = [item["call_id"] for item in said if item["type"] == "function_call"]
    outputs = {item["call_id"]: item["output"] for item in said if "output" in item}
    assert ids[:2] == ["c0", "x" * 64]
    assert len(set(ids)) == 4
    assert all(len(each) <= 64 for each in ids)
    assert [outputs[each] for each in ids] == ["1", "2", "3", "4"]
    assert items(*turns) == said


def entry(seal: str, provider: str = "Test", **more: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "type": "openai_reasoning",
        "provider": provider,
        "encrypted_content": seal,
        **more,
    }


def test_reasoning_goes_back() -> None:
    """Sealed reasoning goes to who has sealed it, before what it has led to."""
    summary = [{"type": "summary_text", "text": "Hm."}]
    blocks = [
        entry("gAAAA1", summary=summary),
        entry("gAAAA2", "Other"),
        entry(""),
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        entry("gAAAA3", summary=None),
        "no block",
    ]
    said = items(
        HELLO,
        called(("c1", "{}"), content="I look.", thinking_blocks=blocks),
        result("c1", "3"),
        {"role": "assistant", "content": "", "thinking_blocks": blocks},
        {"role": "assistant", "content": "Three.", "thinking_blocks": "none"},
    )

    assert said == [
        HELLO,
        {"type": "reasoning", "summary": summary, "encrypted_content": "gAAAA1"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA3"},
        {"role": "assistant", "content": "I look."},
        call_item("c1"),
        output_item("c1", "3"),
        {"role": "assistant", "content": "Three."},
    ]


def by_chat(said: list[ChatPiece]) -> ChatRequest:
    """Return the next turn of a client of chat completions."""
    answer = RENDERING.answer(asked(), "Test", "m")
    answer.add(said)
    message = json.loads(answer.body())["choices"][0]["message"]
    return asked(messages=[HELLO, message, result("call_1", "3")])


def by_responses(said: list[ChatPiece]) -> ChatRequest:
    """Return the next turn of a client of the Responses API."""
    include = ["reasoning.encrypted_content"]
    body: dict[str, Any] = {"model": "m", "input": "hello", "include": include}
    request, _ = parse_response(json.dumps(body).encode())
    answer = ResponseRendering(request, []).form.answer(asked(), "Test", "m")
    answer.add(said)
    output = json.loads(answer.body())["output"]
    back = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
    body["input"] = [HELLO, *output, back]
    request, _ = parse_response(json.dumps(body).encode())
    return request.chat([], request.items())


@pytest.mark.parametrize("turn", [by_chat, by_responses])
def test_reasoning_goes_round(
    turn: Callable[[list[ChatPiece]], ChatRequest],
) -> None:
    """Whichever API a client speaks, it carries what the model has thought."""
    seals = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": "gA",
    }
    call = {"type": "function_call", "id": "fc_1", **call_item("call_1")}
    response = {"id": "resp_1", "object": "response", "output": [seals, call]}
    said = Responses(COPY).read_whole(json.dumps(response).encode())

    request = turn(list(said))

    sent = json.loads(Responses(COPY).encode(request, "m").body)["input"]
    assert sent == [
        HELLO,
        {"type": "reasoning", "summary": [], "encrypted_content": "gA"},
        call_item("call_1"),
        output_item("call_1", "3"),
    ]
    other = json.loads(Responses(evolve(COPY, id="B")).encode(request, "m").body)
    assert other["input"] == [sent[0], *sent[2:]]


def test_tools() -> None:
    """Tools are flat here, and not strict unless their client says so."""
    grammar = {"syntax": "lark", "definition": "start: /x/"}
    search = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Bonn"}},
    }
    body = body_for(
        tools=[
            function("add", description="Adds.", parameters=SCHEMA, strict=True),
            function("now"),
            function("none", parameters={}),
            {
                "type": "custom",
                "custom": {
                    "name": "patch",
                    "description": "Edits.",
                    "format": {"type": "grammar", "grammar": grammar},
                },
            },
            {"type": "custom", "custom": {"name": "say", "format": {"type": "text"}}},
        ],
        parallel_tool_calls=False,
        web_search_options=search,
    )
    empty = {"type": "object", "properties": {}}

    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in body
    assert body["tools"] == [
        {
            "type": "function",
            "name": "add",
            "description": "Adds.",
            "parameters": SCHEMA,
            "strict": True,
        },
        {"type": "function", "name": "now", "parameters": empty, "strict": False},
        {"type": "function", "name": "none", "parameters": empty, "strict": False},
        {
            "type": "custom",
            "name": "patch",
            "description": "Edits.",
            "format": {"type": "grammar", **grammar},
        },
        {"type": "custom", "name": "say", "format": {"type": "text"}},
        {
            "type": "web_search",
            "search_context_size": "low",
            "user_location": {"type": "approximate", "city": "Bonn"},
        },
    ]


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, {}),
        ({"user_location": None}, {}),
        (
            {"user_location": {"type": "approximate"}},
            {"user_location": {"type": "approximate"}},
        ),
    ],
)
def test_search(options: dict[str, Any], tool: dict[str, Any]) -> None:
    """A chat that is to search the web has a tool for it here."""
    tools = body_for(web_search_options=options)["tools"]

    assert tools == [{"type": "web_search", **tool}]


@pytest.mark.parametrize(
    ("choice", "theirs"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (function("add"), {"type": "function", "name": "add"}),
        (
            {"type": "custom", "custom": {"name": "patch"}},
            {"type": "custom", "name": "patch"},
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [function("add")]},
            },
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "add"}],
            },
        ),
    ],
)
def test_tool_choice(choice: Any, theirs: Any) -> None:
    """Whichever choice a chat has, this API has it too, with flat names."""
    assert (
        body_for(tools=[function("add")], tool_choice=choice)["tool_choice"] == theirs
    )


def test_no_tools() -> None:
    """Without tools nothing is said about them."""
    body = body_for(tools=[], tool_choice="auto", parallel_tool_calls=True)

    assert not body.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
        (
            {"response_format": {"type": "json_object"}},
            {"format": {"type": "json_object"}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA},
                }
            },
            {
                "format": {
                    "type": "json_schema",
                    "name": "x",
                    "schema": SCHEMA,
                    "strict": False,
                }
            },
        ),
        (
            {
                "verbosity": "high",
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "schema": SCHEMA,
                        "strict": True,
                        "description": "d",
                    },
                },
            },
            {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "description": "d",
                    "schema": SCHEMA,
                    "strict": True,
                },
                "verbosity": "high",
            },
        ),
    ],
)
def test_text(fields: dict[str, Any], text: Any) -> None:
    """The answer's shape and its verbosity stand together here."""
    assert body_for(**fields).get("text") == text


@pytest.mark.parametrize(
    ("fields", "theirs"),
    [
        ({"max_tokens": 1}, {"max_output_tokens": 16}),
        ({"max_tokens": 99}, {"max_output_tokens": 99}),
        ({"max_completion_tokens": 17}, {"max_output_tokens": 17}),
        ({"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
        ({"reasoning_effort": "xhigh"}, {"reasoning": {"effort": "xhigh"}}),
        (
            {"reasoning": {"summary": "auto", "effort": "low", "max_tokens": 5}},
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        (
            {"temperature": 0, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}},
            {"temperature": 0, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}},
        ),
        (
            {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s"},
            {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s"},
        ),
        (
            {"logprobs": True, "top_logprobs": 3},
            {
                "include": [
                    "reasoning.encrypted_content",
                    "message.output_text.logprobs",
                ],
                "top_logprobs": 3,
            },
        ),
        (
            {
                "n": 1,
                "seed": 7,
                "store": True,
                "prediction": {"type": "content", "content": "x"},
                "stream": True,
                "stream_options": {"include_usage": True},
                "frequency_penalty": 0,
                "modalities": ["text"],
                "made_up": 1,
            },
            {},
        ),
    ],
)
def test_fields(fields: dict[str, Any], theirs: dict[str, Any]) -> None:
    """What both APIs have is carried; hints, defaults and the unknown are left out."""
    assert body_for(**fields) == body_for() | theirs


def test_fields_that_the_provider_refuses() -> None:
    """A field that a provider is known to refuse is not sent, if it is a hint."""
    settings = changed(COPY, unsupported_fields=("user", "temperature"))

    assert "user" not in body_for(settings, user="u")
    with pytest.raises(ProviderRefusedRequest, match="temperature"):
        body_for(settings, temperature=1)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n": 2}, "'n'"),
        ({"stop": "x"}, "'stop'"),
        ({"frequency_penalty": 1}, "'frequency_penalty'"),
        ({"presence_penalty": 1}, "'presence_penalty'"),
        ({"logit_bias": {"1": 1}}, "'logit_bias'"),
        ({"modalities": ["text", "audio"]}, "'modalities'"),
        ({"audio": {"voice": "x"}}, "'audio'"),
        ({"functions": [{"name": "f"}]}, "'functions'"),
        ({"tool_choice": "required"}, "no tools"),
        ({"tool_choice": function("add")}, "no tools"),
        ({"tools": [function("add")], "tool_choice": "made_up"}, "no tool_choice"),
        ({"tools": [function("add")], "tool_choice": {"type": "mcp"}}, "must name"),
        ({"tools": [{"type": "made_up"}]}, "tools of the type 'made_up'"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": [{"role": "user", "content": ""}]}, "no message"),
        ({"messages": [{"role": "function", "content": "x"}]}, "role 'function'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "made_up"}]}]},
            "parts of the type 'made_up'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "file_id",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "c", "type": "x"}]}
                ]
            },
            "tool calls of the type 'x'",
        ),
    ],
)
def test_refused(fields: dict[str, Any], says: str) -> None:
    """What the API can't say is not left out in silence: the racer is out."""
    with pytest.raises(ProviderRefusedRequest, match=says):
        body_for(**fields)


def test_what_only_another_api_can_say() -> None:
    """A client of another API gets no answer to half of what it has asked."""
    native = NativeRequest(format=MESSAGES, body={}, only="made-up blocks")

    with pytest.raises(ProviderRefusedRequest, match="made-up blocks"):
        Responses(COPY).encode(evolve(asked(), native=native), "theirs")
