"""A chat as the body that Google's Gemini API wants.

Facts: the types of Google's own package (google-genai 3.4) and its documentation at
ai.google.dev, on thinking, thought signatures and function calling. The API answers
400 to a field that it does not know, so nothing is sent on unread.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from providers.chat import ChatRequest, ContentPart, Message, Tool, ToolCall
from providers.dialects.translation import (
    base64_url,
    call_name,
    called,
    check_carried,
    chosen_tool,
    data_url,
    json_schema,
    most_tokens,
    parts_of,
    refused,
    stops,
    system_and_turns,
    text_of,
)

API = "Google's Gemini API"
CARRIED = frozenset(
    (
        "frequency_penalty",
        "logprobs",
        "n",
        "presence_penalty",
        "response_format",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
    )
)
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "function": "ANY"}
# What the API takes in a signature's place for calls that it has not made itself.
NO_SIGNATURE = "skip_thought_signature_validator"
TEXTS = ("text", "refusal")
SEEDS = 2**31
VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# The first models that think, and the first that are told how much by a level.
THINKS = (2, 5)
HAS_LEVELS = (3, 0)
# Models that answer 400 to any wish about thinking.
MEDIA_MODELS = re.compile(r"-(?:image|tts|audio|live)\b")
LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
# Tokens; each is within the bounds of all models that take a budget.
BUDGETS = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
# The least that the Pro models do, which can't be kept from thinking.
PRO_BUDGET = 128


def content_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """
    Return the body that asks *model* for an answer to *request*.

    Raises ProviderRefusedRequest for what the API can't say.
    """
    check_carried(request, CARRIED, API)
    body = {**_conversation(request, model), **_tools(request)}
    if config := _config(request, model):
        body["generationConfig"] = config
    return body


def _conversation(request: ChatRequest, model: str) -> dict[str, Any]:
    system, messages = system_and_turns(request.messages)
    unsigned = NO_SIGNATURE if needs_signatures(model) else ""
    contents = _contents(request, messages, unsigned)
    if not contents and system:
        # The API wants something to answer, and to be told something is that.
        return {"contents": [{"role": "user", "parts": [{"text": system}]}]}
    if not contents:
        raise refused("no message has any content")
    if not system:
        return {"contents": contents}
    return {"systemInstruction": {"parts": [{"text": system}]}, "contents": contents}


def _contents(
    request: ChatRequest, messages: Sequence[Message], unsigned: str
) -> list[dict[str, Any]]:
    """
    Return the turns, user's and model's by turns: all tool results in one.

    *unsigned* is the signature for calls that have none.
    """
    contents: list[dict[str, Any]] = []
    names: dict[str, list[str]] = {}
    for i, message in enumerate(messages, len(request.messages) - len(messages)):
        role = "model" if message.role == "assistant" else "user"
        if message.role == "function":
            raise refused(f"{API} has nothing for messages of the role 'function'")
        if message.role == "tool":
            parts = _results(message, names)
        else:
            parts = _texts_and_media(message)
        calls = message.tool_calls or ()
        parts += _calls(calls, _signatures(request, i), unsigned)
        if calls:
            names = {}  # ids may come again, also for calls of one message
        for call in calls:
            names.setdefault(call.id, []).append(call_name(call))
        if parts and contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _texts_and_media(message: Message) -> list[dict[str, Any]]:
    parts = [_part(part) for part in parts_of(message)]
    if message.refusal:
        parts.append({"text": message.refusal})
    return [part for part in parts if part != {"text": ""}]  # the API refuses them


def _part(part: ContentPart) -> dict[str, Any]:
    match part.type:
        case "text":
            return {"text": part.text or ""}
        case "refusal":
            return {"text": part.refusal or ""}
        case "image_url":
            return _inline(data_url(part), "images")
        case "file":
            file_data = (part.file or {}).get("file_data")
            return _inline(base64_url(str(file_data)), "files")
        case "input_audio":
            sound = part.input_audio or {}
            if isinstance(sound.get("data"), str) and sound.get("format"):
                return _inline((f"audio/{sound['format']}", sound["data"]), "sounds")
            raise refused("an input_audio part lacks its data or its format")
    raise refused(f"{API} has nothing for content parts of the type {part.type!r}")


def _inline(typed: tuple[str, str] | None, what: str) -> dict[str, Any]:
    if typed is None:
        raise refused(f"{API} takes {what} as base64 data: URLs only, it fetches none")
    # No registered name, but a common one.
    kind = "image/jpeg" if typed[0] == "image/jpg" else typed[0]
    return {"inlineData": {"mimeType": kind, "data": typed[1]}}


def _results(message: Message, names: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return a function's result: its text, and after it what else there is."""
    media = [_part(part) for part in parts_of(message) if part.type not in TEXTS]
    return [_result(message, names), *media]


