"""JSON from upstreams: the fast parser first, and what it refuses mended.

JavaScript and Python cut texts between the two halves of a surrogate pair, and write
each as an escape. Such halves are no text, but the text around them is: those that
follow each other in a field are joined, across events too, and one that stays alone
becomes U+FFFD.
"""

import json
import re
from collections.abc import Iterator

import orjson
from attrs import define, field

from providers.errors import ProviderProtocolError
from providers.json_types import JSON, JSONObject

# orjson reads 1,024 levels and writes 254, a few of which our own answers need.
DEEPEST = 240
# Bytes that have no room for more: a level has a bracket on either side.
SHALLOW = 2 * DEEPEST
# The fields whose text goes on in the next event.
TEXTS = frozenset(
    (
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "text",
        "summary",
        "thinking",
        "transcript",
        "arguments",
        "input",
        "partial_json",
        "delta",
    )
)
# What below these stands is whole.
OBJECTS = frozenset(("args", "input", "arguments"))
# Of the objects around a text, what says which text it is.
SKELETON = ("type", "index", "thought", "output_index", "content_index", "item_id")
# What tells the texts of the Responses API apart, which all have the field `delta`.
EVENTS, GOES_ON = "response.", ".delta"
ALONE = "\ufffd"
HALVES = "half of a surrogate pair"
HIGH = re.compile("[\ud800-\udbff]").match


@define(eq=False)
class TolerantJSON:
    """
    Parses the events of one answer.

    *pending* are the first halves at the end of a text, by the place of that text in
    its event: with the half, and what is left of that event if it is but for that.
    """

    notes: list[str]
    pending: dict[tuple[JSON, ...], tuple[str, JSONObject]] = field(
        factory=dict, init=False
    )

    def parse(self, data: bytes, *, whole: bool = False) -> JSON:
        """
        Return the value of *data*; raises ValueError, or ProviderProtocolError if it is
        too deep to be written again. *whole*: nothing follows it.
        """
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as exc:
            value = _tolerant(data, exc)
            note(self.notes, HALVES)
            value = self._mended_all(value, whole=whole)
        else:
            if self.pending:
                value = self._mended_all(value, whole=whole)
        if len(data) > SHALLOW and _is_too_deep(data, value):
            raise ProviderProtocolError("its JSON is too deep")
        return value

    def rest(self) -> list[JSONObject]:
        """Return the events for the halves that have stayed alone."""
        left = [event for _, event in self.pending.values()]
        self.pending.clear()
        return left

    def _mended_all(self, value: JSON, *, whole: bool) -> JSON:
        if whole or _is_last_word(value):
            return mended(value)
        if isinstance(value, list):  # several events
            return [self._mend(each, (), ()) for each in value]
        return self._mend(value, (), ())

    def _mend(
        self, value: JSON, place: tuple[JSON, ...], around: tuple[JSON, ...]
    ) -> JSON:
        if isinstance(value, dict):
            said = {name: value[name] for name in SKELETON if name in value}
            place = (*place, value.get("index"), value.get("output_index"))
            return {
                mended(name): self._mend_field(
                    name, each, (*place, name), (*around, (name, said))
                )
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [
                self._mend(each, (*place, _at(at, each)), (*around, (None, None)))
                for at, each in enumerate(value)
            ]
        return mended(value)

    def _mend_field(
        self, name: str, value: JSON, place: tuple[JSON, ...], around: tuple[JSON, ...]
    ) -> JSON:
        if isinstance(value, str) and name in TEXTS:
            kind = around[-1][1].get("type") if name == "delta" else None
            return self._joined(value, (*place, kind), around)
        if name in OBJECTS:
            return mended(value)
        return self._mend(value, place, around)

    def _joined(
        self, text: str, place: tuple[JSON, ...], around: tuple[JSON, ...]
    ) -> str:
        """Put a text's first half before it, and keep the half that it ends with."""
        if not text:
            return text
        half, _ = self.pending.pop(place, ("", None))
        text = half + text
        if HIGH(text[-1]):
            self.pending[place] = text[-1], _skeleton(around)
            text = text[:-1]
        return mended_text(text)


def note(notes: list[str], text: str) -> None:
    """Note what was repaired, once."""
    if text not in notes:
        notes.append(text)


def mended(value: JSON) -> JSON:
    """Return a JSON value with whole pairs, and U+FFFD for halves, in all its texts."""
    if isinstance(value, str):
        return mended_text(value)
    if isinstance(value, list):
        return [mended(each) for each in value]
    if isinstance(value, dict):
        return {mended_text(name): mended(each) for name, each in value.items()}
    return value


def mended_text(text: str) -> str:
    """Join the halves that follow each other; put U+FFFD for the others."""
    if text.isascii():
        return text
    encoded = text.encode("utf-16-le", "surrogatepass")
    return encoded.decode("utf-16-le", "replace")


def _is_last_word(value: JSON) -> bool:
    """Whether an event of the Responses API has its text whole: all but deltas do."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind.startswith(EVENTS):
        return False
    return not kind.endswith(GOES_ON)


def _at(place: int, value: JSON) -> int | None:
    """Return a place in a list; None for what says itself which it is."""
    numbered = isinstance(value, dict) and isinstance(value.get("index"), int)
    return None if numbered else place


def _skeleton(around: tuple[JSON, ...]) -> JSONObject:
    """Return an event that has nothing but U+FFFD in the place of a text."""
    event: JSON = ALONE
    for name, said in reversed(around):
        event = [event] if name is None else {**said, name: event}
    return dict(event)


def _tolerant(data: bytes, refusal: orjson.JSONDecodeError) -> JSON:
    """Parse what the fast parser has refused; raises its *refusal* if it is no JSON."""
    try:
        return json.loads(data, parse_constant=_no_constant)
    except ValueError:
        raise refusal from None


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is no JSON")


def _is_too_deep(data: bytes, value: JSON) -> bool:
    brackets = data.count(b"[") + data.count(b"{")
    return brackets > DEEPEST and _depth(value) > DEEPEST


def _depth(value: JSON) -> int:
    """Return how deep a value is, without recursion."""
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [inner for outer in level for inner in _inside(outer)]
    return deepest


def _inside(value: JSON) -> Iterator[JSON]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
