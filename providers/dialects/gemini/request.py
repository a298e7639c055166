"""A chat as the body that Google's Gemini API wants.

Facts: the types of Google's own package (google-genai 3.4) and its documentation at
ai.google.dev, on thinking, thought signatures and function calling. The API answers
400 to a field that it does not know, so nothing is sent on unread.
"""

from collections.abc import Mapping, Sequence

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
from providers.json_types import JSONObject

from .thinking import needs_signatures, thinking_config

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


def content_body(request: ChatRequest, model: str) -> JSONObject:
    """
    Return the body that asks *model* for an answer to *request*.

    Raises ProviderRefusedRequest for what the API can't say.
    """
    check_carried(request, CARRIED, API)
    body = {**_conversation(request, model), **_tools(request)}
    if config := _config(request, model):
        body["generationConfig"] = config
    return body


def _conversation(request: ChatRequest, model: str) -> JSONObject:
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
) -> list[JSONObject]:
    """
    Return the turns, user's and model's by turns: all tool results in one.

    *unsigned* is the signature for calls that have none.
    """
    contents: list[JSONObject] = []
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


def _texts_and_media(message: Message) -> list[JSONObject]:
    parts = [_part(part) for part in parts_of(message)]
    if message.refusal:
        parts.append({"text": message.refusal})
    return [part for part in parts if part != {"text": ""}]  # the API refuses them


def _part(part: ContentPart) -> JSONObject:
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


def _inline(typed: tuple[str, str] | None, what: str) -> JSONObject:
    if typed is None:
        raise refused(f"{API} takes {what} as base64 data: URLs only, it fetches none")
    # No registered name, but a common one.
    kind = "image/jpeg" if typed[0] == "image/jpg" else typed[0]
    return {"inlineData": {"mimeType": kind, "data": typed[1]}}


def _results(message: Message, names: Mapping[str, list[str]]) -> list[JSONObject]:
    """Return a function's result: its text, and after it what else there is."""
    media = [_part(part) for part in parts_of(message) if part.type not in TEXTS]
    return [_result(message, names), *media]


def _result(message: Message, names: Mapping[str, list[str]]) -> JSONObject:
    """Return the text of a result; OpenAI's has no name, its call has."""
    call_id = message.tool_call_id or ""
    called = names.get(call_id)
    name = called.pop(0) if called else message.name
    if not name:
        raise refused(f"no tool call before its result has the id {call_id!r}")
    result = {"name": name, "response": _response(text_of(message))}
    return {"functionResponse": {"id": call_id, **result} if call_id else result}


def _response(text: str) -> JSONObject:
    """Return a result as the object that the API wants it to be."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    return value if isinstance(value, dict) else {"result": value}


def _calls(
    calls: Sequence[ToolCall], signatures: Sequence[str], unsigned: str
) -> list[JSONObject]:
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


def _tools(request: ChatRequest) -> JSONObject:
    how, name = chosen_tool(request)
    if not request.tools:
        if how in ("required", "function"):
            raise refused("tool_choice asks for a call, and there are no tools")
        return {}
    calling: JSONObject = {"mode": MODES[how]}
    if name:
        calling["allowedFunctionNames"] = [name]
    return {
        "tools": [{"functionDeclarations": [_declared(t) for t in request.tools]}],
        "toolConfig": {"functionCallingConfig": calling},
    }


def _declared(tool: Tool) -> JSONObject:
    function = tool.function
    if tool.type != "function" or function is None:
        raise refused(f"{API} has nothing for tools of the type {tool.type!r}")
    made: JSONObject = {"name": function.name}
    if function.description:
        made["description"] = function.description
    if function.parameters:
        # `parameters` would take a part of JSON Schema only.
        made["parametersJsonSchema"] = function.parameters
    return made


def _config(request: ChatRequest, model: str) -> JSONObject:
    """Return how to generate; some models refuse penalties, even those of zero."""
    config: JSONObject = {
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
        "thinkingConfig": thinking_config(request.reasoning_effort, model) or None,
    }
    if (schema := json_schema(request)) is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = schema or None
    return {name: value for name, value in config.items() if value is not None}
