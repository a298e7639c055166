"""Parsed JSON to records: no type is turned into another, every error has its path."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from attrs import field, frozen
from attrs.validators import ge, in_, min_len

from server.config.structuring import Structure


@frozen(kw_only=True)
class Inner:
    name: str = field(validator=min_len(1))
    level: str = field(default="low", validator=in_(("low", "high")))


@frozen(kw_only=True)
class Outer:
    text: str = ""
    count: int = field(default=0, validator=ge(0))
    ratio: float = 0.0
    flag: bool = False
    maybe: float | None = None
    either: str | tuple[Inner, ...] | None = None
    names: tuple[str, ...] = ()
    inner: Inner | None = None
    rows: tuple[Inner, ...] = ()
    table: Mapping[str, Inner] = field(factory=dict)
    free: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Bounds:
    most: int = field(default=9, validator=ge(1))
    names: tuple[str, ...] = ()


@frozen(kw_only=True)
class Table:
    name: str = ""
    bounds: Bounds = field(factory=Bounds, metadata={"flat": True})


STRICT = Structure(forbid_extra_keys=True)
LENIENT = Structure(forbid_extra_keys=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Outer()),
        ({"text": "a", "count": 2, "flag": True}, Outer(text="a", count=2, flag=True)),
        ({"ratio": 1, "maybe": 2}, Outer(ratio=1.0, maybe=2.0)),
        ({"ratio": 0.5, "maybe": None}, Outer(ratio=0.5)),
        ({"either": "a"}, Outer(either="a")),
        ({"either": [{"name": "b"}]}, Outer(either=(Inner(name="b"),))),
        ({"names": ["a", "b"]}, Outer(names=("a", "b"))),
        ({"inner": {"name": "c"}}, Outer(inner=Inner(name="c"))),
        ({"rows": [{"name": "d"}]}, Outer(rows=(Inner(name="d"),))),
        ({"table": {"k": {"name": "e"}}}, Outer(table={"k": Inner(name="e")})),
        ({"free": {"x": [1, None]}}, Outer(free={"x": [1, None]})),
    ],
)
def test_make(given: dict[str, Any], expected: Outer) -> None:
    """Each kind of value lands in its field, as what it is; a whole number may be a
    float's."""
    assert STRICT.make(given, Outer) == expected


def test_a_float_is_one() -> None:
    """A whole number in a float's place becomes a float."""
    assert type(STRICT.make({"ratio": 1}, Outer).ratio) is float


def made(structure: Structure, given: Any) -> Outer | None:
    with suppress(Exception):
        return structure.make(given, Outer)
    return None


WRONG = [
    ({"text": 7}, "text", "must be a string, not 7"),
    ({"text": None}, "text", "must be a string, not null"),
    ({"count": "7"}, "count", "must be a whole number, not '7'"),
    ({"count": 7.0}, "count", "must be a whole number, not 7.0"),
    ({"count": True}, "count", "must be a whole number, not True"),
    ({"count": -1}, "count", "must be >= 0: -1"),
    ({"ratio": "1"}, "ratio", "must be a number, not '1'"),
    ({"ratio": False}, "ratio", "must be a number, not False"),
    ({"flag": 1}, "flag", "must be true or false, not 1"),
    ({"flag": "true"}, "flag", "must be true or false, not 'true'"),
    ({"maybe": "1"}, "maybe", "must be a number, not '1'"),
    ({"maybe": True}, "maybe", "must be a number, not True"),
    ({"either": 1}, "either", "must be a string or an array, not 1"),
    ({"either": [{}]}, "either[0].name", "is missing"),
    ({"names": "a"}, "names", "must be an array, not 'a'"),
    ({"names": ["a", 1]}, "names[1]", "must be a string, not 1"),
    ({"inner": []}, "inner", "must be an object, not an array"),
    ({"inner": {}}, "inner.name", "is missing"),
    ({"inner": {"name": ""}}, "inner.name", "must not be empty"),
    (
        {"inner": {"name": "a", "level": "mid"}},
        "inner.level",
        "must be one of low, high, not 'mid'",
    ),
    ({"rows": {"name": "a"}}, "rows", "must be an array, not an object"),
    ({"rows": [{"name": "a"}, {"name": 1}]}, "rows[1].name", "must be a string, not 1"),
    ({"table": {"k": {"name": 1}}}, "table.k.name", "must be a string, not 1"),
    ({"table": {"k": 1}}, "table.k", "must be an object, not 1"),
    ({"free": "a"}, "free", "must be an object, not 'a'"),
    ({"text": "a", "free": 1}, "free", "must be an object, not 1"),
    ([], "", "must be an object, not an array"),
    ("a", "", "must be an object, not 'a'"),
    (None, "", "must be an object, not null"),
]


