"""Anthropic's Messages as we take them in: bodies in, chats out."""

import json
from typing import Any

import orjson
import pytest

from providers import ChatRequest, ProviderRefusedRequest, ProviderSettings
from providers.dialects.anthropic.dialect import Anthropic
from providers.dialects.gemini.dialect import Gemini
from providers.dialects.ollama.dialect import Ollama
from providers.dialects.openai.dialect import OpenAI
from server.errors import InvalidJSON, InvalidRequest
from server.racing.lineup import RaceOptions, Selection
from server.wire.messages.count import MEDIA_TOKENS, estimate
from server.wire.messages.request import parse, parse_count

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
BODY: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": HELLO}
PNG = {"type": "base64", "media_type": "image/png", "data": "aWk="}
PICTURE = {"type": "image", "source": PNG}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aWk="}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
FILE = "data:application/pdf;base64,JVBERg=="
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {"name": "weather", "input_schema": SCHEMA}
CALL: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "weather"}
CALL["input"] = {"city": "Paris"}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
BASH = {"type": "bash_20250124", "name": "bash"}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def parsed(**fields: Any) -> ChatRequest:
    return parse(json.dumps(BODY | fields).encode())[0]


def said(**fields: Any) -> dict[str, Any]:
    """Return the body that upstreams of OpenAI's shape are sent."""
    return dict(parsed(**fields).body)


def turns(*messages: Any, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(messages=messages, **fields)["messages"]
    return found


def test_fields() -> None:
    """Every field that another API has too comes out under its name there."""
    body = said(
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stream=True,
        metadata={"user_id": "u-1"},
    )

    assert body == {
        "model": "m",
        "messages": HELLO,
        "max_tokens": 9,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "stream": True,
        "user": "u-1",
    }


def test_typed_fields_are_those_of_the_body() -> None:
    """What dialects act upon is what the body says; zeros are values."""
    request = parsed(temperature=0, stream=False, system="Be brief.", tools=[TOOL])

    assert (request.model, request.max_tokens) == ("m", 9)
    assert (request.temperature, request.stream) == (0.0, False)
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.tools is not None
    assert request.needs() == {"chat", "tools"}


def test_selection() -> None:
    """Whom the body or the path names is no part of what upstreams get."""
    body = BODY | {"provider": "A B", "race": {"deadline": 3}}

    request, selection = parse(json.dumps(body).encode())
    _, from_path = parse(json.dumps(body).encode(), ("C",))

    assert selection == Selection(providers=("A", "B"), race=RaceOptions(deadline=3))
    assert from_path.providers == ("C",)
    assert request.native is not None
    assert request.native.body == BODY


def test_client_cannot_set_what_is_native() -> None:
    """A field of that name in a body is the client's own business."""
    request = parsed(native={"format": "messages", "body": {}, "headers": {"a": "b"}})

    assert request.native is not None
    assert request.native.headers == {}


def test_long_user_becomes_a_hash() -> None:
    """OpenAI takes users of 64 characters; a longer one is still told from others."""
    long, other = (
        said(metadata={"user_id": "u" * 65 + end})["user"] for end in ("", "v")
    )

    assert len(long) == len(other) == 64
    assert long != other


@pytest.mark.parametrize("system", ["a\n\nb", [text("a"), text("b")]])
def test_system(system: Any) -> None:
    """A string or blocks, it is one message at the head."""
    assert turns(*HELLO, system=system) == [
        {"role": "system", "content": "a\n\nb"},
        *HELLO,
    ]


def test_later_system_turn() -> None:
    """A system's turn stays where it is; an empty one is none."""
    later = {"role": "system", "content": [text("Be brief.")]}

    assert turns(*HELLO, later, system="") == [
        *HELLO,
        {"role": "system", "content": "Be brief."},
    ]


def test_texts_alone_are_a_string() -> None:
    """Not every upstream takes parts; nobody gets an empty one."""
    cached = text("a") | {"cache_control": {"type": "ephemeral"}}

    assert turns(user(cached, text(""), text("b"))) == [
        {"role": "user", "content": "a\nb"}
    ]


def test_images() -> None:
    """Pictures, inline or elsewhere, are parts beside the text."""
    web = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}

    assert turns(user(PICTURE, text("What?"), web)) == [
        user(
            SHOWN,
            text("What?"),
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        )
    ]
    assert "vision" in parsed(messages=[user(PICTURE)]).needs()


def test_documents() -> None:
    """A document is its text, its parts or its file, whichever it is."""
    plain = {"type": "text", "media_type": "text/plain", "data": "The text."}
    parts = {"type": "content", "content": [text("A part."), PICTURE]}
    whole = {"type": "content", "content": "All."}

    def document(source: Any, **more: Any) -> Any:
        return {"type": "document", "source": source, **more}

    assert turns(user(document(plain, title="T", context="C"), document(whole))) == [
        {"role": "user", "content": "T\nC\nThe text.\nAll."}
    ]
    assert turns(user(document(parts), document(PDF, title="a.pdf"))) == [
        user(
            text("A part."),
            SHOWN,
            text("a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": FILE}},
        )
    ]


