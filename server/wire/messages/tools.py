"""The tools of a request of Anthropic's Messages API, as a chat has them."""

from collections.abc import Iterable

from attrs import field, frozen
from attrs.validators import in_, min_len

from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.reading import fields_with_values, make

CHOICES = {"auto": "auto", "any": "required", "none": "none"}


@frozen(kw_only=True)
class CustomTool:
    """A tool of the client's own; *input_schema* is a JSON schema."""

    name: str = field(validator=min_len(1))
    input_schema: JSONMapping
    description: str | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class ToolChoice:
    type: str = field(validator=in_((*CHOICES, "tool")))
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


def chat_tools(tools: Iterable[JSONMapping]) -> tuple[list[JSONObject], str]:
    """
    Return the client's own tools, and what to call the first of another type.

    The latter is "" if there is none. Raises InvalidRequest.
    """
    functions, unknown = [], ""
    for i, tool in enumerate(tools):
        if tool.get("type") in (None, "custom"):
            functions.append(_function(make(tool, CustomTool, f"tools[{i}]")))
        else:
            unknown = unknown or f"tools of the type {tool['type']!r}"
    return functions, unknown


def chat_choice(choice: ToolChoice | None) -> JSONObject:
    """Return the fields of a chat that say which tools may be called, and how many."""
    if choice is None:
        return {}
    tool_choice: JSON = CHOICES.get(choice.type)
    if choice.type == "tool":
        tool_choice = {"type": "function", "function": {"name": choice.name}}
    if choice.disable_parallel_tool_use:
        return {"tool_choice": tool_choice, "parallel_tool_calls": False}
    return {"tool_choice": tool_choice}


def _function(tool: CustomTool) -> JSONObject:
    optional = fields_with_values(tool, "description", "strict")
    parameters = {"name": tool.name, "parameters": tool.input_schema}
    return {"type": "function", "function": parameters | optional}
