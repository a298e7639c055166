"""A chat as the body that Anthropic's Messages API wants.

Facts: the types of Anthropic's own package (2.12) and its documentation at
platform.claude.com/docs, on versioning, structured outputs and effort.
"""

import re
from collections.abc import Sequence
from typing import Any

from providers.chat import ChatRequest, ContentPart, Message, Tool, ToolCall
from providers.dialects.translation import (
    check_carried,
    chosen_tool,
    data_url,
    image_url,
    json_schema,
    most_tokens,
    object_of,
    parts_of,
    refused,
    stops,
    system_and_turns,
)

API = "Anthropic's Messages API"
# The API wants a bound on every answer; this one is for requests that name none.
DEFAULT_MAX_TOKENS = 4096
CARRIED = frozenset(
    ("response_format", "stop", "temperature", "tool_choice", "tools", "top_p")
)
IMAGES = {f"image/{kind}": f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp")}
IMAGES["image/jpg"] = "image/jpeg"  # no registered name, but a common one
JSON_ONLY = "Answer with one JSON object and with nothing else."
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


def message_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """
    Return the body that asks *model* for a streamed answer to *request*.

    Raises ProviderRefusedRequest for what the API can't say.
    """
    check_carried(request, CARRIED, API)
    body = {
        "model": model,
        "max_tokens": most_tokens(request) or DEFAULT_MAX_TOKENS,
        "stream": True,
        **_conversation(request),
        **_tools(request),
        **_output(request, model),
        **_thinking(request),
        **_sampling(request, model),
    }
    if sequences := stops(request):
        body["stop_sequences"] = sequences
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return body


def _conversation(request: ChatRequest) -> dict[str, Any]:
    system, messages = system_and_turns(request.messages)
    turns = _turns(request, messages)
    if not turns and system:
        # The API wants a turn, and to be told something is one.
        turns, system = [{"role": "user", "content": [_text(system)]}], ""
    if not turns:
        raise refused("no message has any content")
    if json_schema(request) == {}:
        system = f"{system}\n\n{JSON_ONLY}".strip()
    return {"system": system, "messages": turns} if system else {"messages": turns}


def _turns(request: ChatRequest, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the turns, of the user and the assistant by turns, each in one message."""
    turns: list[dict[str, Any]] = []
    for i, message in enumerate(messages, len(request.messages) - len(messages)):
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if blocks and role == "assistant":
            blocks = _thoughts(request, i) + blocks
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "function":
        raise refused(f"{API} has nothing for messages of the role 'function'")
    parts = [_part(part) for part in parts_of(message)]
    if message.role == "tool":
        if not message.tool_call_id:
            raise refused("a tool message has no tool_call_id")
        return [
            {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id,
                "content": parts,
            }
        ]
    if message.refusal:
        parts.append(_text(message.refusal))
    return parts + [_tool_use(call) for call in message.tool_calls or ()]


def _thoughts(request: ChatRequest, i: int) -> list[dict[str, Any]]:
    """Return the signed thoughts that the client got with a message and sends back."""
    sent = request.body.get("messages") or ()
    blocks = sent[i].get("thinking_blocks") if i < len(sent) else None
    thoughts: list[dict[str, Any]] = []
    for block in blocks if isinstance(blocks, list) else ():
        match block:
            case {"type": "thinking", "thinking": str(text), "signature": str(mark)}:
                # A thought that is not shown has no text, but a signature.
                if mark:
                    thought = {"type": "thinking", "thinking": text}
                    thoughts.append({**thought, "signature": mark})
            case {"type": "redacted_thinking", "data": str(data)}:
                thoughts.append({"type": "redacted_thinking", "data": data})
    return thoughts


def _part(part: ContentPart) -> dict[str, Any]:
    match part.type:
        case "text":
            return _text(part.text or "")
        case "refusal":
            return _text(part.refusal or "")
        case "image_url":
            return {"type": "image", "source": _image(part)}
    raise refused(f"{API} has nothing for content parts of the type {part.type!r}")


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(part: ContentPart) -> dict[str, str]:
    inline = data_url(part)
    if inline is None:
        url = image_url(part)
        if not url.startswith(("https://", "http://")):
            raise refused("an image_url is neither a web address nor base64 data")
        return {"type": "url", "url": url}
    media_type, data = inline
    if media_type not in IMAGES:
        raise refused(f"{API} takes no images of the type {media_type!r}")
    return {"type": "base64", "media_type": IMAGES[media_type], "data": data}


def _tool_use(call: ToolCall) -> dict[str, Any]:
    if call.function is None:
        raise refused(f"{API} has nothing for tool calls of the type {call.type!r}")
    return {
        "type": "tool_use",
        "id": call.id,
        "name": call.function.name,
        "input": object_of(call.function.arguments),
    }


def _tools(request: ChatRequest) -> dict[str, Any]:
    how, name = chosen_tool(request)
    if not request.tools:
        if how in ("required", "function"):
            raise refused("tool_choice asks for a call, and there are no tools")
        return {}
    choice: dict[str, Any] = {"type": TOOL_CHOICE[how]}
    if name:
        choice["name"] = name
    if request.parallel_tool_calls is False and how != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in request.tools], "tool_choice": choice}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    if tool.type != "function" or function is None:
        raise refused(f"{API} has nothing for tools of the type {tool.type!r}")
    schema = {"type": "object", "properties": {}, **(function.parameters or {})}
    made: dict[str, Any] = {"name": function.name, "input_schema": schema}
    if function.description:
        made["description"] = function.description
    if function.strict is not None:
        made["strict"] = function.strict
    return made


def _output(request: ChatRequest, model: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort not in (None, "none", *EFFORT):
        raise refused(f"there is no reasoning_effort {effort!r}")
    if effort in EFFORT and not TAKES_NO_EFFORT.search(model):
        config["effort"] = EFFORT[effort]
    if schema := json_schema(request):
        config["format"] = {"type": "json_schema", "schema": schema}
    return {"output_config": config} if config else {}


def _thinking(request: ChatRequest) -> dict[str, Any]:
    """Switch thinking as asked; `thinking` is no field of OpenAI's, but of this API."""
    thinking = request.body.get("thinking")
    if isinstance(thinking, dict):
        return {"thinking": thinking}
    off = request.reasoning_effort == "none"
    return {"thinking": {"type": "disabled"}} if off else {}


def _sampling(request: ChatRequest, model: str) -> dict[str, Any]:
    """Return one of temperature and top_p: some models refuse both together."""
    if "claude" in model and not TAKES_SAMPLING.search(model):
        return {}
    if request.temperature is not None:
        # OpenAI's scale ends at 2.
        return {"temperature": min(request.temperature, 1.0)}
    return {} if request.top_p is None else {"top_p": request.top_p}