def test_tool_round() -> None:
    """Calls are the assistant's, each result is a message, and stands before text."""
    first = {**RESULT, "content": "rain"}
    second = {**RESULT, "tool_use_id": "toolu_2", "content": [text("a"), text("b")]}
    asked = turns(
        *HELLO,
        assistant(text("Let me see. "), CALL, {**CALL, "id": "toolu_2", "input": {}}),
        user(first, second, text("And now?")),
    )

    def call(name: str, arguments: str) -> Any:
        function = {"name": "weather", "arguments": arguments}
        return {"id": name, "type": "function", "function": function}

    calls = [call("toolu_1", '{"city":"Paris"}'), call("toolu_2", "{}")]
    assert asked[1:] == [
        {"role": "assistant", "content": "Let me see. ", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "a\nb"},
        {"role": "user", "content": "And now?"},
    ]


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({}, ""),
        ({"content": []}, ""),
        ({"content": "no such city", "is_error": True}, "Error: no such city"),
        ({"is_error": True}, "Error"),
        ({"content": "fine", "is_error": False}, "fine"),
    ],
)
def test_tool_results(result: dict[str, Any], content: str) -> None:
    """A result without content is an empty one, and one that is an error says so."""
    asked = turns(*HELLO, assistant(CALL), user({**RESULT, **result}))

    assert asked[1]["content"] is None
    assert asked[2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": content}
    ]


def test_pictures_of_tools() -> None:
    """A tool's message has no place for pictures, so they follow in the user's."""
    shot = {**RESULT, "content": [PICTURE]}
    told = {**RESULT, "tool_use_id": "toolu_2", "content": [text("sunny")]}

    asked = turns(*HELLO, assistant(CALL), user(shot, told, text("And now?")))

    label = "What the tool call toolu_1 has returned:"
    assert asked[2:] == [
        {
            "role": "tool",
            "tool_call_id": "toolu_1",
            "content": "See the user's next message.",
        },
        {"role": "tool", "tool_call_id": "toolu_2", "content": "sunny"},
        user(text(label), SHOWN, text("And now?")),
    ]


def test_thoughts() -> None:
    """Thoughts are reasoning, those that nobody may read are none."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eA=="}

    assert turns(*HELLO, assistant(thought, hidden, text("Fine.")))[1:] == [
        {"role": "assistant", "content": "Fine.", "reasoning_content": "Hm."}
    ]
    assert turns(*HELLO, assistant(thought, hidden)) == HELLO


def test_tools() -> None:
    """Tools are functions."""
    described = {**TOOL, "type": "custom", "description": "Tell.", "strict": True}
    described["cache_control"] = {"type": "ephemeral"}

    body = said(tools=[TOOL, described])

    function = {"name": "weather", "parameters": SCHEMA}
    assert body["tools"] == [
        {"type": "function", "function": function},
        {
            "type": "function",
            "function": {**function, "description": "Tell.", "strict": True},
        },
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    """The choices have other names; without tools there is nothing to choose."""
    body = said(tools=[TOOL], tool_choice=choice)

    assert expected.items() <= body.items()
    assert ("parallel_tool_calls" in body) == ("parallel_tool_calls" in expected)
    assert said(tool_choice=choice) == BODY


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high"),
        ({"output_config": {"effort": "max"}}, "max"),
        ({"output_config": {"effort": "immense"}}, None),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            "high",
        ),
    ],
)
def test_thinking(fields: dict[str, Any], effort: str | None) -> None:
    """A budget is an effort elsewhere; no wish is none."""
    request = parsed(**fields)

    assert request.reasoning_effort == effort
    assert request.body.get("reasoning_effort") == effort


def test_no_thinking() -> None:
    """Dialects are told to think not at all, and copies of OpenAI's API nothing."""
    request = parsed(thinking={"type": "disabled"}, output_config={"effort": "high"})

    assert request.reasoning_effort == "none"
    assert "reasoning_effort" not in request.body