def _result(message: Message, names: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the text of a result; OpenAI's has no name, its call has."""
    call_id = message.tool_call_id or ""
    called = names.get(call_id)
    name = called.pop(0) if called else message.name
    if not name:
        raise refused(f"no tool call before its result has the id {call_id!r}")
    result = {"name": name, "response": _response(text_of(message))}
    return {"functionResponse": {"id": call_id, **result} if call_id else result}


def _response(text: str) -> dict[str, Any]:
    """Return a result as the object that the API wants it to be."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    return value if isinstance(value, dict) else {"result": value}


def _calls(
    calls: Sequence[ToolCall], signatures: Sequence[str], unsigned: str
) -> list[dict[str, Any]]:
    """Return a message's calls; the first of them is the one that must be signed."""
    parts = []
    for i, call in enumerate(calls):
        name, arguments = called(call, API)
        made = {"id": call.id, "name": name, "args": arguments}
        signature = signatures[i] if i < len(signatures) else ""
        if not signature and i == 0:
            signature = unsigned
        signing = {"thoughtSignature": signature} if signature else {}
        parts.append({"functionCall": made, **signing})
    return parts


def _signatures(request: ChatRequest, i: int) -> list[str]:
    """Return what the calls of a message were signed with, as the client sends it."""
    sent = request.body.get("messages") or ()
    calls = (sent[i].get("tool_calls") or ()) if i < len(sent) else ()
    found = []
    for call in calls:
        extra = call.get("extra_content")
        google = extra.get("google") if isinstance(extra, dict) else None
        value = google.get("thought_signature") if isinstance(google, dict) else None
        found.append(value if isinstance(value, str) else "")
    return found


def _tools(request: ChatRequest) -> dict[str, Any]:
    how, name = chosen_tool(request)
    if not request.tools:
        if how in ("required", "function"):
            raise refused("tool_choice asks for a call, and there are no tools")
        return {}
    calling: dict[str, Any] = {"mode": MODES[how]}
    if name:
        calling["allowedFunctionNames"] = [name]
    return {
        "tools": [{"functionDeclarations": [_declared(t) for t in request.tools]}],
        "toolConfig": {"functionCallingConfig": calling},
    }


def _declared(tool: Tool) -> dict[str, Any]:
    function = tool.function
    if tool.type != "function" or function is None:
        raise refused(f"{API} has nothing for tools of the type {tool.type!r}")
    made: dict[str, Any] = {"name": function.name}
    if function.description:
        made["description"] = function.description
    if function.parameters:
        # `parameters` would take a part of JSON Schema only.
        made["parametersJsonSchema"] = function.parameters
    return made


def _config(request: ChatRequest, model: str) -> dict[str, Any]:
    """Return how to generate; some models refuse penalties, even those of zero."""
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": most_tokens(request),
        "stopSequences": stops(request) or None,
        "candidateCount": None if request.n == 1 else request.n,
        "seed": None if request.seed is None else request.seed % SEEDS,
        "frequencyPenalty": request.frequency_penalty or None,
        "presencePenalty": request.presence_penalty or None,
        "responseLogprobs": request.logprobs or None,
        "logprobs": (request.logprobs and request.top_logprobs) or None,
        "thinkingConfig": _thinking(request.reasoning_effort, model) or None,
    }
    if (schema := json_schema(request)) is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = schema or None
    return {name: value for name, value in config.items() if value is not None}


def _thinking(effort: str | None, model: str) -> dict[str, Any]:
    """
    Ask for thoughts, and for as many as the client wants.

    Only where the model's name says that it thinks: others answer 400 to being asked.
    """
    if effort not in (None, *LEVELS):
        raise refused(f"there is no reasoning_effort {effort!r}")
    version = version_of(model)
    if version is None or version < THINKS or MEDIA_MODELS.search(model):
        return {}
    if effort is None:
        # The light models think only if told to, and refuse to show what isn't there.
        return {} if "-lite" in model else {"includeThoughts": True}
    shown = {} if effort in ("none", "minimal") else {"includeThoughts": True}
    if version >= HAS_LEVELS:
        return {"thinkingLevel": _level(LEVELS[effort], model, version), **shown}
    least = PRO_BUDGET if "-pro" in model else 0
    return {"thinkingBudget": max(BUDGETS[effort], least), **shown}


def _level(level: str, model: str, version: tuple[int, int]) -> str:
    """Return the nearest level that the model has: 3 Pro has but two."""
    if "-pro" not in model:
        return level
    if level == "MEDIUM" and version == HAS_LEVELS:
        return "HIGH"
    return "LOW" if level == "MINIMAL" else level


def needs_signatures(model: str) -> bool:
    """Say whether a model refuses calls that are not signed, as those since 3 do."""
    version = version_of(model)
    if version is None:
        return "gemini" in model  # such as gemini-flash-latest
    return version >= HAS_LEVELS


def version_of(model: str) -> tuple[int, int] | None:
    """Return a model's version, where its name tells."""
    found = VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None
