"""Logging: lines for people or JSON for machines, on standard error."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor

from .config.settings import LogSettings

# What a line says of an event, by name.
Facts = dict[str, object]


class _StandardError:
    """
    Standard error, as long as it can be written to: if whatever reads the log ends
    before the server does, no request must fail of it.
    """

    def write(self, text: str) -> None:
        try:  # noqa: SIM105 - each request comes by here, and suppress() takes longer
            sys.stderr.write(text)
        except OSError:
            pass

    def flush(self) -> None:
        """Do nothing: it flushes itself after each line."""


STDERR = _StandardError()


def configure(settings: LogSettings) -> None:
    """Send structlog's and the standard library's records the same way."""
    level = _level(settings)
    last = _rendered_by(_renderer(settings))
    shared: list[Processor] = [_with_level_and_time]
    if settings.format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", STDERR)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                last,
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), handlers=[handler], force=True
    )


class AccessLog:
    """
    A line for each request. It is written past structlog, which costs as much again as
    the line.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._render = _renderer(settings)
        self._level = _level(settings)

    def write(self, facts: Facts, *, probe: bool = False) -> None:
        """Write the line; that of a *probe* only where debugging is wanted."""
        if self._level <= (logging.DEBUG if probe else logging.INFO):
            STDERR.write(
                self._render(_now(), "debug" if probe else "info", "request", facts)
                + "\n"
            )


# Makes a line of a time, a level, an event, and its facts.
Render = Callable[[str, str, str, Facts], str]


def _level(settings: LogSettings) -> int:
    return logging.getLevelNamesMapping()[settings.level.upper()]


def _renderer(settings: LogSettings) -> Render:
    return _json if settings.format == "json" else _line


def _rendered_by(render: Render) -> Processor:
    """Return the processor that ends structlog's chains."""

    def last(_: object, __: str, event: EventDict) -> str:
        facts = dict(event)
        when, level, what = (facts.pop(n) for n in ("timestamp", "level", "event"))
        return render(when, level, str(what), facts)

    return last


def _with_level_and_time(_: object, method: str, event: EventDict) -> EventDict:
    """Add the level and the time: structlog's two processors for that cost more."""
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = _now()
    return event


def _now() -> str:
    now = time.time()
    second = int(now)
    return f"{_iso(second)}.{int((now - second) * 1_000_000):06}Z"


@lru_cache(maxsize=1)
def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json(when: str, level: str, what: str, facts: Facts) -> str:
    line = {"timestamp": when, "level": level, "event": what, **facts}
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # what orjson refuses: lone surrogates, very large numbers
        return json.dumps(line, default=str)


def _line(when: str, level: str, what: str, facts: Facts) -> str:
    """Write `time level event key=value ...`, and a traceback below it."""
    exc_info = facts.pop("exc_info", None)
    plain = [f"{name}={value}" for name, value in facts.items()]
    text = " ".join(plain)
    if not _is_clear(text, len(plain)):
        text = " ".join([f"{name}={_shown(value)}" for name, value in facts.items()])
    name = what if what.isprintable() else repr(what)
    line = f"{when[11:23]} {level:7} {name} {text}".rstrip()
    if exc_info:
        formatted = structlog.processors.ExceptionRenderer()(
            None, "", {"exc_info": exc_info}
        )
        line += f"\n{formatted['exception']}"
    return line


def _is_clear(facts: str, count: int) -> bool:
    """Say whether so many facts can be told apart as they are, without quotes."""
    blanks = facts.count(" ")
    empty = "= " in facts or facts.endswith("=")
    return blanks == count - 1 and not empty and facts.isprintable()


def _shown(value: object) -> str:
    text = str(value)
    if isinstance(value, (int, float)):
        return text
    return repr(text) if not text or " " in text or not text.isprintable() else text
