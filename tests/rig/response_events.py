"""A strict reader of Responses streams: the package's types, and the API's order."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import define, field
from openai import BaseModel
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ENDS = ("response.completed", "response.incomplete", "response.failed")
# What we say besides what the API has: who won, and an error that packages raise. The
# API has a custom call's status, the package's type has not.
STATUSES = {"item.status", "output.status", "response.output.status"}
OURS = {"response.provider", "provider", "error"} | STATUSES
DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "text",
    "response.reasoning_summary_text.delta": "text",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
# What grows in the items of calls, and what there is no event of.
GROWN = {"function_call": "arguments", "custom_tool_call": "input"}
COMMANDS = ("local_shell_call", "shell_call", "apply_patch_call")


def read(sent: bytes) -> list[Any]:
    """Return the events of a stream, each as what the package has for it."""
    frames = sent.decode().split("\n\n")
    assert frames.pop() == ""
    events = [_event(frame) for frame in frames if not frame.startswith(":")]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    check_order(events)
    return events


def whole(payload: Any) -> Response:
    """Return a response object, as strictly."""
    response = Response.model_validate(payload)
    assert set(unknown(response)) <= OURS
    return response


def unknown(value: Any, path: str = "") -> Iterator[str]:
    """Yield the fields that the package's types do not have."""
    if isinstance(value, BaseModel):
        yield from (f"{path}{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each, path)


def _event(frame: str) -> Any:
    name, data = frame.split("\n")
    payload = json.loads(data.removeprefix("data: "))
    assert name == f"event: {payload['type']}"
    event = EVENTS.validate_python(payload)
    assert set(unknown(event)) <= OURS, set(unknown(event))
    return event


def check_order(events: list[Any]) -> None:
    """Fail unless every item and part begins, grows and ends in the API's order."""
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    if kinds[-1] == "error":
        assert kinds.pop() == "error"
        assert kinds[-1] == "response.failed"
    assert kinds[-1] in ENDS
    assert sum(kind in ENDS for kind in kinds) == 1
    first, last = events[0].response, events[len(kinds) - 1].response
    assert first.output == []
    assert first.id == last.id
    reader = _Order()
    for event in events[2 : len(kinds) - 1]:
        reader.take(event)
    if kinds[-1] != "response.failed":
        assert reader.item is None
        assert [i.to_dict() for i in last.output] == reader.done


@define
class _Order:
    """Takes the events between a response's begin and its end."""

    done: list[Any] = field(factory=list)
    item: Any = None
    parts: list[Any] = field(factory=list)
    grown: str | None = None
    ended: bool = False

    def take(self, event: Any) -> None:
        assert event.output_index == len(self.done)
        if event.type == "response.output_item.added":
            self._item_added(event.item)
            return
        assert self.item is not None
        if event.type == "response.output_item.done":
            self._item_done(event.item)
            return
        assert event.item_id == self.item.id
        self._check_index(event)
        if event.type.endswith("part.added"):
            assert self.grown is None
            assert not _text(event.part)
            self.grown, self.ended = "", False
            self.parts.append(None)
        elif event.type.endswith("part.done"):
            assert self.ended
            assert _text(event.part) == self.grown
            self.parts[-1], self.grown = event.part.to_dict(), None
        else:
            self._grow(event)

    def _item_added(self, item: Any) -> None:
        assert self.item is None
        assert item.status == "in_progress"
        for name in ("content", "summary", "arguments", "input"):
            assert not getattr(item, name, None)
        self.item, self.parts, self.ended = item, [], False
        self.grown = "" if item.type in GROWN else None

    def _check_index(self, event: Any) -> None:
        """Fail unless the event speaks of the last part, or of one that it begins."""
        last = len(self.parts) - (not event.type.endswith("part.added"))
        for name in ("content_index", "summary_index"):
            assert getattr(event, name, last) == last

    def _grow(self, event: Any) -> None:
        assert self.grown is not None
        assert not self.ended
        if event.type in DELTAS:
            assert event.delta or event.logprobs
            self.grown += event.delta
        else:
            self._text_done(event)

    def _text_done(self, event: Any) -> None:
        assert event.type.endswith(".done"), event.type
        assert getattr(event, DELTAS[event.type[:-4] + "delta"]) == self.grown
        self.ended = True

    def _item_done(self, item: Any) -> None:
        assert item.id == self.item.id
        assert item.status in ("completed", "incomplete")
        for name in ("type", "call_id", "name", "namespace", "action", "operation"):
            assert getattr(item, name, None) == getattr(self.item, name, None)
        if item.type in GROWN:
            assert self.ended
            assert getattr(item, GROWN[item.type]) == self.grown
        elif item.type in COMMANDS:
            assert self.grown is None
        else:
            assert self.grown is None
            shown = [*getattr(item, "summary", ()), *(item.content or ())]
            assert [part.to_dict() for part in shown] == self.parts
        self.done.append(item.to_dict())
        self.item = None


def _text(part: Any) -> str:
    text: str = part.refusal if part.type == "refusal" else part.text
    return text
