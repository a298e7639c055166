"""Which tools a model may call, in the words of a chat."""

from collections.abc import Mapping

from attrs import frozen

from providers import HostedTools, hosted_tools
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject

from .commands import COMMANDS
from .tools import ShownTool, Toolbox


@frozen
class ChosenTools:
    """
    A choice in a chat's words, and the *tools* that a model may choose from: all that
    the request allows. *forced* is the type of the hosted tool that must be called, or
    "" if none has to.
    """

    choice: str | JSONMapping | None
    tools: tuple[ShownTool, ...]
    forced: str = ""


def chat_tools(
    toolbox: Toolbox, choice: str | JSONMapping | None
) -> tuple[JSONObject, HostedTools]:
    """
    Return the fields of a chat for the tools and the *choice* among them, and the
    hosted tools, for which a chat has no fields. Raises InvalidRequest.
    """
    chosen = _chosen_tools(toolbox, choice)
    hosted = hosted_tools(
        toolbox.hosted,
        len(toolbox.shown),
        left=len(chosen.tools),
        choice=chosen.choice,
        forced=chosen.forced,
    )
    if not chosen.tools:
        return {}, hosted
    fields: JSONObject = {
        "tools": [{"type": "function", "function": t.function} for t in chosen.tools]
    }
    if chosen.choice is not None:
        fields["tool_choice"] = chosen.choice
    return fields, hosted


def _chosen_tools(toolbox: Toolbox, choice: str | JSONMapping | None) -> ChosenTools:
    if not isinstance(choice, Mapping):
        return ChosenTools(choice, toolbox.shown)
    kind = choice.get("type")
    if kind == "allowed_tools":
        # A chat has no such choice, but it may declare fewer tools.
        rows = choice.get("tools")
        rows = rows if isinstance(rows, list) else []
        allowed = [tool for row in rows for tool in _tools_named_by(toolbox, row)]
        names = {tool.shown_name for tool in allowed}
        fewer = tuple(t for t in toolbox.shown if t.shown_name in names)
        return ChosenTools(choice.get("mode") or "auto", fewer)
    if kind == "namespace" and (tools := _tools_named_by(toolbox, choice)):
        return ChosenTools("required", tuple(tools))
    return _single(toolbox, choice)


def _single(toolbox: Toolbox, choice: JSONMapping) -> ChosenTools:
    """Return the choice of one tool, be it declared or not."""
    kind, name = choice.get("type"), choice.get("name")
    tools = _tools_named_by(toolbox, choice)
    if tools:
        return ChosenTools(_function(tools[0].shown_name), toolbox.shown)
    if kind in ("function", "custom") and isinstance(name, str):
        return ChosenTools(_function(name), toolbox.shown)
    if not isinstance(kind, str) or kind in ("", "function", "custom"):
        if not toolbox.shown and not toolbox.hosted:
            return ChosenTools(None, ())
        raise InvalidRequest(
            "'tool_choice' must be 'auto', 'none', 'required', or name a tool.",
            param="tool_choice",
        )
    return ChosenTools("required", (), forced=kind)


def _function(name: str) -> JSONObject:
    return {"type": "function", "function": {"name": name}}


def _tools_named_by(toolbox: Toolbox, row: JSON) -> list[ShownTool]:
    """Return the tools that an object with a type, and maybe names, stands for."""
    if not isinstance(row, Mapping):
        return []
    kind, name = row.get("type"), row.get("name")
    if kind == "namespace":
        return [tool for tool in toolbox.shown if tool.namespace == name]
    if kind in COMMANDS:
        return [tool for tool in toolbox.shown if tool.kind == kind]
    if kind not in ("function", "custom"):
        return []
    tools = [t for t in toolbox.shown if t.name == name and t.kind not in COMMANDS]
    space = row.get("namespace")
    if space is None:
        plain = [tool for tool in tools if not tool.namespace]
        return plain or tools or [t for t in toolbox.shown if t.shown_name == name]
    return [tool for tool in tools if tool.namespace == space]
