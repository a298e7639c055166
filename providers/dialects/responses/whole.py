"""A whole response as the events that a stream would have brought it in."""

from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import NOTHING

Event = dict[str, Any]
# What a response has only at its end.
LATER: Mapping[str, Any] = {
    "status": "in_progress",
    "output": [],
    "usage": None,
    "incomplete_details": None,
}
# How a part of a text grows, by its type: its events' name, its text's.
PARTS = {
    "output_text": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning_text", "text"),
}
CALLS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


def is_response(payload: Any) -> bool:
    """Say whether JSON in the place of a stream is a response."""
    return isinstance(payload, Mapping) and (
        payload.get("object") == "response" or "output" in payload
    )


def last_event(response: Mapping[str, Any]) -> Event:
    """Return the event that a response ends with; all of the response is in it."""
    status = response.get("status") or "completed"
    return {"type": f"response.{status}", "response": response}


def unrolled(response: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events of a response, in order and numbered."""
    for number, event in enumerate(_events(response)):
        kind = event.pop("type")
        yield {"type": kind, "sequence_number": number, **event}


def _events(response: Mapping[str, Any]) -> Iterator[Event]:
    begun = {**response, **LATER}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.get("output") or ()):
        of = {"output_index": index}
        yield {"type": "response.output_item.added", **of, "item": _empty(item)}
        yield from _grown(item, {"item_id": item.get("id"), **of})
        yield {"type": "response.output_item.done", **of, "item": item}
    yield last_event(response)


def _empty(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as it is before anything of it has come."""
    empty: dict[str, Any] = {"content": [], "summary": [], "arguments": "", "input": ""}
    known = {name: value for name, value in empty.items() if name in item}
    if item.get("type") not in ("message", "reasoning", *CALLS):
        return dict(item)
    return {**item, **known, **({"status": "in_progress"} if "status" in item else {})}


def _grown(item: Mapping[str, Any], of: Event) -> Iterator[Event]:
    kind = item.get("type")
    if kind in CALLS:
        name, field = CALLS[kind]
        text = item.get(field) or ""
        yield {"type": f"response.{name}.delta", **of, "delta": text}
        yield {"type": f"response.{name}.done", **of, field: text}
    if kind == "reasoning":
        for i, part in enumerate(item.get("summary") or ()):
            yield from _summarized(part, {**of, "summary_index": i})
    if kind in ("message", "reasoning"):
        for i, part in enumerate(item.get("content") or ()):
            yield from _said(part, {**of, "content_index": i})


def _summarized(part: Mapping[str, Any], of: Event) -> Iterator[Event]:
    text = part.get("text") or ""
    name = "response.reasoning_summary"
    yield {"type": f"{name}_part.added", **of, "part": {**part, "text": ""}}
    yield {"type": f"{name}_text.delta", **of, "delta": text}
    yield {"type": f"{name}_text.done", **of, "text": text}
    yield {"type": f"{name}_part.done", **of, "part": part}


def _said(part: Mapping[str, Any], of: Event) -> Iterator[Event]:
    name, field = PARTS.get(part.get("type") or "", ("", ""))
    if not name:
        return
    text = part.get(field) or ""
    more = (
        {"logprobs": part.get("logprobs") or []} if name == "output_text" else NOTHING
    )
    begun = {**part, field: ""}
    if "annotations" in part:
        begun["annotations"] = []
    yield {"type": "response.content_part.added", **of, "part": begun}
    yield {"type": f"response.{name}.delta", **of, "delta": text, **more}
    yield {"type": f"response.{name}.done", **of, field: text, **more}
    yield {"type": "response.content_part.done", **of, "part": part}
