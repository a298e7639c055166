"""What a message about an unknown name says of the known ones that are most like it."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest

# So many are compared in full; the others are too unlike by their letters alone.
CANDIDATES = 30
# What a provider's id has in common with a misspelling of it, at the least.
ALIKE = 0.6
# Characters of a name that are compared: it may be a client's, of any length.
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
    for meant in _nearest(matcher, known, 1):
        if _likeness(matcher, meant) >= ALIKE:
            return f" Did you mean {meant!r}?"
    return ""


def _nearest(
    matcher: SequenceMatcher[str], known: Iterable[str], most: int
) -> list[str]:
    def guess(other: str) -> float:
        matcher.set_seq1(_bare(other))
        return matcher.quick_ratio()

    candidates = nlargest(CANDIDATES, known, key=guess)
    return nlargest(most, candidates, key=lambda other: _likeness(matcher, other))


def _matcher(name: str) -> SequenceMatcher[str]:
    return SequenceMatcher(b=_bare(name[:COMPARED]), autojunk=False)


def _likeness(matcher: SequenceMatcher[str], other: str) -> float:
    matcher.set_seq1(_bare(other))
    return matcher.ratio()


def _bare(name: str) -> str:
    """Return a name less what stands before it in a path, whatever its case."""
    return name.rpartition("/")[2].lower()
