"""A chat's tools in the flat shape that OpenAI's Responses API has for them."""

from collections.abc import Mapping

from providers.chat import NOTHING, ChatRequest, Function, Tool
from providers.dialects.translation import refused
from providers.json_types import JSON, JSONMapping, JSONObject

from .conversation import API

NO_PARAMETERS: JSONMapping = {"type": "object", "properties": {}}
CHOICES = ("auto", "none", "required")


def tools_of(request: ChatRequest) -> JSONObject:
    """
    Return the fields that are about tools; none where there are none.

    Raises ProviderRefusedRequest for tools and choices that the API does not have.
    """
    sent = request.body.get("tools") or ()
    tools = [
        _tool(tool, sent[i] if i < len(sent) else NOTHING)
        for i, tool in enumerate(request.tools or ())
    ]
    search = request.body.get("web_search_options")
    if isinstance(search, Mapping):
        tools.append(_search(search))
    choice = request.tool_choice
    if not tools:
        if choice not in (None, "auto", "none"):
            raise refused("tool_choice asks for a call, and there are no tools")
        return {}
    fields: JSONObject = {"tools": tools}
    if choice is not None:
        fields["tool_choice"] = _choice(choice)
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _tool(tool: Tool, sent: JSONMapping) -> JSONObject:
    custom = sent.get("custom")
    if tool.type == "function" and tool.function is not None:
        return _function(tool.function)
    if tool.type == "custom" and isinstance(custom, Mapping):
        return _custom(custom)
    raise refused(f"{API} has nothing for tools of the type {tool.type!r}")


def _function(function: Function) -> JSONObject:
    """Return a function; left unsaid, `strict` would be tried here, not in a chat."""
    made = {
        "type": "function",
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters or NO_PARAMETERS,
        "strict": bool(function.strict),
    }
    return {name: value for name, value in made.items() if value is not None}


def _custom(custom: JSONMapping) -> JSONObject:
    shape = custom.get("format")
    if isinstance(shape, Mapping) and isinstance(shape.get("grammar"), Mapping):
        shape = {"type": "grammar", **shape["grammar"]}
    made = {
        "type": "custom",
        "name": custom.get("name"),
        "description": custom.get("description"),
        "format": shape,
    }
    return {name: value for name, value in made.items() if value is not None}


def _search(options: JSONMapping) -> JSONObject:
    made: JSONObject = {"type": "web_search"}
    if size := options.get("search_context_size"):
        made["search_context_size"] = size
    place = options.get("user_location")
    if isinstance(place, Mapping):
        near = place.get("approximate")
        given = near if isinstance(near, Mapping) else {}
        made["user_location"] = {"type": "approximate", **given}
    return made


def _choice(choice: str | JSONMapping) -> str | JSONObject:
    if isinstance(choice, str):
        if choice not in CHOICES:
            raise refused(f"there is no tool_choice {choice!r}")
        return choice
    kind = choice.get("type")
    allowed = choice.get("allowed_tools")
    if kind == "allowed_tools" and isinstance(allowed, Mapping):
        named = [_named(tool) for tool in allowed.get("tools") or ()]
        return {"type": kind, "mode": allowed.get("mode") or "auto", "tools": named}
    return _named(choice)


def _named(tool: JSON) -> JSONObject:
    """Return a tool by its type and its name, which stand in one object here."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    inner = tool.get(kind) if isinstance(kind, str) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if kind not in ("function", "custom") or not isinstance(name, str):
        raise refused("tool_choice must name a function or a custom tool")
    return {"type": kind, "name": name}
