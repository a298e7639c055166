"""The tools of a request for a response, as a chat has them."""

from collections.abc import Mapping, Sequence

from attrs import field, frozen
from attrs.validators import min_len

from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.reading import fields_with_values


@frozen(kw_only=True)
class ResponseTool:
    """A tool as a client declares it; *parameters* is a JSON schema."""

    type: str = field(validator=min_len(1))
    name: str | None = None
    description: str | None = None
    parameters: JSONMapping | None = None
    strict: bool | None = None


def chat_tools(
    tools: Sequence[ResponseTool], choice: str | JSONMapping | None
) -> JSONObject:
    """Return the fields of a chat for *tools* and *choice*; raises InvalidRequest."""
    if not tools:
        return {}
    functions = [_function(tool, f"tools[{i}]") for i, tool in enumerate(tools)]
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        # A chat has no such choice, but it may declare fewer tools.
        allowed = _names(choice.get("tools"))
        functions = [f for f in functions if f["function"]["name"] in allowed]
        choice = choice.get("mode") or "auto"
    if isinstance(choice, Mapping):
        choice = _choice(choice)
    if not functions:
        return {}
    return {"tools": functions} | ({} if choice is None else {"tool_choice": choice})


def _function(tool: ResponseTool, path: str) -> JSONObject:
    if tool.type != "function":
        raise InvalidRequest(
            f"'{path}.type': tools of the type {tool.type!r} are run by OpenAI's own"
            " servers, and by nobody here. Tools of the type 'function' can be called.",
            param=f"{path}.type",
        )
    if not tool.name:
        raise InvalidRequest(f"'{path}.name' is missing.", param=f"{path}.name")
    function = fields_with_values(tool, "name", "description", "parameters", "strict")
    return {"type": "function", "function": function}


def _choice(choice: JSONMapping) -> JSONObject:
    name = choice.get("name")
    if choice.get("type") != "function" or not isinstance(name, str):
        raise InvalidRequest(
            "'tool_choice' must be 'auto', 'none', 'required', or name a function.",
            param="tool_choice",
        )
    return {"type": "function", "function": {"name": name}}


def _names(tools: JSON) -> set[str]:
    rows = tools if isinstance(tools, list) else []
    named = (row.get("name") for row in rows if isinstance(row, dict))
    return {name for name in named if isinstance(name, str)}
