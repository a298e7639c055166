"""The clients of the matrix: how each API says a wish, and what it has of an answer."""

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Protocol

from attrs import define, field, frozen

from tests.rig.parts import City
from tests.rig.pictures import picture

PICTURE = b64encode(picture()).decode()
SCHEMA = {**City.model_json_schema(), "additionalProperties": False}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


@frozen(kw_only=True)
class Wish:
    """What a client asks for, besides a text; *back* is what it goes on from."""

    tools: bool = False
    picture: bool = False
    schema: bool = False
    thinks: bool = False
    back: "Seen | None" = None


@define
class Seen:
    """What a client has of an answer; *raw* is what it sends back of it."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(factory=list)
    ending: str = ""
    raw: Any = None


class ServedApi(Protocol):
    path: str

    def body(self, wish: Wish) -> dict[str, Any]: ...

    def whole(self, payload: Any) -> Seen: ...

    def streamed(self, events: list[Any]) -> Seen: ...


class ChatApi:
    path = "/v1/chat/completions"

    def body(self, wish: Wish) -> dict[str, Any]:
        content: Any = "hello"
        if wish.picture:
            url = {"url": f"data:image/png;base64,{PICTURE}"}
            text = {"type": "text", "text": "what is this?"}
            content = [text, {"type": "image_url", "image_url": url}]
        messages: list[Any] = [{"role": "user", "content": content}]
        if wish.back is not None:
            messages.append(wish.back.raw)
            for call in wish.back.raw["tool_calls"]:
                result = {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
                messages.append(result)
        body: dict[str, Any] = {"messages": messages}
        if wish.tools:
            function = {"name": "weather", "parameters": PARAMETERS}
            body["tools"] = [{"type": "function", "function": function}]
        if wish.schema:
            schema = {"name": "city", "schema": SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def whole(self, payload: Any) -> Seen:
        choice = payload["choices"][0]
        return self._seen(choice["message"], choice["finish_reason"])

    def streamed(self, events: list[Any]) -> Seen:
        message: dict[str, Any] = {"role": "assistant"}
        reason, error = "", False
        for event in events:
            error = error or "error" in event
            for choice in event.get("choices") or ():
                _grow(message, choice["delta"])
                reason = choice["finish_reason"] or reason
        return self._seen(message, "error" if error else reason)

    def _seen(self, message: dict[str, Any], reason: str) -> Seen:
        words = {"tool_calls": "tools", "content_filter": "filter"}
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        return Seen(
            text=message.get("content") or "",
            thought=message.get("reasoning_content") or "",
            refusal=message.get("refusal") or "",
            calls=[(c["name"], json.loads(c["arguments"])) for c in calls],
            ending=words.get(reason, reason),
            raw=message,
        )


def _grow(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            for call in value:
                _grow_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, list):
            message.setdefault(name, []).extend(value)
        elif name != "role" and value is not None:
            message[name] = message.get(name, "") + value


def _grow_call(calls: list[Any], piece: dict[str, Any]) -> None:
    made = {**piece, "function": dict(piece["function"])}
    index = made.pop("index")
    if index == len(calls):
        made["function"].setdefault("arguments", "")
        calls.append(made)
    else:
        calls[index]["function"]["arguments"] += made["function"]["arguments"]


class MessagesApi:
    path = "/v1/messages"

    def body(self, wish: Wish) -> dict[str, Any]:
        content: Any = "hello"
        if wish.picture:
            source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
            text = {"type": "text", "text": "what is this?"}
            content = [text, {"type": "image", "source": source}]
        messages: list[Any] = [{"role": "user", "content": content}]
        if wish.back is not None:
            blocks = wish.back.raw
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            kind = {"type": "tool_result", "content": "rain"}
            results = [{**kind, "tool_use_id": name} for name in calls]
            messages.append({"role": "assistant", "content": blocks})
            messages.append({"role": "user", "content": results})
        body: dict[str, Any] = {"messages": messages, "max_tokens": 2048}
        if wish.tools:
            body["tools"] = [{"name": "weather", "input_schema": PARAMETERS}]
        if wish.schema:
            shape = {"type": "json_schema", "schema": SCHEMA}
            body["output_config"] = {"format": shape}
        if wish.thinks:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return body

    def whole(self, payload: Any) -> Seen:
        return self._seen(payload["content"], payload["stop_reason"])

    def streamed(self, events: list[Any]) -> Seen:
        blocks: list[Any] = []
        reason = ""
        for event in events:
            match event["type"]:
                case "content_block_start":
                    blocks.append({**event["content_block"], "json": ""})
                case "content_block_delta":
                    _grow_block(blocks[-1], event["delta"])
                case "message_delta":
                    reason = event["delta"]["stop_reason"]
                case "error":
                    reason = "error"
        for block in blocks:
            text = block.pop("json")
            if block["type"] == "tool_use":
                block["input"] = json.loads(text or "{}")
        return self._seen(blocks, reason)

    def _seen(self, blocks: list[Any], reason: str) -> Seen:
        words = {"end_turn": "stop", "tool_use": "tools", "max_tokens": "length"}
        calls = [block for block in blocks if block["type"] == "tool_use"]
        return Seen(
            text=_joined(blocks, "text"),
            thought=_joined(blocks, "thinking"),
            refusal=_joined(blocks, "text") if reason == "refusal" else "",
            calls=[(block["name"], block["input"]) for block in calls],
            ending=words.get(reason, reason),
            raw=blocks,
        )


def _grow_block(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name != "type":
            key = "json" if name == "partial_json" else name
            block[key] = block.get(key, "") + value


def _joined(blocks: Iterable[Any], name: str) -> str:
    return "".join(block[name] for block in blocks if block["type"] == name)


class ResponsesApi:
    path = "/v1/responses"

    def body(self, wish: Wish) -> dict[str, Any]:
        content: Any = "hello"
        if wish.picture:
            url = f"data:image/png;base64,{PICTURE}"
            text = {"type": "input_text", "text": "what is this?"}
            content = [text, {"type": "input_image", "image_url": url}]
        items: list[Any] = [{"role": "user", "content": content}]
        if wish.back is not None:
            items += wish.back.raw
            calls = [each for each in wish.back.raw if each["type"] == "function_call"]
            kind = {"type": "function_call_output", "output": "rain"}
            items += [{**kind, "call_id": call["call_id"]} for call in calls]
        body: dict[str, Any] = {"input": items, "store": False}
        if wish.tools:
            tool = {"type": "function", "name": "weather", "parameters": PARAMETERS}
            body["tools"] = [tool]
        if wish.schema:
            shape = {"type": "json_schema", "name": "city", "schema": SCHEMA}
            body["text"] = {"format": {**shape, "strict": True}}
        if wish.thinks:
            body["include"] = ["reasoning.encrypted_content"]
        return body

    def whole(self, payload: Any) -> Seen:
        items = payload["output"]
        parts = [p for item in items for p in item.get("content") or ()]
        thoughts = [p for item in items for p in item.get("summary") or ()]
        calls = [item for item in items if item["type"] == "function_call"]
        why = (payload["incomplete_details"] or {}).get("reason")
        words = {"max_output_tokens": "length", "content_filter": "filter"}
        ending = words[why] if why else "tools" if calls else "stop"
        return Seen(
            text=_said(parts, "output_text", "text"),
            thought=_said(thoughts, "summary_text", "text")
            or _said(parts, "reasoning_text", "text"),
            refusal=_said(parts, "refusal", "refusal"),
            calls=[(call["name"], json.loads(call["arguments"])) for call in calls],
            ending="error" if payload["status"] == "failed" else ending,
            raw=items,
        )

    def streamed(self, events: list[Any]) -> Seen:
        ends = [e["response"] for e in events if e["type"] in RESPONSE_ENDS]
        seen = self.whole(ends[-1])
        kind = "response.output_text.delta"
        seen.text = "".join(e["delta"] for e in events if e["type"] == kind)
        return seen


RESPONSE_ENDS = ("response.completed", "response.incomplete", "response.failed")


def _said(parts: Iterable[Any], kind: str, name: str) -> str:
    return "".join(part[name] for part in parts if part["type"] == kind)


CLIENTS: dict[str, ServedApi] = {
    "chat": ChatApi(),
    "messages": MessagesApi(),
    "responses": ResponsesApi(),
}
