"""The events of a response's stream, each with its number."""

from typing import Annotated, Literal, NotRequired, TypedDict, get_args

import orjson
from attrs import define

from server.errors import ErrorPayload
from server.json_types import Count, Keywords
from server.wire.frames import event_frame

from .items import OutputPart, OutputPiece
from .logprobs import EventLogprob, event_logprobs
from .payloads import ItemPayload, PartKind, PartPayload
from .response import ResponsePayload, ResponseStatus

Edge = Literal["added", "done"]
# The events of a part's text, by the kind of the part.
TEXT_EVENTS: dict[PartKind, str] = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
    "summary_text": "response.reasoning_summary_text",
    "arguments": "response.function_call_arguments",
    "input": "response.custom_tool_call_input",
}
# The field of the event of a whole text, where that is not `text`.
WHOLE_TEXTS: dict[PartKind, str] = {
    "refusal": "refusal",
    "arguments": "arguments",
    "input": "input",
}


# The types of events that tell of the response, of an item, of a part, of its text.
OF_RESPONSE = tuple(
    f"response.{name}" for name in ("created", *get_args(ResponseStatus))
)
OF_ITEM = ("response.output_item.added", "response.output_item.done")
OF_PART = tuple(
    f"response.{part}.{edge}"
    for part in ("content_part", "reasoning_summary_part")
    for edge in get_args(Edge)
)
OF_TEXT = tuple(
    f"{name}.{what}" for name in TEXT_EVENTS.values() for what in ("delta", "done")
)


class EventHead(TypedDict):
    type: str
    sequence_number: Count


class ResponseEvent(TypedDict):
    type: Annotated[str, Keywords(enum=OF_RESPONSE)]
    sequence_number: Count
    response: ResponsePayload


class ItemEvent(TypedDict):
    type: Annotated[str, Keywords(enum=OF_ITEM)]
    sequence_number: Count
    output_index: Count
    item: ItemPayload


class PartPlace(TypedDict):
    """Where a part stands; a call's arguments have no index in their item."""

    output_index: Count
    item_id: str
    content_index: NotRequired[Count]
    summary_index: NotRequired[Count]


class PartEvent(PartPlace):
    type: Annotated[str, Keywords(enum=OF_PART)]
    sequence_number: Count
    part: PartPayload


class TextEvent(PartPlace):
    """A piece of a part's text, or the whole of it in a field named by its kind."""

    type: Annotated[str, Keywords(enum=OF_TEXT)]
    sequence_number: Count
    delta: NotRequired[str]
    text: NotRequired[str]
    refusal: NotRequired[str]
    arguments: NotRequired[str]
    input: NotRequired[str]
    logprobs: NotRequired[list[EventLogprob]]


class ErrorEvent(TypedDict):
    type: Annotated[str, Keywords(enum=("error",))]
    sequence_number: Count
    code: str | None
    message: str
    param: str | None
    error: ErrorPayload


ResponsesEvent = ResponseEvent | ItemEvent | PartEvent | TextEvent | ErrorEvent


@define(eq=False)
class EventWriter:
    """Writes the frames of one stream; *number* is that of the next event."""

    number: int = 0

    def response(
        self, name: Literal["created"] | ResponseStatus, payload: ResponsePayload
    ) -> bytes:
        event: ResponseEvent = {**self._head(f"response.{name}"), "response": payload}
        return _frame(event)

    def item(self, edge: Edge, index: int, payload: ItemPayload) -> bytes:
        event: ItemEvent = {
            **self._head(f"response.output_item.{edge}"),
            "output_index": index,
            "item": payload,
        }
        return _frame(event)

    def part(self, edge: Edge, part: OutputPart, place: PartPlace) -> bytes:
        """Return the event that begins a part or ends it."""
        summary = part.kind == "summary_text"
        name = "reasoning_summary_part" if summary else "content_part"
        head = self._head(f"response.{name}.{edge}")
        event: PartEvent = {**head, **place, "part": part.payload()}
        return _frame(event)

    def delta(self, piece: OutputPiece, place: PartPlace) -> bytes:
        kind = piece.part.kind
        head = self._head(f"{TEXT_EVENTS[kind]}.delta")
        event = {**head, **place, "delta": piece.text}
        if kind == "output_text":
            event["logprobs"] = event_logprobs(piece.logprobs)
        return event_frame(head["type"], orjson.dumps(event))

    def whole_text(self, part: OutputPart, place: PartPlace) -> bytes:
        head = self._head(f"{TEXT_EVENTS[part.kind]}.done")
        name = WHOLE_TEXTS.get(part.kind, "text")
        event = {**head, **place, name: part.text}
        if part.kind == "output_text":
            event["logprobs"] = event_logprobs(part.logprobs)
        return event_frame(head["type"], orjson.dumps(event))

    def error(self, payload: ErrorPayload) -> bytes:
        """Return the event of an error; OpenAI's own packages raise its object."""
        event: ErrorEvent = {
            **self._head("error"),
            "code": payload["code"],
            "message": payload["message"],
            "param": payload["param"],
            "error": payload,
        }
        return _frame(event)

    def _head(self, kind: str) -> EventHead:
        number = self.number
        self.number += 1
        return {"type": kind, "sequence_number": number}


def _frame(event: ResponsesEvent) -> bytes:
    return event_frame(event["type"], orjson.dumps(event))
