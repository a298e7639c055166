"""What installed packages add: dialects, talkers and vendors, by an entry point."""

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .dialects import DIALECTS, TALKERS
from .settings import PACKAGED

GROUP = "interference.providers"


@lru_cache
def load_packages() -> tuple[str, ...]:
    """
    Take in what the entry points of `interference.providers` name: modules with any of
    DIALECTS (by kind), TALKERS (by kind and task) and VENDORS (tables by id).

    One that can't be used is left out, whole; return what is wrong with each of those.
    Only the first call in a process does anything.
    """
    problems = (_add(point) for point in entry_points(group=GROUP))
    return tuple(filter(None, problems))


def _add(point: EntryPoint) -> str:
    """Take in one package; return what is wrong with it, or ""."""
    try:
        module = point.load()
    except Exception as exc:  # noqa: BLE001 - a stranger's code may raise anything
        return f"{_whose(point)} can't be imported: {exc}"
    known: dict[str, dict[Any, Any]] = {
        "DIALECTS": DIALECTS,
        "TALKERS": TALKERS,
        "VENDORS": PACKAGED,
    }
    added = {name: getattr(module, name, {}) for name in known}
    for name, theirs in added.items():
        if not isinstance(theirs, dict):
            return f"{_whose(point)} has a {name} that is no dict"
        if twice := known[name].keys() & theirs.keys():
            return f"{_whose(point)} adds {min(twice)!r}, which is there"
    for name, theirs in added.items():
        known[name].update(theirs)
    return ""


def _whose(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else point.value
    return f"the package {package} (entry point {point.name!r})"
