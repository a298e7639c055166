"""Whether what should be even is: Pearson's test."""

from collections import Counter
from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")

# What chance alone exceeds once in a million times, where there are eight events, and
# so seven degrees of freedom.
CRITICAL = 40.52


def chi_square(counts: Counter[T], events: Collection[T]) -> float:
    """Return how far the counts of equally likely *events* are from being even."""
    expected = counts.total() / len(events)
    return sum((counts[event] - expected) ** 2 / expected for event in events)
