"""The limits of a key, and the periods in which they count. Pure."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from attrs import frozen

from server.config.settings import KeySettings

MINUTE = 60_000  # ms
HOUR = 60 * MINUTE
# A dollar, in the unit in which money is counted: sums of integers stay exact.
NANODOLLARS = 1_000_000_000


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    MONEY = "dollars"
    STREAMS = "streams"


class Span(StrEnum):
    """
    How long it counts: a minute from its first use, a calendar day or month (UTC), or
    for as long as an answer is open.
    """

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"
    OPEN = "open"


@frozen
class Limit:
    """At most *most* (requests, tokens, nano-dollars, answers) of a unit in a span."""

    unit: Unit
    span: Span
    most: int

    @property
    def name(self) -> str:
        """Return the name of its setting."""
        if self.span is Span.OPEN:
            return str(self.unit)
        return f"{self.unit}_per_{self.span}"


@lru_cache(maxsize=1000)  # asked of each request
def limits_of(key: KeySettings) -> tuple[Limit, ...]:
    """Return the limits that *key* has, those first that are soonest over."""
    settings = [
        (Unit.STREAMS, Span.OPEN, key.streams),
        (Unit.REQUESTS, Span.MINUTE, key.requests_per_minute),
        (Unit.TOKENS, Span.MINUTE, key.tokens_per_minute),
        (Unit.TOKENS, Span.DAY, key.tokens_per_day),
        (Unit.MONEY, Span.DAY, round(key.dollars_per_day * NANODOLLARS)),
        (Unit.MONEY, Span.MONTH, round(key.dollars_per_month * NANODOLLARS)),
    ]
    return tuple(Limit(unit, span, most) for unit, span, most in settings if most)


@frozen
class Amounts:
    """What a request takes, or has taken; *nanodollars* of what is priced."""

    requests: int = 1
    tokens: int = 0
    nanodollars: int = 0

    def of(self, unit: Unit) -> int:
        match unit:
            case Unit.REQUESTS:
                return self.requests
            case Unit.TOKENS:
                return self.tokens
            case Unit.MONEY:
                return self.nanodollars
            case Unit.STREAMS:
                return 1


def edges(span: Span, now: int) -> tuple[int, int, int]:
    """
    Return when *now*'s calendar period began, when it ends, and when the one after it
    does, in ms since the epoch.

    A minute has none, nor has an open answer: (0, 0, 0).
    """
    return _edges(span, now // HOUR)


@lru_cache(maxsize=16)
def _edges(span: Span, hour: int) -> tuple[int, int, int]:
    today = datetime.fromtimestamp(hour * HOUR / 1000, UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    match span:
        case Span.DAY:
            day = timedelta(days=1)
            return _ms(today), _ms(today + day), _ms(today + 2 * day)
        case Span.MONTH:
            first = today.replace(day=1)
            second = _next_month(first)
            return _ms(first), _ms(second), _ms(_next_month(second))
        case Span.MINUTE | Span.OPEN:
            return 0, 0, 0


def _next_month(first: datetime) -> datetime:
    return (first + timedelta(days=32)).replace(day=1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
