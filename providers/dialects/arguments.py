"""The arguments of a call: JSON text that comes in pieces, and has to parse."""

import json
import re

import orjson
from attrs import define, field

from providers.json_types import JSONMapping, JSONObject

from .tolerant import HALVES, mended, note

# What JSON text is made of, as far as escapes go; the second is a whole pair.
TOKEN = re.compile(
    r"[^\\]+"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[0-9a-fA-F]{4}"
    r"|\\[^u]",
    re.DOTALL,
)
FIRST_HALF = re.compile(r"\\u[dD][89abAB]..").fullmatch
HALF = re.compile(r"\\u[dD][89a-fA-F]..").fullmatch
# The beginning of an escape.
CUT = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?").fullmatch
# The beginning of one that can be a second half.
CUT_SECOND = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?").fullmatch
ALONE = "\\ufffd"
# What stands for arguments that are no object, where an object must be.
AS_TEXT = "input"


@define(eq=False)
class ArgumentText:
    """
    The text of one call's arguments, piece by piece.

    An escape of half a surrogate pair is none that every parser takes: one that stays
    alone becomes U+FFFD. What may be the beginning of a pair waits for the next piece.
    """

    notes: list[str]
    _held: str = field(default="", init=False)

    def add(self, piece: str) -> str:
        """Return what of the text can go out, now that *piece* has come."""
        if not self._held and "\\u" not in piece and piece[-1:] != "\\":
            return piece  # nearly all
        return self._checked(self._held + piece)

    def rest(self) -> str:
        """Return what was held back, since no piece follows."""
        held, self._held = self._held, ""
        return self._alone(held) if HALF(held[:6]) else held

    def _checked(self, text: str) -> str:
        out: list[str] = []
        at = 0
        while found := TOKEN.match(text, at):
            out.append(found[0])
            at = found.end()
        held = text[at:]
        if not (CUT(held) or not held):
            out.append(held)  # it is broken, and no escape at all
            held = ""
        if out and FIRST_HALF(out[-1]) and CUT_SECOND(held):
            held = out.pop() + held
        self._held = held
        return "".join(self._alone(token) if HALF(token) else token for token in out)

    def _alone(self, half: str) -> str:
        note(self.notes, HALVES)
        return ALONE + half[6:]


def argument_text(text: str, notes: list[str]) -> str:
    """Return arguments that came whole, as `ArgumentText` would let them go out."""
    made = ArgumentText(notes)
    return made.add(text) + made.rest()


def object_in_text(text: str) -> JSONObject | None:
    """
    Return the object that is written in a call's arguments; None if there is none.

    No text at all is an object with nothing in it.
    """
    if not text.strip():
        return {}
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            parsed = mended(json.loads(text))
        except (ValueError, RecursionError):
            return None
    return parsed if isinstance(parsed, dict) else None


def is_object_text(text: str) -> bool:
    """Say whether every parser reads an object in a call's arguments."""
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def argument_object(text: str) -> JSONMapping:
    """Return the object in a call's arguments, or one that has the text in it."""
    found = object_in_text(text)
    return {AS_TEXT: text} if found is None else found
