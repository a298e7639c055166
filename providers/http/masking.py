"""Secrets that upstreams repeat, found in the encodings that they come back in."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cached_property

from attrs import define

MASK = "***"
# A shorter configured value is a word (`Connection: close`), not a secret.
SHORTEST_SECRET = 8
# Characters of a secret's beginning or end that are taken for a part of it where a text
# is cut off.
SHORTEST_PART = 6
# What two hexadecimal digits can say.
MOST_IN_TWO_DIGITS = 0xFF
# What may come between two characters where a line, or an event, was wrapped.
BREAK = r"\s{0,3}"


@define(slots=False, eq=False)
class Secrets:
    """The values that must not be repeated."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> "Secrets":
        """Return those of *values* that are long enough to be secrets."""
        long = {value for value in values if len(value) >= SHORTEST_SECRET}
        # The longest first, so that no part of it goes before it.
        return cls(tuple(sorted(long, key=len, reverse=True)))

    def masked(self, text: str) -> str:
        """
        Return *text* without any of them, whatever their case, as they are or percent-
        encoded, escaped, in hexadecimal or base64, wrapped, or cut off at either end.
        """
        if not self.values:
            return text
        return self._ends.sub(MASK, self._whole.sub(MASK, text))

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        # Made for the first error: most providers have none.
        patterns = (p for value in self.values for p in _encodings(value))
        return re.compile("|".join(patterns), re.IGNORECASE)

    @cached_property
    def _ends(self) -> re.Pattern[str]:
        patterns = [p for value in self.values for p in _parts(value)]
        return re.compile("|".join(patterns), re.IGNORECASE)


def _encodings(secret: str) -> Iterator[str]:
    octets = secret.encode()
    yield BREAK.join(map(_character, secret))
    yield r"[\s:]?".join(f"{octet:02x}" for octet in octets)
    for shift in range(3):
        if len(inner := _inside_base64(octets, shift)) >= SHORTEST_SECRET:
            # Either alphabet, and a slash may be escaped or percent-encoded.
            yield BREAK.join(map(_base64_character, inner))


def _character(char: str) -> str:
    """Return a pattern of one character, as it is or escaped."""
    code = ord(char)
    forms = [re.escape(char), rf"\\+u{code:04x}", f"&#0*{code};", f"&#x0*{code:x};"]
    if code <= MOST_IN_TWO_DIGITS:
        forms.append(rf"\\+x{code:02x}")
    forms.append("".join(f"%(?:25)*{octet:02x}" for octet in char.encode()))
    if not char.isalnum():
        forms.append(r"\\+" + re.escape(char))
    return f"(?:{'|'.join(forms)})"


def _inside_base64(octets: bytes, shift: int) -> str:
    """Return what is the same in base64 behind whatever *shift* other octets."""
    encoded = b64encode(b"\0" * shift + octets).decode().rstrip("=")
    begin = -(-shift * 8 // 6)
    end = (shift + len(octets)) * 8 // 6
    return encoded[begin:end]


def _base64_character(char: str) -> str:
    match char:
        case "+":
            return r"(?:\+|-|%2b|\\u002b)"
        case "/":
            return r"(?:\\?/|_|%2f)"
    return char


def _parts(secret: str) -> Iterator[str]:
    """Yield patterns of what is left of a secret where the text begins or ends."""
    lengths = range(len(secret) - 1, SHORTEST_PART - 1, -1)
    starts = "|".join(re.escape(secret[:length]) for length in lengths)
    ends = "|".join(re.escape(secret[-length:]) for length in lengths)
    yield rf"(?:{starts})\Z"
    yield rf"\A(?:{ends})"
