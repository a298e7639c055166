"""How far a key's limits are used, as OpenAI's and Anthropic's clients read it. Pure.

OpenAI's resets are durations as Go writes them (`6m0s`, `12ms`), Anthropic's are RFC
3339 instants.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from .counters import Standing
from .limit import Unit

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000


def openai_headers(unit: Unit, standing: Standing) -> Iterator[tuple[str, str]]:
    yield f"X-RateLimit-Limit-{unit.title()}", str(standing.limit.most)
    yield f"X-RateLimit-Remaining-{unit.title()}", str(standing.remaining)
    yield f"X-RateLimit-Reset-{unit.title()}", duration(standing.resets_in)


def anthropic_headers(
    unit: Unit, standing: Standing, now: float
) -> Iterator[tuple[str, str]]:
    """Yield them; *now* is in seconds since the epoch."""
    reset = datetime.fromtimestamp(now, UTC) + timedelta(
        milliseconds=standing.resets_in + SECOND - 1
    )
    prefix = f"Anthropic-RateLimit-{unit.title()}"
    yield f"{prefix}-Limit", str(standing.limit.most)
    yield f"{prefix}-Remaining", str(standing.remaining)
    yield f"{prefix}-Reset", reset.strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(ms: int) -> str:
    """Return a duration as Go's `time.Duration` writes it, to the millisecond."""
    if ms < SECOND:
        return f"{ms}ms" if ms else "0s"
    hours, rest = divmod(ms, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{rest / SECOND:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds
