"""From parsed JSON or TOML to attrs records: strict, every error with its path."""

import copy
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from math import inf
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter, ForbiddenExtraKeysError, transform_error
from cattrs.cols import homogenous_tuple_structure_factory, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, override

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
# Pairs of path and message.
Problems = list[tuple[str, str]]

NAMES: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "an object",
    NoneType: "null",
}
# What attrs' validators say: 'name' must be ...; Length of 'name' must be >= 1: 0
OF_FIELD = re.compile(r"(?P<length>Length of )?'(?P<name>\w+)' (?P<rest>.*)", re.DOTALL)

# Ends a message in what cattrs makes of it, since a path may hold anything.
END = "\2"
# One step of a path: .field, ['key'] or [index]
STEP = re.compile(r"\.([^.\[]+)|\['([^']*)'\]|\[(\d+)\]")


class Invalid(ValueError):
    """A value of the wrong type; the message says which type is right."""


class Structure:
    """
    Makes attrs records from parsed JSON or TOML, and turns no type into another.

    The first try is made for speed. Only where that fails is it made again, keeping
    account of where it goes wrong, for the messages.
    """

    def __init__(self, *, forbid_extra_keys: bool, biggest: float = inf) -> None:
        """Make a structure whose numbers are all smaller than *biggest*."""
        make = partial(_converter, forbid_extra_keys=forbid_extra_keys, biggest=biggest)
        self._fast = make(detailed=False)
        self._detailed = make(detailed=True)

    def make(self, value: Any, cls: type[T]) -> T:
        """Return *value* as a *cls*; raises anything, for `errors` to explain."""
        return self._fast.structure(value, cls)

    def errors(self, value: Any, cls: type) -> Problems:
        """Return all that is wrong with *value*: pairs of path and message."""
        return self.salvage(value, cls)[1]

    def salvage(
        self, value: Any, cls: type[T]
    ) -> tuple[T | None, list[tuple[str, str]]]:
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
                _take_out(left, path)
        told = [(_plain(path), message) for path, message in problems.items()]
        try:
            return self.make(left, cls), told
        except Exception:  # noqa: BLE001 - what is wrong has been told
            return None, told

    def _first_errors(self, value: Any, cls: type) -> list[tuple[str, str]]:
        try:
            self._detailed.structure(value, cls)
        except Exception as exc:  # noqa: BLE001 - cattrs groups whatever its hooks raise
            lines = transform_error(exc, "", lambda e, _: _message(e) + END)
            return [found for line in lines for found in _located(line)]
        return []