@pytest.mark.parametrize("structure", [STRICT, LENIENT])
@pytest.mark.parametrize(("given", "path", "message"), WRONG)
def test_errors(structure: Structure, given: Any, path: str, message: str) -> None:
    """A value of a wrong type or out of bounds is refused, with its path and why."""
    assert made(structure, given) is None
    assert structure.errors(given, Outer) == [(path, message)]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ({"txet": 1}, "txet", "unknown key (did you mean 'text'?)"),
        ({"zzz": 1}, "zzz", "unknown key"),
        ({"inner": {"name": "a", "names": 1}}, "inner.names", "did you mean 'name'?"),
        ({"rows": [{"name": "a", "x": 1}]}, "rows[0].x", "unknown key"),
        ({"table": {"k": {"name": "a", "x": 1}}}, "table.k.x", "unknown key"),
    ],
)
def test_unknown_keys(given: dict[str, Any], path: str, message: str) -> None:
    """Where unknown keys are forbidden, each is named, with a guess at its meaning."""
    ((found, why),) = STRICT.errors(given, Outer)

    assert found == path
    assert message in why


def test_flat_records() -> None:
    """The keys of a flat record stand among those of the table that has it."""
    assert STRICT.make({}, Table) == Table()
    made = STRICT.make({"most": 2, "name": "a", "names": ["b"]}, Table)
    assert made == Table(name="a", bounds=Bounds(most=2, names=("b",)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"most": 0, "name": "a"}, [("most", "must be >= 1: 0")]),
        (
            {"most": "2", "name": 1, "names": ["a", 2]},
            [
                ("most", "must be a whole number, not '2'"),
                ("names[1]", "must be a string, not 2"),
                ("name", "must be a string, not 1"),
            ],
        ),
        ({"mots": 1}, [("mots", "unknown key (did you mean 'most'?)")]),
        ({"bounds": {"most": 1}}, [("bounds", "unknown key")]),
        (
            {"most": 0, "x": 1},
            [("most", "must be >= 1: 0"), ("x", "unknown key")],
        ),
    ],
)
def test_flat_records_errors(
    given: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """What is wrong with a flat record's keys is said as of the table's own."""
    assert STRICT.errors(given, Table) == expected
    assert STRICT.salvage({**given, "name": "a"}, Table)[0] is not None


def test_unknown_keys_may_be_let_in() -> None:
    """Where they are not forbidden, unknown keys are nobody's business."""
    given = {"txet": 1, "rows": [{"name": "a", "x": 1}]}

    assert LENIENT.make(given, Outer) == Outer(rows=(Inner(name="a"),))
    assert LENIENT.errors(given, Outer) == []


def test_every_error_is_told() -> None:
    """Errors come all at once, wherever they are."""
    given = {"text": 1, "zzz": 1, "yyy": 1, "rows": [{"name": 1}, {"names": "a"}]}

    assert sorted(path for path, _ in STRICT.errors(given, Outer)) == [
        "rows[0].name",
        "rows[1].name",
        "rows[1].names",
        "text",
        "yyy",
        "zzz",
    ]


def test_long_values_are_cut() -> None:
    """A message shows no more than the beginning of a long value."""
    ((_, message),) = STRICT.errors({"count": "x" * 10_000}, Outer)

    assert len(message) < 200


@pytest.mark.parametrize("value", ["a @ b", "a\nb", "\0", "\1", "'name' is"])
def test_odd_values_do_not_move_the_path(value: str) -> None:
    """What stands in a value is never taken for a path or for another error."""
    ((path, message),) = STRICT.errors({"count": value}, Outer)

    assert path == "count"
    assert message.startswith("must be a whole number, not ")


@pytest.mark.parametrize("name", ["a @ b", "a'b", 'a"b', "a'b\"c", "a\1b", "a\0b"])
def test_odd_names_do_not_hide_the_error(name: str) -> None:
    """An error below a key with an odd name keeps its message and its place."""
    ((path, message),) = STRICT.errors({"table": {name: {"name": 1}}}, Outer)

    assert message == "must be a string, not 1"
    assert re.fullmatch(r"table\W.*a.*b.*\.name", path)


@pytest.mark.parametrize("name", ["a @ b", "a'b", "a\1b", "a\0b"])
def test_odd_unknown_keys(name: str) -> None:
    """An unknown key with an odd name is told as one error, under its own name."""
    ((path, message),) = STRICT.errors({name: 1}, Outer)

    assert path == ascii(name)[1:-1]
    assert message.startswith("unknown key")
