"""Tools of chats, for upstreams that have functions only."""

from typing import Any

import pytest

from providers import ChatRequest, HostedTools, ProviderRefusedRequest, function_of
from providers.dialects.tools import INPUT, MOST_NAMES, functions_only, hosted_tools
from server.wire.reading import make

FUNCTION = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "patch", "description": "edits"}}
HOSTED = {"type": "web_search", "search_context_size": "low"}
OF_PATCH = {"type": "function", "function": {"name": "patch"}}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def only(**fields: Any) -> tuple[ChatRequest, list[str]]:
    """Return a request as such upstreams are sent it, and what is left out."""
    body = BODY | fields
    dropped: list[str] = []
    request = make({**body, "body": body}, ChatRequest)
    return functions_only(request, "This API", dropped), dropped


def names(request: ChatRequest) -> list[str]:
    tools = request.tools or ()
    return [tool.function.name for tool in tools if tool.function is not None]


@pytest.mark.parametrize(
    ("choice", "left", "made"),
    [
        (None, ["f", "patch"], None),
        ("required", ["f", "patch"], "required"),
        ({"type": "custom", "custom": {"name": "patch"}}, ["f", "patch"], OF_PATCH),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [OF_PATCH, CUSTOM]},
            },
            ["patch"],
            "required",
        ),
    ],
)
def test_functions_only(choice: Any, left: list[str], made: Any) -> None:
    """Custom tools become functions, by choice too; hosted ones are left out."""
    request, dropped = only(tools=[FUNCTION, HOSTED, CUSTOM], tool_choice=choice)

    assert names(request) == left
    assert request.tool_choice == made
    assert dropped == ["tools.web_search"]
    *_, patch = (tool.function for tool in request.tools or ())
    assert patch is not None
    assert patch.parameters == INPUT


def test_what_is_a_function_already_stays() -> None:
    """Nothing is made anew where nothing has to be."""
    body = {**BODY, "tools": [FUNCTION]}
    request = make({**body, "body": body}, ChatRequest)

    assert functions_only(request, "This API", []) is request


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [HOSTED]},
        {"tools": [HOSTED, HOSTED], "tool_choice": "required"},
        {"tools": [FUNCTION, HOSTED], "tool_choice": {"type": "web_search"}},
    ],
)
def test_hosted_tools_that_are_needed(fields: Any) -> None:
    """They are refused by their type."""
    with pytest.raises(ProviderRefusedRequest, match="'web_search'"):
        only(**fields)


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    ],
)
def test_grammars(shape: Any) -> None:
    """A grammar, as either API has it, stands at the end of the description."""
    function = function_of({"name": "p", "description": "edits", "format": shape})

    assert function["description"].startswith("edits")
    assert function["description"].endswith("start: X")


def test_names_in_a_header() -> None:
    """They are few, short, and of characters that a header can have."""
    types = [f"a\r\nx, {i}ü" + "y" * 500 for i in range(1000)]

    hosted = hosted_tools(types, 1, left=1)

    assert hosted != HostedTools()
    assert len(hosted.names) <= MOST_NAMES
    joined = ", ".join(hosted.names)
    assert joined.isascii()
    assert joined.isprintable()
    assert len(joined) < 4096
