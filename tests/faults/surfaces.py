"""The four surfaces: how each is asked, and what its answers say, in common words."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import Factory, define, field, frozen

USER = [{"role": "user", "content": "hi"}]
TOOL = {"name": "f", "parameters": {"type": "object"}}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
RESPONSES, COMPLETIONS = "/v1/responses", "/v1/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": USER},
    MESSAGES: {"messages": USER, "max_tokens": 99},
    RESPONSES: {"input": "hi"},
    COMPLETIONS: {"prompt": "hi"},
}
STREAM_USAGE = {"stream_options": {"include_usage": True}}
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "max_output_tokens": "length",
}
ENDS = {"[DONE]", "message_stop", "response.completed", "response.incomplete"}


@define
class Call:
    """A tool call, as it has been told so far."""

    id: str
    name: str
    arguments: str = ""


@define
class Told:
    """
    What a client has been told.

    *finishes* are in a chat's words; *tokens* are the completion's; *ended*: the stream
    had its good end; *error* is the message of an error.
    """

    status: int = 200
    text: str = ""
    thought: str = ""
    calls: dict[Any, Call] = field(factory=dict)
    finishes: list[str] = field(factory=list)
    tokens: int | None = None
    ended: bool = False
    error: str = ""
    provider: str = ""


@frozen
class Asked:
    """One question on one surface."""

    path: str
    stream: bool
    body: dict[str, Any] = Factory(dict)

    @property
    def name(self) -> str:
        return f"{self.path.rsplit('/v1/')[-1]} {'streamed' if self.stream else ''}"

    def request(self, provider: str, **more: Any) -> dict[str, Any]:
        usage = self.stream and self.path in (CHAT, COMPLETIONS)
        return {
            "model": "m",
            "provider": provider,
            "stream": self.stream,
            **BODIES[self.path],
            **(STREAM_USAGE if usage else {}),
            **more,
        }

    def read(self, status: int, body: str) -> Told:
        told = Told(status)
        if status != 200:
            told.error = json.loads(body)["error"]["message"]
        elif not self.stream:
            told.ended = True
            READERS[self.path](told, json.loads(body))
        else:
            for payload in _events(body):
                _read_event(told, self.path, payload)
        return told


ASKED = tuple(Asked(path, stream) for path in BODIES for stream in (True, False))


def _events(body: str) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def _read_event(told: Told, path: str, payload: Any) -> None:
    kind = payload if isinstance(payload, str) else payload.get("type")
    if kind in ENDS:
        told.ended = True
    if kind == "[DONE]":
        return
    if kind == "error" or "error" in payload:
        error = payload.get("error") or payload
        told.error = error["message"]
    elif path == MESSAGES:
        _message_event(told, payload)
    elif path == RESPONSES:
        if kind in ENDS:
            _response(told, payload["response"])
    else:
        READERS[path](told, payload)


def _chat(told: Told, payload: Any) -> None:
    told.provider = payload["provider"]
    for choice in payload["choices"]:
        said = choice.get("delta") or choice.get("message") or {}
        told.text += said.get("content") or choice.get("text") or ""
        told.thought += said.get("reasoning_content") or ""
        for place, piece in enumerate(said.get("tool_calls") or ()):
            function = piece["function"]
            at = piece.get("index", place)
            call = told.calls.setdefault(at, Call(piece.get("id", ""), ""))
            call.name += function.get("name") or ""
            call.arguments += function.get("arguments") or ""
        if choice["finish_reason"]:
            told.finishes.append(choice["finish_reason"])
    if usage := payload.get("usage"):
        told.tokens = usage["completion_tokens"]


def _message(told: Told, payload: Any) -> None:
    told.provider = payload["provider"]
    for place, block in enumerate(payload["content"]):
        _block(told, place, block)
        if block["type"] == "tool_use":
            told.calls[place].arguments = json.dumps(block["input"])
    told.finishes.append(FINISHES[payload["stop_reason"]])
    told.tokens = payload["usage"]["output_tokens"]


def _block(told: Told, place: int, block: Any) -> None:
    told.text += block.get("text", "")
    told.thought += block.get("thinking", "")
    if block["type"] == "tool_use":
        told.calls[place] = Call(block["id"], block["name"])


def _message_event(told: Told, payload: Any) -> None:
    match payload["type"]:
        case "message_start":
            told.provider = payload["message"]["provider"]
        case "content_block_start":
            _block(told, payload["index"], payload["content_block"])
        case "content_block_delta":
            delta = payload["delta"]
            told.text += delta.get("text", "")
            told.thought += delta.get("thinking", "")
            if "partial_json" in delta:
                told.calls[payload["index"]].arguments += delta["partial_json"]
        case "message_delta":
            told.finishes.append(FINISHES[payload["delta"]["stop_reason"]])
            told.tokens = payload["usage"]["output_tokens"]


def _response(told: Told, payload: Any) -> None:
    told.provider = payload["provider"]
    for place, item in enumerate(payload["output"]):
        for part in item.get("content") or ():
            name = "thought" if item["type"] == "reasoning" else "text"
            said = part.get("text") or part.get("refusal") or ""
            setattr(told, name, getattr(told, name) + said)
        if item["type"] == "function_call":
            told.calls[place] = Call(item["call_id"], item["name"], item["arguments"])
    why = (payload["incomplete_details"] or {}).get("reason")
    done = "tool_calls" if told.calls else "stop"
    told.finishes.append(FINISHES.get(why, why) if why else done)
    if payload["usage"]:
        told.tokens = payload["usage"]["output_tokens"]


READERS = {CHAT: _chat, COMPLETIONS: _chat, MESSAGES: _message, RESPONSES: _response}
