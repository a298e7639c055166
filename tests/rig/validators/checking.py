"""What validators are made of: a request is walked through until something is wrong."""

import json
from collections.abc import Callable, Iterable
from typing import Any

Validator = Callable[[Any], str]


class Wrong(Exception):
    """A request has something that the vendor refuses; the message says what."""


def need(condition: Any, what: str) -> None:
    if not condition:
        raise Wrong(what)


def known(given: Iterable[str], names: Iterable[str], where: str) -> None:
    """Refuse names that are not among those that the vendor knows."""
    unknown = sorted(set(given) - set(names))
    need(not unknown, f"{where}: unknown {', '.join(unknown)}")


def is_json_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def validator(walk: Callable[[Any], None]) -> Validator:
    """Return the function that says what *walk* has met."""

    def why(body: Any) -> str:
        try:
            walk(body)
        except Wrong as wrong:
            return str(wrong)
        return ""

    return why
