"""A whole response as the events that a stream would have brought it in."""

from collections.abc import Iterator, Mapping

from providers.json_types import JSON, JSONMapping, JSONObject

Event = JSONObject
# What a response has only at its end.
LATER: JSONMapping = {
    "status": "in_progress",
    "output": [],
    "usage": None,
    "incomplete_details": None,
}
# What an item has grown to by its end.
EMPTY: JSONMapping = {
    "status": "in_progress",
    "content": [],
    "summary": [],
    "arguments": "",
    "input": "",
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


def is_response(payload: JSON) -> bool:
    """Say whether JSON in the place of a stream is a response."""
    return isinstance(payload, Mapping) and (
        payload.get("object") == "response" or "output" in payload
    )


def last_event(response: JSONMapping) -> Event:
    """Return the event that a response ends with; all of the response is in it."""
    status = response.get("status") or "completed"
    return {"type": f"response.{status}", "response": response}


def unrolled(response: JSONMapping) -> Iterator[Event]:
    """Yield the events of a response, in order and numbered."""
    for number, event in enumerate(_events(response)):
        kind = event.pop("type")
        yield {"type": kind, "sequence_number": number, **event}


def _events(response: JSONMapping) -> Iterator[Event]:
    begun = {**response, **LATER}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.get("output") or ()):
        of = {"output_index": index}
        yield {"type": "response.output_item.added", **of, "item": _empty(item)}
        yield from _grown(item, {"item_id": item.get("id"), **of})
        yield {"type": "response.output_item.done", **of, "item": item}
    yield last_event(response)


def _empty(item: JSONMapping) -> JSONObject:
    """Return an item as it is before anything of it has come."""
    if item.get("type") not in ("message", "reasoning", *CALLS):
        return dict(item)
    empty = {name: EMPTY[name] for name in EMPTY if name in item}
    begun = {**item, **empty}
    begun.pop("encrypted_content", None)
    return begun


def _grown(item: JSONMapping, of: Event) -> Iterator[Event]:
    kind = item.get("type")
    if kind in CALLS:
        name, field = CALLS[kind]
        yield from _texts(f"response.{name}", field, item.get(field) or "", of)
    if kind == "reasoning":
        for i, part in enumerate(item.get("summary") or ()):
            yield from _summarized(part, {**of, "summary_index": i})
    if kind in ("message", "reasoning"):
        for i, part in enumerate(item.get("content") or ()):
            yield from _said(part, {**of, "content_index": i})


def _summarized(part: JSONMapping, of: Event) -> Iterator[Event]:
    name = "response.reasoning_summary"
    yield {"type": f"{name}_part.added", **of, "part": {**part, "text": ""}}
    yield from _texts(f"{name}_text", "text", part.get("text") or "", of)
    yield {"type": f"{name}_part.done", **of, "part": part}


def _said(part: JSONMapping, of: Event) -> Iterator[Event]:
    name, field = PARTS.get(part.get("type") or "", ("", ""))
    if not name:
        return
    rows = {"logprobs": part.get("logprobs") or []} if name == "output_text" else {}
    begun = {**part, field: ""}
    begun |= {each: [] for each in ("annotations", "logprobs") if each in part}
    yield {"type": "response.content_part.added", **of, "part": begun}
    yield from _texts(f"response.{name}", field, part.get(field) or "", {**of, **rows})
    yield {"type": "response.content_part.done", **of, "part": part}


def _texts(name: str, field: str, text: str, of: Event) -> Iterator[Event]:
    if text:
        yield {"type": f"{name}.delta", **of, "delta": text}
    yield {"type": f"{name}.done", **of, field: text}
