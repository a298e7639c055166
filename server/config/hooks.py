"""How each type is made from parsed JSON or TOML: no type is turned into another."""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

import attrs
from cattrs import ClassValidationError, Converter
from cattrs.cols import homogenous_tuple_structure_factory, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, override

from server.json_types import JSON

# A class, or what stands for one: `tuple[str, ...]`, `str | None`.
Kind: TypeAlias = type
Hook = Callable[[JSON, Kind], Any]
Field: TypeAlias = "attrs.Attribute[object]"

NAMES: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "an object",
    NoneType: "null",
}


class Invalid(ValueError):
    """A value of the wrong type; the message says which type is right."""


def keys_of(record: type) -> Iterator[Field]:
    """
    Yield the fields whose names are a record's keys.

    In place of a field whose metadata says `flat` stand those of the record that it
    holds: their keys stand among the others.
    """
    for each in attrs.fields(record):
        if each.metadata.get("flat"):
            yield from keys_of(each.type)
        else:
            yield each


def names_of(record: type) -> list[str]:
    """Return the names of a record's keys."""
    return [each.name for each in keys_of(record)]


def make_converter(
    *, forbid_extra_keys: bool, detailed: bool, biggest: float
) -> Converter:
    """Return what makes records; *detailed*: its errors say where they are."""
    converter = Converter(
        forbid_extra_keys=forbid_extra_keys, detailed_validation=detailed
    )
    for kind in (str, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    for hook, number in ((_exactly(int), int), (_float, float)):
        converter.register_structure_hook(number, _smaller(hook, biggest))
    for holds, make in (
        (attrs.has, _record),
        (_is_mapping, _mapping),
        (_is_tuple, _tuple),
        (_is_union, _union),
    ):
        converter.register_structure_hook_factory(holds, make)
    return converter


def _is_mapping(kind: Kind) -> bool:
    return get_origin(kind) is Mapping


def _is_tuple(kind: Kind) -> bool:
    return get_origin(kind) is tuple


def _is_union(kind: Kind) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _record(cls: Kind, converter: Converter) -> Hook:
    fields = attrs.fields(cls)
    flat = {each.name: each.type for each in fields if each.metadata.get("flat")}
    left_out: dict[str, Any] = {
        each.name: override(omit=True)
        for each in fields
        if each.name in flat or not each.metadata.get("read", True)
    }
    hook: Hook = make_dict_structure_fn(cls, converter, **left_out)
    return _expecting(dict, _with_flat(flat, hook, converter) if flat else hook)


def _with_flat(flat: Mapping[str, type], own: Hook, converter: Converter) -> Hook:
    """Make a record of its *own* keys, and of those that *flat* records in it have."""
    parts = {
        name: (record, converter.get_structure_hook(record), names_of(record))
        for name, record in flat.items()
    }

    def structure(value: JSON, cls: Kind) -> object:
        rest, made = dict(value), {}
        wrong: list[Exception] = []
        for name, (record, make, keys) in parts.items():
            part = {key: rest.pop(key) for key in keys if key in rest}
            try:
                made[name] = make(part, record)
            except ClassValidationError as exc:
                wrong += exc.exceptions
        try:
            whole = own(rest, cls)
        except ClassValidationError as exc:
            raise _joined([*wrong, *exc.exceptions], cls) from exc
        if wrong:
            raise _joined(wrong, cls)
        return attrs.evolve(whole, **made)

    return structure


def _joined(wrong: list[Exception], cls: Kind) -> ClassValidationError:
    """Return what says of several keys that they are wrong, each by its name."""
    return ClassValidationError("some keys are wrong", wrong, cls)


def _mapping(cls: Kind, converter: Converter) -> Hook:
    if get_args(cls)[1] is JSON:
        return _exactly(dict)
    return _expecting(dict, mapping_structure_factory(cls, converter))


def _tuple(cls: Kind, converter: Converter) -> Hook:
    return _expecting(list, homogenous_tuple_structure_factory(cls, converter))


def _exactly(kind: type) -> Hook:
    def structure(value: JSON, _: Kind) -> object:
        # Not isinstance: a bool is no whole number.
        if type(value) is not kind:
            raise Invalid(f"must be {NAMES[kind]}, not {shown(value)}")
        return value

    return structure


def _expecting(kind: type, inner: Hook) -> Hook:
    def structure(value: JSON, cls: Kind) -> object:
        if type(value) is not kind:
            raise Invalid(f"must be {NAMES[kind]}, not {shown(value)}")
        return inner(value, cls)

    return structure


def _float(value: JSON, _: Kind) -> float:
    if type(value) is not float and type(value) is not int:
        raise Invalid(f"must be a number, not {shown(value)}")
    return float(value)


def _smaller(read: Hook, biggest: float) -> Hook:
    if biggest == inf:
        return read

    def structure(value: JSON, cls: Kind) -> float:
        number: float = read(value, cls)
        if abs(number) >= biggest:
            raise Invalid(f"must be a smaller number than {shown(value)}")
        return number

    return structure


def _union(cls: Kind, converter: Converter) -> Hook:
    """Choose a union's member by the type that the value has in JSON."""
    members: dict[type, type] = {_json_type(member): member for member in get_args(cls)}
    if float in members:
        members.setdefault(int, float)
    names = " or ".join(
        dict.fromkeys(NAMES[_json_type(m)] for m in get_args(cls) if m is not NoneType)
    )

    def structure(value: JSON, _: Kind) -> object:
        kind = type(value)
        member = members.get(kind)
        if member is None:
            raise Invalid(f"must be {names}, not {shown(value)}")
        if member is kind or value is None:
            return value
        return converter.structure(value, member)

    return structure


def _json_type(cls: Kind) -> type:
    if attrs.has(cls) or _is_mapping(cls):
        return dict
    return list if _is_tuple(cls) else cls


def shown(value: JSON) -> str:
    if type(value) in (dict, list, NoneType):
        return NAMES[type(value)]
    return repr(value)[:80]