def strict(schema: Any) -> bool:
    output = {"format": {"type": "json_schema", "schema": schema}}
    wanted = said(output_config=output)["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == schema
    return bool(wanted["json_schema"]["strict"])


def test_structured_output() -> None:
    """A schema is a strict one where OpenAI would take it for that."""
    open_schema = {**SCHEMA, "additionalProperties": True}
    optional = {**SCHEMA, "required": []}
    nested = {**SCHEMA, "properties": {"city": {"anyOf": [SCHEMA, open_schema]}}}

    assert strict(SCHEMA)
    assert not strict(open_schema)
    assert not strict(optional)
    assert not strict(nested)
    # Its name while it was new.
    named = {"type": "json_schema", "schema": SCHEMA}
    assert said(output_format=named)["response_format"]["json_schema"]["strict"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [user({})]}, "messages[0].content[0].type"),
        (
            {"messages": [user(text(""), {"type": "text"})]},
            "messages[0].content[1].text",
        ),
        (
            {"messages": [user({"type": "image", "source": {}})]},
            "messages[0].content[0].source.type",
        ),
        (
            {"messages": [user({**RESULT, "content": [{"type": "text"}]})]},
            "messages[0].content[0].content[0].text",
        ),
        (
            {"messages": [assistant({**CALL, "input": "{}"})]},
            "messages[0].content[0].input",
        ),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"tools": [{"name": "weather"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"model": ""}, "model"),
    ],
)
def test_invalid(fields: dict[str, Any], param: str) -> None:
    """What can't be read is named as the client calls it."""
    with pytest.raises(InvalidRequest) as caught:
        parsed(**fields)

    assert caught.value.param == param
    assert param.partition("[")[0] in caught.value.message


def test_max_tokens_is_required() -> None:
    """As it is by the API itself; a count does without."""
    body = json.dumps({"model": "m", "messages": HELLO}).encode()

    with pytest.raises(InvalidRequest, match="'max_tokens' is missing"):
        parse(body)

    assert parse_count(body)[0].body == {"model": "m", "messages": HELLO}


def test_no_json() -> None:
    """A body that is no JSON is told so."""
    with pytest.raises(InvalidJSON):
        parse(b"{")


# What only upstreams of the same API can be asked

BEYOND = [
    ({"messages": [assistant(SEARCHED)]}, "the type 'server_tool_use'"),
    ({"messages": [user({"type": "container_upload"})]}, "'container_upload'"),
    (
        {"messages": [user({"type": "image", "source": {"type": "file"}})]},
        "images of the source 'file'",
    ),
    (
        {"messages": [user({"type": "document", "source": {"type": "url"}})]},
        "documents of the source 'url'",
    ),
    ({"tools": [SEARCH]}, "tools of the type 'web_search_20250305'"),
    ({"tools": [TOOL, BASH]}, "tools of the type 'bash_20250124'"),
    ({"mcp_servers": [{"type": "url"}]}, "'mcp_servers'"),
    ({"container": "c_1"}, "'container'"),
]


@pytest.mark.parametrize(("fields", "what"), BEYOND)
def test_beyond_other_formats(fields: dict[str, Any], what: str) -> None:
    """
    What no other API can say goes to upstreams of this one as it came, and is refused
    by all others: an answer without it would be to another question.
    """
    request = parsed(**fields)

    for dialect in (OpenAI, Gemini, Ollama):
        with pytest.raises(ProviderRefusedRequest, match=what):
            dialect(ProviderSettings(id="T", kind="t")).encode(request, "theirs")
    call = Anthropic(ProviderSettings(id="T", kind="t")).encode(request, "theirs")
    assert orjson.loads(call.body) == BODY | fields | {
        "model": "theirs",
        "stream": True,
    }


def test_headers_for_upstreams_of_the_same_api() -> None:
    """The version and what of it is beta go along, and nothing else."""
    headers = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
        "x-api-key": "sk-ours",
        "host": "ours",
    }

    request, _ = parse(json.dumps(BODY).encode(), None, headers)

    assert request.native is not None
    assert request.native.headers == {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
    }


# Counts


def counted(**fields: Any) -> int:
    return estimate(parse_count(json.dumps(BODY | fields).encode())[0])


def test_estimate() -> None:
    """A token is four bytes of what is said, tools and system included."""
    alone = counted()

    assert alone == 12
    assert counted(messages=[{"role": "user", "content": "x" * 4000}]) in range(
        1000, 1020
    )
    assert counted(system="x" * 400) in range(alone + 100, alone + 110)
    assert counted(tools=[TOOL]) > alone + 30
    # Not what it is to be answered with.
    assert counted(thinking={"type": "adaptive"}, metadata={"user_id": "u"}) == alone


def test_estimate_of_media() -> None:
    """A picture counts the same, however many bytes it has; text counts as text."""
    large = {"type": "image", "source": {**PNG, "data": "A" * 1_000_000}}
    result = {**RESULT, "content": [large, PICTURE]}
    plain = {"type": "text", "media_type": "text/plain", "data": "x" * 4000}

    assert counted(messages=[user(large)]) in range(MEDIA_TOKENS, MEDIA_TOKENS + 20)
    assert counted(messages=[user(result)]) in range(
        2 * MEDIA_TOKENS, 2 * MEDIA_TOKENS + 50
    )
    assert counted(messages=[user({"type": "document", "source": plain})]) in range(
        1000, 1050
    )
