"""From parsed JSON or TOML to attrs records: strict, every error with its path."""

import copy
from functools import partial
from math import inf
from typing import TypeVar

from server.json_types import JSON

from .hooks import Hook, make_converter
from .problems import Problem, plain, problems_in, take_out

T = TypeVar("T")


class Structure:
    """
    Makes attrs records from parsed JSON or TOML, and turns no type into another.

    The first try is made for speed. Only where that fails is it made again, keeping
    account of where it goes wrong, for the messages.
    """

    def __init__(self, *, forbid_extra_keys: bool, biggest: float = inf) -> None:
        """Make a structure whose numbers are all smaller than *biggest*."""
        make = partial(
            make_converter, forbid_extra_keys=forbid_extra_keys, biggest=biggest
        )
        self._fast = make(detailed=False)
        self._detailed = make(detailed=True)
        self._hooks: dict[type, Hook] = {}

    def make(self, value: JSON, cls: type[T]) -> T:
        """Return *value* as a *cls*; raises anything, for `errors` to explain."""
        hook = self._hooks.get(cls)
        if hook is None:  # the converter takes as long to find it as to call it
            hook = self._hooks[cls] = self._fast.get_structure_hook(cls)
        made: T = hook(value, cls)
        return made

    def errors(self, value: JSON, cls: type) -> list[Problem]:
        """Return all that is wrong with *value*: pairs of path and message."""
        return self.salvage(value, cls)[1]

    def salvage(self, value: JSON, cls: type[T]) -> tuple[T | None, list[Problem]]:
        """
        Return what can be made of *value* without what is wrong with it, and what that
        is: pairs of path and message. None, where nothing can.

        A record's validators speak one at a time, and only once its types are right;
        so what is known to be wrong is taken out, and the rest is tried again.
        """
        left = copy.deepcopy(value)
        problems: dict[str, str] = {}
        while new := [e for e in self._first_errors(left, cls) if e[0] not in problems]:
            problems.update(new)
            for path, _ in new:
                take_out(left, path)
        report = [(plain(path), message) for path, message in problems.items()]
        try:
            return self.make(left, cls), report
        except Exception:  # noqa: BLE001 - what is wrong is in the report
            return None, report

    def _first_errors(self, value: JSON, cls: type) -> list[Problem]:
        try:
            self._detailed.structure(value, cls)
        except Exception as exc:  # noqa: BLE001 - cattrs groups whatever its hooks raise
            return problems_in(exc)
        return []
