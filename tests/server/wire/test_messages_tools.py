"""Anthropic's own tools and blocks, for upstreams of other APIs."""

from typing import Any

import pytest

from providers import HostedTools

from .test_messages_request import (
    BASH,
    HELLO,
    PICTURE,
    SEARCH,
    SEARCHED,
    assistant,
    parsed,
    said,
    text,
    turns,
    user,
)

OWN = {"name": "Read", "input_schema": {"type": "object"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
REFERENCE = {"type": "tool_reference", "tool_name": "Read"}
USED = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
SERVERS = [{"type": "url", "url": "https://x.test", "name": "x"}]


@pytest.mark.parametrize(
    ("fields", "names", "needed"),
    [
        ({"tools": [OWN, SEARCH]}, ["web_search_20250305"], ""),
        ({"tools": [SEARCH]}, ["web_search_20250305"], "web_search_20250305"),
        ({"tools": [SEARCH, SEARCH]}, ["web_search_20250305"], ""),
        (
            {"tools": [SEARCH, SEARCH], "tool_choice": {"type": "any"}},
            ["web_search_20250305"],
            "web_search_20250305",
        ),
        (
            {
                "tools": [OWN, SEARCH],
                "tool_choice": {"type": "tool", "name": "web_search"},
            },
            ["web_search_20250305"],
            "web_search_20250305",
        ),
        (
            {"tools": [OWN, {"type": "mcp_toolset"}], "mcp_servers": SERVERS},
            ["mcp_toolset"],
            "",
        ),
        ({"tools": [OWN], "mcp_servers": SERVERS}, ["mcp_servers"], ""),
        ({"mcp_servers": SERVERS}, ["mcp_servers"], "mcp_servers"),
        ({"tools": [OWN, {"type": "advisor_20270101"}]}, ["advisor_20270101"], ""),
    ],
)
def test_server_tools(fields: Any, names: list[str], needed: str) -> None:
    """They are left out and named, and needed where they are forced or alone."""
    request = parsed(**fields)

    what = f"tools of the type {needed!r}" if needed else ""
    expected = tuple(f"tools.{name}" for name in names)
    assert request.hosted == HostedTools(names=expected, needed=what)
    assert len(request.tools or ()) == (OWN in fields.get("tools", ()))


def test_clients_own_tools() -> None:
    """A tool with a schema is one, whatever else it carries."""
    more = {
        "type": "custom",
        "defer_loading": True,
        "eager_input_streaming": True,
        "allowed_callers": ["direct"],
        "input_examples": [{}],
    }

    (tool,) = said(tools=[OWN | more])["tools"]

    function = {"name": "Read", "parameters": {"type": "object"}}
    assert tool == {"type": "function", "function": function}


@pytest.mark.parametrize("kind", ["bash", "text_editor", "memory", "computer"])
def test_tools_whose_schema_only_claude_knows(kind: str) -> None:
    """A model without them would have no hands: they are refused by their type."""
    request = parsed(tools=[OWN, {**BASH, "type": f"{kind}_20250124"}])

    assert request.native is not None
    assert request.native.only == f"tools of the type '{kind}_20250124'"


@pytest.mark.parametrize(
    "blocks",
    [
        [SEARCHED, FOUND],
        [{"type": "mcp_tool_use", "id": "m"}, {"type": "mcp_tool_result"}],
        [{"type": "code_execution_tool_result"}, {"type": "news"}],
    ],
)
def test_what_server_tools_did(blocks: list[Any]) -> None:
    """Both halves are left out, as is a turn with nothing else in it."""
    goes_on = {"role": "user", "content": "go on"}

    made = turns(*HELLO, assistant(*blocks, text("found")), goes_on)

    assert made == turns(*HELLO, assistant(text("found")), goes_on)
    assert made[1] == {"role": "assistant", "content": "found"}
    assert turns(*HELLO, assistant(*blocks), user(*blocks), goes_on) == [
        *HELLO,
        goes_on,
    ]


def test_results_of_left_out_calls() -> None:
    """The other half goes, too, in whichever block it comes."""
    result = {"type": "tool_result", "tool_use_id": "srvtoolu_1", "content": "x"}

    assert turns(*HELLO, assistant(SEARCHED), user(result, text("go on"))) == [
        *HELLO,
        {"role": "user", "content": "go on"},
    ]


FOUND_HERE = {
    "type": "search_result",
    "title": "A title",
    "source": "https://x.test",
    "content": [text("one"), text("two")],
}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (REFERENCE, ["Read"]),
        (FOUND_HERE, ["A title", "https://x.test", "one", "two"]),
        ({"type": "news", "text": "told"}, ["told"]),
    ],
)
def test_blocks_that_become_text(block: dict[str, Any], words: list[str]) -> None:
    """What has words is text, in a message and in a tool's result."""
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}

    _, _, tool = turns(*HELLO, assistant(USED), user(result))
    *_, spoken = turns(user(block))

    assert tool["role"] == "tool"
    for content in (tool["content"], spoken["content"]):
        assert isinstance(content, str)
        assert all(word in content for word in words)


@pytest.mark.parametrize("blocks", [[], [FOUND], [{"type": "news"}]])
def test_results_with_nothing_left(blocks: list[Any]) -> None:
    """A result stays, and is empty: its call must have one."""
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": blocks}

    *_, tool = turns(*HELLO, assistant(USED), user(result))

    assert tool == {"role": "tool", "tool_call_id": "toolu_1", "content": ""}


def test_pictures_beside_left_out_blocks() -> None:
    """Pictures stay where they are."""
    made = turns(user(FOUND, PICTURE))

    assert made == turns(user(PICTURE))
