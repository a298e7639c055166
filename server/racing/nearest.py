"""Hints in messages about an unknown name: the known names that are most like it."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest

# So many names are compared in full: the most alike by the letters that are in them.
CANDIDATES = 30
# The least ratio of likeness between a provider's id and a misspelling of it.
ALIKE = 0.6
# Characters of a name that are compared: a client may send one of any length.
COMPARED = 500


def model_hint(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the three names of models most like *name*, or ""."""
    names = _nearest(_matcher(name), known, 3)
    return f" The nearest are {', '.join(map(repr, names))}." if names else ""


def provider_hint(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the provider's id that *name* seems to mean, or ""."""
    if "," in name:
        ids = " ".join(part.strip() for part in name.split(",") if part.strip())
        return f" Spaces separate ids, not commas: {ids!r}."
    matcher = _matcher(name)
    for nearest in _nearest(matcher, known, 1):
        if _likeness(matcher, nearest) >= ALIKE:
            return f" Did you mean {nearest!r}?"
    return ""


def _nearest(
    matcher: SequenceMatcher[str], names: Iterable[str], most: int
) -> list[str]:
    def guess(other: str) -> float:
        matcher.set_seq1(_bare(other))
        return matcher.quick_ratio()

    candidates = nlargest(CANDIDATES, names, key=guess)
    return nlargest(most, candidates, key=lambda other: _likeness(matcher, other))


def _matcher(name: str) -> SequenceMatcher[str]:
    return SequenceMatcher(b=_bare(name[:COMPARED]), autojunk=False)


def _likeness(matcher: SequenceMatcher[str], other: str) -> float:
    matcher.set_seq1(_bare(other))
    return matcher.ratio()


def _bare(name: str) -> str:
    """Return the last part of a name, which may be a path, in small letters."""
    return name.rpartition("/")[2].lower()
