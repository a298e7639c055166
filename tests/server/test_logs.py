"""The log: one line an event, whatever is in it, for people or for machines."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from server import logs
from server.config.settings import LogSettings

Configure = Callable[..., Callable[[], list[str]]]

TIME = r"\d\d:\d\d:\d\d\.\d{3}"


@pytest.fixture
def configure(capsys: pytest.CaptureFixture[str]) -> Iterator[Configure]:
    """Configure logging; return what reads the lines written since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def begin(**settings: Any) -> Callable[[], list[str]]:
        root.handlers.clear()  # else they are closed
        logs.configure(LogSettings(**settings))
        return written

    def written() -> list[str]:
        *lines, last = capsys.readouterr().err.split("\n")
        assert last == ""
        return lines

    yield begin
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_text(configure: Configure) -> None:
    """A line for people: the time, the level, the event, and its facts."""
    lines = configure()

    structlog.get_logger().info("request", status=200, path="/v1/models")

    (line,) = lines()
    pattern = rf"{TIME} info +request status=200 path=/v1/models"
    assert re.fullmatch(pattern, line)


def test_json(configure: Configure) -> None:
    """A line for machines: one JSON object, with the types that the facts have."""
    lines = configure(format="json")

    structlog.get_logger().warning("request", status=200, seconds=0.5, key=None)

    (line,) = lines()
    event = json.loads(line)
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT{TIME}\d*Z", event.pop("timestamp"))
    assert event == {
        "event": "request",
        "level": "warning",
        "status": 200,
        "seconds": 0.5,
        "key": None,
    }


FORGED = "/a\n12:00:00.000 info    request status=200"
ODD = [
    FORGED,
    "a\r\nb",
    "a b=c",
    "",
    "\x1b[2J",
    "\u2028\u2029\x85\x0b\x0c\x1c",
    "\u202e",
    "\udcff",
    b"\xff\n",
    ["a\nb"],
    {"a": "b\nc"},
    ValueError("a\nb"),
    2**70,
    object(),
]


@pytest.mark.parametrize("value", ODD, ids=[ascii(value)[:20] for value in ODD])
def test_odd_values_in_text(configure: Configure, value: object) -> None:
    """A value can't forge a line, nor another fact, nor colours, nor an empty place."""
    lines = configure()

    structlog.get_logger().info("request", path=value, status=404)

    (line,) = lines()
    assert line.isprintable()
    pattern = rf"{TIME} info +request path=(\S+|'.*'|\".*\") status=404"
    assert re.fullmatch(pattern, line)


@pytest.mark.parametrize("value", ODD, ids=[ascii(value)[:20] for value in ODD])
def test_odd_values_in_json(configure: Configure, value: object) -> None:
    """Whatever the value is, the line is one JSON object with all other facts."""
    lines = configure(format="json")

    structlog.get_logger().info("request", path=value, status=404)

    (line,) = lines()
    assert json.loads(line)["status"] == 404


@pytest.mark.parametrize("form", ["text", "json"])
def test_odd_events(configure: Configure, form: str) -> None:
    """A message of a library's that has several lines is one line in the log."""
    lines = configure(format=form)

    logging.getLogger("aiohttp.server").warning("bad: %s", FORGED)

    (line,) = lines()
    assert "bad: " in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_exceptions(configure: Configure, form: str) -> None:
    """An exception brings its traceback: below the line, or in the JSON object."""
    lines = configure(format=form)
    try:
        int("x")
    except ValueError:
        structlog.get_logger().exception("internal error", request_id="r1")

    first, *below = lines()
    assert "internal error" in first
    assert "r1" in first
    if form == "json":
        assert below == []
        below = json.loads(first)["exception"].splitlines()
    assert below[0].startswith("Traceback")
    assert below[-1] == "ValueError: invalid literal for int() with base 10: 'x'"


@pytest.mark.parametrize("form", ["text", "json"])
def test_other_peoples_exceptions(configure: Configure, form: str) -> None:
    """A library's exception is logged in the same form as our own."""
    lines = configure(format=form)
    try:
        int("x")
    except ValueError:
        logging.getLogger("asyncio").exception("Task failed")

    first, *below = lines()
    assert "Task failed" in first
    if form == "json":
        assert below == []
        assert json.loads(first)["level"] == "error"
    assert "invalid literal" in "\n".join([first, *below])


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_levels(
    configure: Configure, level: str, ours: list[str], theirs: list[str]
) -> None:
    """The level holds for our events; libraries are heard from warnings on."""
    lines = configure(level=level, format="json")
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("ours")
        getattr(logging.getLogger("aiohttp"), name)("theirs")

    events = [json.loads(line) for line in lines()]

    assert [e["level"] for e in events if e["event"] == "ours"] == ours
    assert [e["level"] for e in events if e["event"] == "theirs"] == theirs
