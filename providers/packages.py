"""What installed packages add: dialects, talkers and vendors, by an entry point."""

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .dialects import DIALECTS, TALKERS
from .settings import PACKAGED

GROUP = "interference.providers"


class BrokenPackage(Exception):
    """An installed package says that it adds providers, and can't be used."""


@lru_cache
def load_packages() -> None:
    """
    Take in what the entry points of `interference.providers` name: modules with any of
    DIALECTS (by kind), TALKERS (by kind and task) and VENDORS (tables by id).

    Raises BrokenPackage. Only the first call in a process does anything.
    """
    for point in entry_points(group=GROUP):
        try:
            module = point.load()
        except Exception as exc:
            raise BrokenPackage(f"{_whose(point)} can't be imported: {exc}") from exc
        for known, name in (
            (DIALECTS, "DIALECTS"),
            (TALKERS, "TALKERS"),
            (PACKAGED, "VENDORS"),
        ):
            _add(known, getattr(module, name, {}), point)


def _add(known: dict[Any, Any], added: dict[Any, Any], point: EntryPoint) -> None:
    if twice := known.keys() & added.keys():
        raise BrokenPackage(f"{_whose(point)} adds {min(twice)!r}, which is there")
    known.update(added)


def _whose(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else point.value
    return f"the package {package} (entry point {point.name!r})"