def _converter(*, forbid_extra_keys: bool, detailed: bool, biggest: float) -> Converter:
    converter = Converter(
        forbid_extra_keys=forbid_extra_keys, detailed_validation=detailed
    )
    for kind in (str, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    for hook, number in ((_exactly(int), int), (_float, float)):
        converter.register_structure_hook(number, _smaller(hook, biggest))
    register = converter.register_structure_hook_factory

    @register(attrs.has)
    def _(cls: type) -> Hook:
        unread: dict[str, Any] = {
            each.name: override(omit=True)
            for each in attrs.fields(cls)
            if not each.metadata.get("read", True)
        }
        return _expecting(
            dict,
            make_dict_structure_fn(
                cls,
                converter,
                _cattrs_forbid_extra_keys=forbid_extra_keys,
                _cattrs_detailed_validation=detailed,
                **unread,
            ),
        )

    @register(lambda kind: _origin(kind) is _origin(Mapping[str, Any]))
    def _(cls: type) -> Hook:
        if get_args(cls)[1] is Any:
            return _expecting(dict, lambda value, _: value)
        return _expecting(dict, mapping_structure_factory(cls, converter))

    @register(lambda kind: _origin(kind) is tuple)
    def _(cls: type) -> Hook:
        return _expecting(list, homogenous_tuple_structure_factory(cls, converter))

    @register(lambda kind: _origin(kind) in (Union, UnionType))
    def _(cls: type) -> Hook:
        return _union(cls, converter)

    return converter


def _exactly(kind: type) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        # Not isinstance: a bool is no whole number.
        if type(value) is not kind:
            raise Invalid(f"must be {NAMES[kind]}, not {_shown(value)}")
        return value

    return structure


def _expecting(kind: type, inner: Hook) -> Hook:
    def structure(value: Any, cls: Any) -> Any:
        if type(value) is not kind:
            raise Invalid(f"must be {NAMES[kind]}, not {_shown(value)}")
        return inner(value, cls)

    return structure


def _float(value: Any, _: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise Invalid(f"must be a number, not {_shown(value)}")
    return float(value)


def _smaller(read: Hook, biggest: float) -> Hook:
    if biggest == inf:
        return read

    def structure(value: Any, cls: Any) -> Any:
        number = read(value, cls)
        if abs(number) >= biggest:
            raise Invalid(f"must be a smaller number than {_shown(value)}")
        return number

    return structure


def _union(cls: type, converter: Converter) -> Hook:
    """Choose a union's member by the type that the value has in JSON."""
    members: dict[type, type] = {_json_type(member): member for member in get_args(cls)}
    if float in members:
        members.setdefault(int, float)
    names = " or ".join(
        dict.fromkeys(NAMES[_json_type(m)] for m in get_args(cls) if m is not NoneType)
    )

    def structure(value: Any, _: Any) -> Any:
        kind = type(value)
        member = members.get(kind)
        if member is None:
            raise Invalid(f"must be {names}, not {_shown(value)}")
        if member is kind or value is None:
            return value
        return converter.structure(value, member)

    return structure


def _origin(cls: Any) -> Any:
    return get_origin(cls)


def _json_type(cls: Any) -> type:
    if attrs.has(cls) or _origin(cls) is _origin(Mapping[str, Any]):
        return dict
    if _origin(cls) is tuple:
        return list
    found: type = cls
    return found


def _shown(value: Any) -> str:
    if type(value) in (dict, list, NoneType):
        return NAMES[type(value)]
    return repr(value)[:80]


def _message(exc: BaseException) -> str:
    if isinstance(exc, KeyError):
        return "is missing"
    if isinstance(exc, ForbiddenExtraKeysError):
        known = [name.name for name in attrs.fields(exc.cl)]
        return "\1".join(
            f"{_key(name)}\0unknown key{_guess(name, known)}"
            for name in sorted(exc.extra_fields)
        )
    message = str(exc.args[0]) if exc.args else type(exc).__name__
    if not isinstance(exc, ValueError) or not (found := OF_FIELD.fullmatch(message)):
        return message
    match exc.args:
        case (_, _, tuple(options), value):  # in_
            rest = f"must be one of {', '.join(map(str, options))}, not {_shown(value)}"
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


def _located(line: str) -> list[tuple[str, str]]:
    """Split cattrs' "message @ path", where the message may begin with a field."""
    text, _, path = line.partition(f"{END} @ ")
    found = []
    for message in text.split("\1"):
        name, _, rest = message.rpartition("\0")
        found.append((f"{path}.{name}" if name else path, rest))
    return found


def _take_out(value: Any, path: str) -> None:
    """Remove what lies at *path*, so that the rest can be looked at without it."""
    steps = [name or key or index for name, key, index in STEP.findall(path)]
    try:
        for step in steps[:-1]:
            value = value[int(step) if isinstance(value, list) else step]
        del value[int(steps[-1]) if isinstance(value, list) else steps[-1]]
    except (LookupError, TypeError, ValueError):
        return  # it is not there, which is what is wrong with it


def _plain(path: str) -> str:
    """Write `.a['b'][0]` as `a.b[0]`."""
    return re.sub(r"\['([^']*)'\]", r".\1", path).lstrip(".")
