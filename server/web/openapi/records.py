"""JSON schemas of requests, derived from the records that they are read into."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

import attrs
from attrs.validators import and_, ge, in_, matches_re, min_len, optional

from server.json_types import JSONObject

Schema: TypeAlias = JSONObject

# The bounds of whole numbers: orjson reads longer ones as floats.
SMALLEST, LARGEST = -(2**63), 2**64 - 1
SCALARS: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}
BOUNDS = {">=": "minimum", "<=": "maximum", ">": "exclusiveMinimum"}
LENGTHS = {"string": "minLength", "array": "minItems", "object": "minProperties"}
# attrs keeps the classes of its validators to itself.
NUMBER: Any = type(ge(0))
LENGTH: Any = type(min_len(0))
ONE_OF: Any = type(in_(()))
MATCHES: Any = type(matches_re(""))
OPTIONAL: Any = type(optional(ge(0)))
ALL_OF: Any = type(and_(ge(0)))
# The attribute in which records keep the whole object: it is no field of it.
WHOLE = "body"


def schema_of(record: type, about: Mapping[str, str] | None = None) -> Schema:
    """
    Return the schema of the JSON objects that `Structure` turns into *record*.

    Other fields than the record's are let through. *about* describes fields; raises
    KeyError for one that the record has not.
    """
    attributes = [each for each in attrs.fields(record) if _is_read(each)]
    properties = {each.name: _field(each) for each in attributes}
    for name, text in (about or {}).items():
        properties[name] = {**properties[name], "description": text}
    required = [each.name for each in attributes if each.default is attrs.NOTHING]
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def ref(name: str) -> Schema:
    """Return what stands for the component *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """Return the schema of what *schema* describes, or null."""
    kind = schema.get("type")
    if kind is None:
        return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [kind, "null"], **more}


def _is_read(each: "attrs.Attribute[object]") -> bool:
    return each.name != WHOLE and bool(each.metadata.get("read", True))


def _field(each: "attrs.Attribute[object]") -> Schema:
    kinds = _alternatives(each.type)
    shapes = [_shape(kind) for kind in kinds if kind is not NoneType]
    for validator in _validators(each.validator):
        shapes = [_narrowed(shape, validator) for shape in shapes]
    schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    return nullable(schema) if NoneType in kinds and schema else schema


def _alternatives(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _shape(kind: object) -> Schema:
    if kind is Any:
        return {}
    if isinstance(kind, type) and attrs.has(kind):
        return schema_of(kind)
    if get_origin(kind) is tuple:
        items = _shape(get_args(kind)[0])
        return {"type": "array", "items": items} if items else {"type": "array"}
    if get_origin(kind) is Mapping:
        return {"type": "object"}
    return dict(SCALARS[kind])


def _validators(validator: Any) -> Iterator[Any]:
    """Yield the validators that one is made of."""
    if isinstance(validator, OPTIONAL):
        yield from _validators(validator.validator)
    elif isinstance(validator, ALL_OF):
        for each in validator._validators:  # noqa: SLF001 - it has no other name
            yield from _validators(each)
    elif validator is not None:
        yield validator


def _narrowed(shape: Schema, validator: Any) -> Schema:
    """Return *shape* with what *validator* says of values of its type."""
    kind = shape.get("type")
    if isinstance(validator, NUMBER) and kind in ("integer", "number"):
        return {**shape, BOUNDS[validator.compare_op]: validator.bound}
    if isinstance(validator, LENGTH) and kind in LENGTHS:
        return {**shape, LENGTHS[kind]: validator.min_length}
    if isinstance(validator, ONE_OF):
        return {**shape, "enum": list(validator.options)}
    if isinstance(validator, MATCHES):
        return {**shape, "pattern": f"^(?:{validator.pattern.pattern})$"}
    raise TypeError(f"a schema can't say what {validator!r} does")
