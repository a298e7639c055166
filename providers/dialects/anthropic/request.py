"""A chat as the body that Anthropic's Messages API wants.

Facts: the types of Anthropic's own package (2.12) and its documentation at
platform.claude.com/docs, on versioning, structured outputs and effort.
"""

import re

from providers.chat import ChatRequest, Tool
from providers.dialects.translation import (
    check_carried,
    chosen_tool,
    json_schema,
    most_tokens,
    refused,
    stops,
)
from providers.json_types import JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .cleaning import THINKS, cleaned, is_own_host
from .turns import API, conversation

# The API wants a bound on every answer; this one is for requests that name none.
DEFAULT_MAX_TOKENS = 4096
CARRIED = frozenset(
    ("response_format", "stop", "temperature", "tool_choice", "tools", "top_p")
)
TOOL_CHOICE = {"auto": "auto", "none": "none", "required": "any", "function": "tool"}
EFFORT = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
# What must not follow: another minor version. A date may.
_ENDS = r"(?![-.]?\d{1,2}\b)"
# The Claude models that take a temperature; later ones answer 400 to it.
TAKES_SAMPLING = re.compile(
    rf"claude-(?:[1-3]|instant|(?:opus|sonnet|haiku)-4(?:[-.][0-6])?{_ENDS})"
)
# The Claude models that answer 400 to an effort.
TAKES_NO_EFFORT = re.compile(
    r"claude-(?:[1-3]|instant|haiku-4"
    rf"|opus-4(?:[-.][01])?{_ENDS}|sonnet-4(?:[-.][0-5])?{_ENDS})"
)


def message_body(
    settings: ProviderSettings, request: ChatRequest, model: str, notes: list[str]
) -> JSONObject:
    """
    Return the body that asks *model* for a streamed answer to *request*; *notes* get
    what of it was put right.

    Raises ProviderRefusedRequest for what the API can't say.
    """
    check_carried(request, CARRIED, API)
    own_host = is_own_host(settings)
    thinking = _thinking(request)
    body = {
        "model": model,
        "max_tokens": _bound(request, thinking, notes),
        "stream": True,
        **conversation(request, unsigned=not own_host),
        **_tools(request),
        **_output(request, model),
        **thinking,
        **_sampling(request, model, thinking, notes),
    }
    if sequences := stops(request):
        body["stop_sequences"] = sequences
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return cleaned(body, notes, signed_only=own_host)


def _tools(request: ChatRequest) -> JSONObject:
    how, name = chosen_tool(request)
    if not request.tools:
        if how in ("required", "function"):
            raise refused("tool_choice asks for a call, and there are no tools")
        return {}
    choice: JSONObject = {"type": TOOL_CHOICE[how]}
    if name:
        choice["name"] = name
    if request.parallel_tool_calls is False and how != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in request.tools], "tool_choice": choice}


def _tool(tool: Tool) -> JSONObject:
    function = tool.function
    if tool.type != "function" or function is None:
        raise refused(f"{API} has nothing for tools of the type {tool.type!r}")
    schema = {"type": "object", "properties": {}, **(function.parameters or {})}
    made: JSONObject = {"name": function.name, "input_schema": schema}
    if function.description:
        made["description"] = function.description
    if function.strict is not None:
        made["strict"] = function.strict
    if mark := tool.cache_control or function.cache_control:
        made["cache_control"] = mark
    return made


def _output(request: ChatRequest, model: str) -> JSONObject:
    config: JSONObject = {}
    effort = request.reasoning_effort
    if effort not in (None, "none", *EFFORT):
        raise refused(f"there is no reasoning_effort {effort!r}")
    if effort in EFFORT and not TAKES_NO_EFFORT.search(model):
        config["effort"] = EFFORT[effort]
    if schema := json_schema(request):
        config["format"] = {"type": "json_schema", "schema": schema}
    return {"output_config": config} if config else {}


def _thinking(request: ChatRequest) -> JSONObject:
    """Switch thinking as asked; `thinking` is no field of OpenAI's, but of this API."""
    thinking = request.body.get("thinking")
    if isinstance(thinking, dict):
        return {"thinking": thinking}
    off = request.reasoning_effort == "none"
    return {"thinking": {"type": "disabled"}} if off else {}


def _bound(request: ChatRequest, thinking: JSONMapping, notes: list[str]) -> int:
    """Return the bound on an answer's tokens, of which thoughts must not take all."""
    bound = most_tokens(request)
    budget = thinking.get("thinking", {}).get("budget_tokens")
    if not isinstance(budget, int) or (bound or 0) > budget:
        return bound or DEFAULT_MAX_TOKENS
    if bound is not None:
        notes.append("max_tokens raised above budget_tokens")
    return budget + (bound or DEFAULT_MAX_TOKENS)


def _sampling(
    request: ChatRequest,
    model: str,
    thinking: JSONMapping,
    notes: list[str],
) -> JSONObject:
    """
    Return one of temperature and top_p: some models refuse both together, and all a
    temperature but 1 where they think.
    """
    if "claude" in model and not TAKES_SAMPLING.search(model):
        return {}
    thinks = thinking.get("thinking", {}).get("type") in THINKS
    if request.temperature is not None and thinks:
        if request.temperature != 1:
            notes.append("temperature left out, since it thinks")
        return {}
    if request.temperature is not None:
        # OpenAI's scale ends at 2.
        return {"temperature": min(request.temperature, 1.0)}
    return {} if request.top_p is None else {"top_p": request.top_p}
