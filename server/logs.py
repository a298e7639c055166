"""Logging: lines for people or JSON for machines, on standard error."""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor

from .config import LogSettings


class _StandardError:
    """
    Standard error, or nothing: where the log goes to may end before the server does,
    which must fail no request.
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
    shared: list[Processor] = [_with_level_and_time]
    last = _renderer(settings)
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
    A line for each request. It is written past structlog, whose way to it costs as much
    as the line.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._render = _renderer(settings)
        self._silent = _level(settings) > logging.INFO

    def write(self, facts: dict[str, Any]) -> None:
        if not self._silent:
            event = _with_level_and_time(None, "info", {"event": "request", **facts})
            STDERR.write(f"{self._render(None, 'info', event)}\n")


def _level(settings: LogSettings) -> int:
    return logging.getLevelNamesMapping()[settings.level.upper()]


def _renderer(settings: LogSettings) -> Callable[[Any, str, EventDict], str]:
    return _json if settings.format == "json" else _line


def _with_level_and_time(_: Any, method: str, event: EventDict) -> EventDict:
    """Add what structlog has two processors for, which cost each request more."""
    now = time.time()
    second = int(now)
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = f"{_iso(second)}.{int((now - second) * 1_000_000):06}Z"
    return event


@lru_cache(maxsize=1)
def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json(_: Any, __: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    try:
        return orjson.dumps({**first, **event}, default=str).decode()
    except TypeError:  # what orjson refuses: lone surrogates, very large numbers
        return json.dumps({**first, **event}, default=str)


def _line(_: Any, __: str, event: EventDict) -> str:
    """Write `time level event key=value ...`, and a traceback below it."""
    when = event.pop("timestamp")[11:23]
    level = event.pop("level")
    trouble = event.pop("exc_info", None)
    what = str(event.pop("event"))
    words = [when, f"{level:7}", what if what.isprintable() else repr(what)]
    plain = [f"{name}={value}" for name, value in event.items()]
    facts = " ".join(plain)
    if _is_clear(facts, len(plain)):
        words.append(facts)
    else:
        words += [f"{name}={_shown(value)}" for name, value in event.items()]
    line = " ".join(words)
    if trouble:
        formatted = structlog.processors.ExceptionRenderer()(
            None, "", {"exc_info": trouble}
        )
        line += f"\n{formatted['exception']}"
    return line


def _is_clear(facts: str, count: int) -> bool:
    """Say whether so many facts can be told apart as they are, without quotes."""
    blanks = facts.count(" ")
    empty = "= " in facts or facts.endswith("=")
    return blanks == count - 1 and not empty and facts.isprintable()


def _shown(value: Any) -> str:
    text = str(value)
    if isinstance(value, (int, float)):
        return text
    return repr(text) if not text or " " in text or not text.isprintable() else text
