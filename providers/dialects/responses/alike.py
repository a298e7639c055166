"""Events that add a text and differ in little else, known by their bytes."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import orjson
from attrs import define

from providers.chat import RESPONSES, Chunk, NativeEvent, TextRun, with_text
from providers.json_types import JSONMapping

from .items import OpenItem

TEXT = "response.output_text.delta"
FIELDS = frozenset(
    (
        "type",
        "sequence_number",
        "item_id",
        "output_index",
        "content_index",
        "delta",
        "logprobs",
        "obfuscation",
    )
)
# The values that may vary, and what each of them can be: by the first letters of their
# names, which stand for them in a layout.
FIELD = re.compile(
    rb'"(sequence_number|item_id|delta|obfuscation)":( ?)(\d+|"(?:[^"\\]|\\.)*")'
)
VALUES = {
    b"\x00s": rb"(?:0|[1-9]\d{0,17})",
    b"\x00i": rb'(?P<item>"[ !#-\[\]-~]*+")',
    b"\x00d": rb'(?P<word>"(?:[^"\\\x00-\x1f]++|\\.)++")',
    b"\x00o": rb'"[ !#-\[\]-~]*+"',
}
# Longer events are looked at one by one.
LARGEST = 4096
# Events of one run; one of them that is broken is looked for among so many.
MOST = 256
Match = Callable[[bytes], "re.Match[bytes] | None"]


@define(eq=False)
class AlikeEvents:
    """
    What the events of one part have in common with one that has been read.

    *like* is its chunk, less its text.
    """

    like: Chunk
    _item: OpenItem
    _part: int
    _name: bytes | None
    _match: Match
    _passes: bool

    def run(self, events: Sequence[bytes], at: int) -> TextRun | None:
        """Return those of *events* that follow each other from *at* on and are such."""
        words: list[bytes] = []
        match, name = self._match, self._name
        for i in range(at, min(len(events), at + MOST)):
            found = match(events[i])
            if found is None or (name is not None and found["item"] != name):
                break
            words.append(found["word"])
        texts = _texts(words) if words else []
        if not texts:
            return None
        self._item.extend("text", self._part, texts)
        native = events[at : at + len(words)] if self._passes else ()
        return TextRun(self.like, words, native)


def learn(
    data: bytes, event: JSONMapping, chunk: Chunk, item: OpenItem, *, passes: bool
) -> AlikeEvents | None:
    """
    Return what the events like *data* have in common; None where it is more than a
    text that they add.

    *event* is its JSON, *chunk* what that was made of, *item* what it has added to.
    *passes*: they are passed on as they are.
    """
    if not event.keys() <= FIELDS or event.get("logprobs") or len(data) > LARGEST:
        return None
    if b"\x00" in data or not event.get("delta"):
        return None
    layout = FIELD.sub(_mark, data)
    if b"\x00d" not in layout or any(layout.count(mark) > 1 for mark in VALUES):
        return None
    match = _matching(layout)
    found = match(data)
    if found is None or orjson.loads(found["word"]) != event["delta"]:
        return None
    name = found["item"] if b"\x00i" in layout else None
    like = with_text(chunk, "")
    if passes:
        like.native = (NativeEvent(RESPONSES, TEXT, b""),)
    part = event.get("content_index") or 0
    return AlikeEvents(like, item, part, name, match, passes)


def _mark(found: re.Match[bytes]) -> bytes:
    return b'"%b":%b\x00%b' % (found[1], found[2], found[1][:1])


@lru_cache(maxsize=64)
def _matching(layout: bytes) -> Match:
    """Return what matches events of a layout: vendors have one each."""
    pattern = re.escape(layout)
    for mark, value in VALUES.items():
        pattern = pattern.replace(mark, value)
    return re.compile(pattern).fullmatch


def _texts(words: list[bytes]) -> list[str]:
    """Return JSON strings as texts; none if one of them is no string after all."""
    try:
        texts: list[str] = orjson.loads(b"[%b]" % b",".join(words))
    except orjson.JSONDecodeError:
        return []
    return texts
