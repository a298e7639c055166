"""A chat as the body that Ollama's own chat API wants.

Facts: Ollama's server of August 2026 (api/types.go, server/routes.go, openai/openai.go)
and its documentation's page on what it makes of OpenAI's API.
"""

from collections.abc import Mapping, Sequence

from providers.chat import ChatRequest, ContentPart, Message, Tool, ToolCall
from providers.dialects.translation import (
    called,
    check_carried,
    chosen_tool,
    data_url,
    json_schema,
    most_tokens,
    parts_of,
    refused,
    stops,
    text_of,
    tool_names,
)
from providers.json_types import JSON, JSONMapping, JSONObject

API = "Ollama"
OPTIONS = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")
# Not OpenAI's, but what clients of local models send beside its fields.
OWN_OPTIONS = ("top_k", "min_p", "repeat_penalty", "num_ctx")
CARRIED = frozenset(OPTIONS) | {
    "logprobs",
    "response_format",
    "stop",
    "tool_choice",
    "tools",
    "top_logprobs",
}
# OpenAI's scale is longer than Ollama's at both ends. Any level but "none" gets a 400
# from a model that does not think, so none is sent that was not asked for.
THINK: Mapping[str, bool | str] = (
    {"none": False}
    | {"minimal": "low", "xhigh": "max", "ultra": "max"}
    | {level: level for level in ("low", "medium", "high", "max")}
)
TEXTS = ("text", "refusal")


def chat_body(request: ChatRequest, model: str) -> JSONObject:
    """
    Return the body that asks *model* for a streamed answer to *request*.

    Raises ProviderRefusedRequest for what Ollama can't be asked.
    """
    check_carried(request, CARRIED, API)
    optional = {
        "tools": _tools(request),
        "format": _format(request),
        "think": THINK.get(request.reasoning_effort or ""),
        "options": _options(request),
        "logprobs": request.logprobs or None,
        "top_logprobs": request.top_logprobs or None,
    }
    return {
        "model": model,
        "messages": _messages(request.messages),
        "stream": True,
        # Or it leaves out the oldest messages of a long chat, and says nothing.
        "truncate": False,
    } | _given(optional)


def _given(fields: JSONMapping) -> JSONObject:
    """Leave out what is not there; false, 0 and "" are."""
    return {name: it for name, it in fields.items() if it not in (None, [], {})}


def _messages(messages: Sequence[Message]) -> list[JSONObject]:
    names = tool_names(messages)
    return [_message(message, names) for message in messages]


def _message(message: Message, names: Mapping[str, str]) -> JSONObject:
    if message.role == "function":
        raise refused(f"{API} has no messages of the role 'function'")
    optional = {
        "images": [_image(p) for p in parts_of(message) if p.type not in TEXTS],
        "thinking": message.reasoning_content,
        "tool_calls": [_tool_call(call) for call in message.tool_calls or ()],
    }
    if message.role == "tool":
        optional["tool_name"] = message.name or names.get(message.tool_call_id or "")
        optional["tool_call_id"] = message.tool_call_id
    return {
        "role": "system" if message.role == "developer" else message.role,
        "content": text_of(message) or message.refusal or "",
    } | _given(optional)


def _image(part: ContentPart) -> str:
    if part.type != "image_url":
        raise refused(f"{API} has nothing for a part of the type {part.type!r}")
    found = data_url(part)
    if found is None:
        raise refused(f"{API} takes images as base64 data: URLs only")
    return found[1]


def _tool_call(call: ToolCall) -> JSONObject:
    if call.function is None and call.custom is None:
        raise refused(f"{API} has no tools but functions")
    name, arguments = called(call, API)
    return {"id": call.id, "function": {"name": name, "arguments": arguments}}


def _tools(request: ChatRequest) -> list[JSONObject]:
    choice, _ = chosen_tool(request)
    if choice not in ("auto", "none"):
        raise refused(f"{API} can't be made to call a tool")
    if choice == "none":
        return []
    return [_tool(tool) for tool in request.tools or ()]


def _tool(tool: Tool) -> JSONObject:
    function = tool.function
    if tool.type != "function" or function is None:
        raise refused(f"{API} has no tools but functions")
    optional = {"description": function.description}
    nothing = {"type": "object", "properties": {}}
    shown = {"name": function.name, "parameters": function.parameters or nothing}
    return {"type": "function", "function": shown | _given(optional)}


def _format(request: ChatRequest) -> JSON:
    schema = json_schema(request)
    return "json" if schema == {} else schema


def _options(request: ChatRequest) -> JSONObject:
    options = {name: getattr(request, name) for name in OPTIONS}
    options |= {name: request.body.get(name) for name in OWN_OPTIONS}
    options |= {"stop": stops(request), "num_predict": most_tokens(request)}
    return _given(options)
