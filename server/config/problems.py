"""What is wrong with parsed JSON or TOML: in words, each with its path."""

import re
from difflib import get_close_matches

import attrs
from cattrs import ForbiddenExtraKeysError, transform_error

from server.json_types import JSON

from .hooks import names_of, shown

# A path, and what is wrong there.
Problem = tuple[str, str]

# What attrs' validators say: 'name' must be ...; Length of 'name' must be >= 1: 0
OF_FIELD = re.compile(r"(?P<length>Length of )?'(?P<name>\w+)' (?P<rest>.*)", re.DOTALL)
# Ends a message in what cattrs makes of it, since a path may hold anything.
END = "\2"
# One step of a path: .field, ['key'] or [index]
STEP = re.compile(r"\.([^.\[]+)|\['([^']*)'\]|\[(\d+)\]")


def problems_in(exc: Exception) -> list[Problem]:
    """Return what an exception of a detailed converter says: paths and messages."""
    lines = transform_error(exc, "", lambda each, _: _message(each) + END)
    return [problem for line in lines for problem in _located(line)]


def take_out(value: JSON, path: str) -> None:
    """Remove what lies at *path*, so that the rest can be looked at without it."""
    steps = [name or key or index for name, key, index in STEP.findall(path)]
    try:
        for step in steps[:-1]:
            value = value[int(step) if isinstance(value, list) else step]
        del value[int(steps[-1]) if isinstance(value, list) else steps[-1]]
    except (LookupError, TypeError, ValueError):
        return  # it is not there, which is what is wrong with it


def plain(path: str) -> str:
    """Write `.a['b'][0]` as `a.b[0]`."""
    return re.sub(r"\['([^']*)'\]", r".\1", path).lstrip(".")


def _message(exc: BaseException) -> str:
    if isinstance(exc, KeyError):
        return "is missing"
    if isinstance(exc, ForbiddenExtraKeysError):
        known = names_of(exc.cl)
        return "\1".join(
            f"{_key(name)}\0unknown key{_guess(name, known)}"
            for name in sorted(exc.extra_fields)
        )
    message = str(exc.args[0]) if exc.args else type(exc).__name__
    if not isinstance(exc, ValueError) or not (found := OF_FIELD.fullmatch(message)):
        return message
    match exc.args:
        case (_, _, tuple(options), value):  # in_
            rest = f"must be one of {', '.join(map(str, options))}, not {shown(value)}"
        case (_, attrs.Attribute(metadata={"means": means}), *_):
            rest = f"must be {means}"
        case _:
            rest = "must not be empty" if found["length"] else found["rest"]
    return f"{found['name']}\0{rest}"


def _guess(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _key(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]


def _located(line: str) -> list[Problem]:
    """Split cattrs' "message @ path", where the message may begin with a field."""
    text, _, path = line.partition(f"{END} @ ")
    found = []
    for message in text.split("\1"):
        name, _, rest = message.rpartition("\0")
        found.append((f"{path}.{name}" if name else path, rest))
    return found
