"""Which of the declared tools an upstream is sent, and how the model is shown them."""

import re
from collections.abc import Mapping, Sequence

from attrs import evolve

from providers.chat import ChatRequest, FreeTool, Function, HostedTools, Tool
from providers.json_types import JSON, JSONMapping, JSONObject

from .translation import refused

Choice = str | JSONMapping | None
# Tools that the client runs.
CALLED = ("function", "custom")
# The schema of a custom tool where an upstream has functions only.
INPUT: JSONMapping = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
# So much of what a client declares is named in a header.
MOST_NAMES, LONGEST_NAME = 32, 100
NOTHING_HOSTED = HostedTools()
NOT_NAMED = re.compile(r"[^\w.:/+-]", re.ASCII)


def hosted_tools(
    types: Sequence[str],
    others: int,
    *,
    left: int,
    choice: Choice = None,
    forced: str = "",
) -> HostedTools:
    """
    Return what is to be known of hosted tools, whose *types* are as declared.

    So many *others* are declared, and *left* of these by the client's *choice*.
    *forced* is the type that must be called.
    """
    if not types and not forced:
        return NOTHING_HOSTED
    must_call = choice in ("required", "any") and not left
    alone = len(types) == 1 and not others and choice != "none"
    needed = forced or (types[0] if types and (must_call or alone) else "")
    if needed:
        needed = f"tools of the type {needed!r}"
    names = dict.fromkeys(f"tools.{_named(kind)}" for kind in types)
    return HostedTools(names=tuple(names)[:MOST_NAMES], needed=needed)


def without_hosted(request: ChatRequest, api: str, dropped: list[str]) -> ChatRequest:
    """
    Return *request* less the tools that nobody behind *api* runs; *dropped* gets their
    names. Raises ProviderRefusedRequest if they can't be missed.
    """
    leave_out(request.hosted, api, dropped)
    tools = request.tools or ()
    types = [tool.type for tool in tools if tool.type not in CALLED]
    choice = request.tool_choice
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    forced = kind if isinstance(kind, str) and kind in types else ""
    left = [tool for tool in tools if tool.type in CALLED]
    known = hosted_tools(types, len(left), left=len(left), choice=choice, forced=forced)
    leave_out(known, api, dropped)
    return _with_tools(request, left, choice) if types else request


def leave_out(hosted: HostedTools, api: str, dropped: list[str]) -> None:
    """Note that *hosted* tools are left out; raise where one can't be missed."""
    if hosted.needed:
        raise refused(
            f"{api} has nothing for {hosted.needed}, which only the servers of another"
            " API know"
        )
    dropped += hosted.names


def functions_only(request: ChatRequest, api: str, dropped: list[str]) -> ChatRequest:
    """
    Return *request* with all its tools as functions, hosted ones left out.

    *dropped* gets the names of the latter. Raises ProviderRefusedRequest if one of
    those can't be missed.
    """
    request = without_hosted(request, api, dropped)
    tools: Sequence[Tool] = request.tools or ()
    choice = request.tool_choice
    if isinstance(choice, Mapping):
        tools, choice = _chosen(tools, choice)
    made = [_as_function(tool) for tool in tools]
    if choice is request.tool_choice and made == list(request.tools or ()):
        return request
    return _with_tools(request, made, choice)


def function_of(custom: JSONMapping) -> JSONObject:
    """
    Return the function that a custom tool is shown as; *custom* has its `name`, its
    `description` and its `format`, in the shape of either of OpenAI's APIs.

    A grammar stands at the end of the description: the model has to know the format.
    """
    shape = custom.get("format") or {}
    grammar = shape.get("grammar") or shape
    texts = [custom.get("description")]
    if isinstance(grammar, Mapping) and grammar.get("definition"):
        syntax = grammar.get("syntax") or "given"
        texts += [
            f"The input must follow this {syntax} grammar:",
            str(grammar["definition"]),
        ]
    made = {"name": custom.get("name"), "parameters": INPUT}
    described = "\n\n".join(filter(None, texts))
    return {**made, "description": described} if described else made


def _as_function(tool: Tool) -> Tool:
    if tool.type != "custom" or tool.custom is None:
        return tool
    custom: FreeTool = tool.custom
    shown = function_of(
        {
            "name": custom.name,
            "description": custom.description,
            "format": custom.format,
        }
    )
    return Tool(
        type="function", function=Function(**shown), cache_control=tool.cache_control
    )


def _chosen(
    tools: Sequence[Tool], choice: JSONMapping
) -> tuple[Sequence[Tool], Choice]:
    """Return the tools that a choice leaves, and the choice in words of functions."""
    match choice:
        case {"type": "custom", "custom": {"name": str(name)}}:
            return tools, {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(rows), **rest}}:
            names = {_name_in(row) for row in rows}
            mode = rest.get("mode")
            left = [tool for tool in tools if _name(tool) in names]
            return left, "required" if mode == "required" else "auto"
    return tools, choice


def _name(tool: Tool) -> str:
    of = tool.function or tool.custom
    return of.name if of is not None else ""


def _name_in(row: JSON) -> JSON:
    kind = row.get("type") if isinstance(row, Mapping) else None
    inner = row.get(kind) if isinstance(kind, str) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else None


def _with_tools(
    request: ChatRequest, tools: Sequence[Tool], choice: Choice
) -> ChatRequest:
    """Return *request* with other tools, or without a word of tools."""
    body = dict(request.body)
    if not tools:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            body.pop(name, None)
        return evolve(
            request, tools=None, tool_choice=None, parallel_tool_calls=None, body=body
        )
    sent = body.get("tools") or ()
    body["tools"] = [each for each in sent if each.get("type") in CALLED]
    return evolve(request, tools=tuple(tools), tool_choice=choice, body=body)


def _named(kind: str) -> str:
    return NOT_NAMED.sub("?", kind)[:LONGEST_NAME]
