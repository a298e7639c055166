"""The arguments of calls in the events of a response: every parser is to take them."""

from collections.abc import Mapping

from attrs import define, field

from providers.dialects.arguments import ArgumentText, argument_text
from providers.json_types import JSON, JSONMapping

Event = JSONMapping
DELTA = "response.function_call_arguments.delta"
DONE = "response.function_call_arguments.done"
ITEM_DONE = "response.output_item.done"
ENDED = ("response.completed", "response.incomplete")
# How an escape that is written in arguments stands in an event's bytes.
ESCAPE = b"\\\\u"


@define(eq=False)
class ArgumentEvents:
    """
    Repairs the arguments that come in events: in pieces, and whole once more.

    Events that are sound come through as the same objects.
    """

    notes: list[str]
    _texts: dict[tuple[JSON, JSON], ArgumentText] = field(factory=dict, init=False)

    def repaired(self, event: Event, data: bytes) -> list[Event]:
        """Return the events that *event*, whose bytes are *data*, should have been."""
        kind = event.get("type")
        if kind == DELTA:
            return [self._piece(event)]
        if not (self._texts or ESCAPE in data):
            return [event]  # nearly all
        if kind == DONE:
            return [*self._rest(event), _mended(event, self.notes)]
        if kind == ITEM_DONE:
            return [{**event, "item": _mended(event.get("item"), self.notes)}]
        if kind in ENDED:
            return [_ended(event, self.notes)]
        return [event]

    def _piece(self, event: Event) -> Event:
        delta, key = event.get("delta"), _key(event)
        if not isinstance(delta, str):
            return event
        text = self._texts.get(key)
        if text is None:
            if "\\" not in delta:
                return event
            text = self._texts[key] = ArgumentText(self.notes)
        out = text.add(delta)
        return event if out == delta else {**event, "delta": out}

    def _rest(self, event: Event) -> list[Event]:
        text = self._texts.pop(_key(event), None)
        rest = text.rest() if text is not None else ""
        if not rest:
            return []
        names = ("item_id", "output_index")
        of = {name: event[name] for name in names if name in event}
        return [{"type": DELTA, **of, "delta": rest}]


def _key(event: Event) -> tuple[JSON, JSON]:
    return event.get("output_index"), event.get("item_id")


def _ended(event: Event, notes: list[str]) -> Event:
    response = event.get("response")
    items = response.get("output") if isinstance(response, Mapping) else None
    if not isinstance(response, Mapping) or not isinstance(items, list):
        return event
    made = [_mended(item, notes) for item in items]
    return {**event, "response": {**response, "output": made}}


def _mended(item: JSON, notes: list[str]) -> JSON:
    """Return an item, or an event, with sound arguments."""
    text = item.get("arguments") if isinstance(item, Mapping) else None
    if not isinstance(text, str):
        return item
    return {**item, "arguments": argument_text(text, notes)}
