"""Logging: lines for people or JSON for machines, on standard error."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

from .config import LogSettings


def configure(settings: LogSettings) -> None:
    """Send structlog's and the standard library's records the same way."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [_with_level_and_time]
    last: Processor = _line
    if settings.format == "json":
        shared.append(structlog.processors.format_exc_info)
        last = _json
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
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
    words += [f"{name}={_shown(value)}" for name, value in event.items()]
    line = " ".join(words)
    if trouble:
        formatted = structlog.processors.ExceptionRenderer()(
            None, "", {"exc_info": trouble}
        )
        line += f"\n{formatted['exception']}"
    return line


def _shown(value: Any) -> str:
    text = str(value)
    if isinstance(value, (int, float)):
        return text
    return repr(text) if not text or " " in text or not text.isprintable() else text
