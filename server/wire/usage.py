"""The counts of tokens, as clients are shown them."""

from server.json_types import JSON

# A tuple: of `int | float`, a type would be made each time.
NUMBERS = (int, float)


def without_nulls(value: JSON) -> JSON:
    """
    Return a part of a usage without nulls, at any depth.

    Upstreams have them for what they do not count, and strict clients fail on them.
    """
    if isinstance(value, dict):
        return {
            # Nearly all are counts.
            name: each if type(each) is int else without_nulls(each)
            for name, each in value.items()
            if each is not None
        }
    if isinstance(value, list):
        return [without_nulls(each) for each in value if each is not None]
    return value


def as_count(value: JSON) -> int:
    """Return what should be a count as one; 0 if it is none."""
    return int(value) if isinstance(value, NUMBERS) else 0
