"""What requests have used, added up by key, provider, model and day."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Protocol

import orjson
from attrs import define, field, frozen

from providers import Attempt

from .channel import USAGE, Channel
from .costs import Tariff, Tokens, nanos_of, tokens_of

DIMENSIONS = ("key", "provider", "model", "day")
COUNTS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "wasted_tokens_at_least",
    "nanodollars",
    "nanodollars_wasted",
    "unpriced_requests",
)
# The values of DIMENSIONS, "" for a request without a key; and those of COUNTS.
Place = tuple[str, str, str, str]
Counts = tuple[int, ...]
Sums = dict[Place, Counts]
SECONDS_A_DAY = 86_400
# What the keeper is asked beside a Question, and what it answers to that if it can't.
TROUBLE = b"null"
NO_SUMS = b"null"
Priced = Callable[[str, str], Tariff | None]


class Called(Protocol):
    """A lane, as far as it tells what a call has used."""

    @property
    def id(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def attempt(self) -> Attempt: ...


@define
class Charge:
    """
    What one call of a race has used. *answered*: it was the request's answer, or else
    its tokens were wasted, "at least". *nanos* is its price, None if nobody knows it.
    """

    provider: str
    model: str
    answered: bool
    tokens: Tokens
    nanos: int | None

    @property
    def wasted(self) -> int:
        return 0 if self.answered else self.tokens.input + self.tokens.output

    def add_to(self, counts: list[int]) -> None:
        """Add to COUNTS what it comes to."""
        tokens = self.tokens
        if not self.answered:
            counts[5] += self.wasted
            counts[7] += self.nanos or 0
            return
        counts[0] += 1
        counts[1] += tokens.input
        counts[2] += tokens.output
        if tokens.cached or tokens.reasoning:
            counts[3] += tokens.cached
            counts[4] += tokens.reasoning
        if self.nanos is None:
            counts[8] += 1
        else:
            counts[6] += self.nanos


def charges(
    lanes: Iterable[Called], winner: Called | None, priced: Priced, *, chat: bool
) -> list[Charge]:
    """
    Return what the calls of a race have used; *priced* gives a provider's and a model's
    tariff. Where an upstream has not counted, the tokens of a *chat* count that came.
    """
    return [_charge(lane, priced, lane is winner, chat) for lane in lanes]


def _charge(lane: Called, priced: Priced, answered: bool, chat: bool) -> Charge:  # noqa: FBT001 - named above
    attempt, price = lane.attempt, priced(lane.id, lane.model)
    if attempt.usage is not None:
        tokens, nanos = tokens_of(attempt.usage), nanos_of(attempt.usage, price)
    else:
        tokens = Tokens(output=attempt.tokens if chat else 0)
        # A price by the token says nothing of an image.
        nanos = price.nanos(tokens) if price is not None and chat else None
    return Charge(lane.id, lane.model, answered, tokens, nanos)


@define(eq=False)
class Ledger:
    """What has been used and is not stored yet."""

    _sums: dict[Place, list[int]] = field(factory=dict, init=False)

    def at(self, place: Place) -> list[int]:
        """Return the COUNTS of *place*, to be added to."""
        try:
            return self._sums[place]
        except KeyError:
            self._sums[place] = new = [0] * len(COUNTS)
            return new

    def add(self, place: Place, counts: Sequence[int]) -> None:
        mine = self.at(place)
        for i, count in enumerate(counts):
            mine[i] += count

    def sums(self) -> Sums:
        return {place: tuple(counts) for place, counts in self._sums.items()}

    def take(self) -> Sums:
        """Return all, and begin anew."""
        taken = self.sums()
        self._sums.clear()
        return taken

    def put_back(self, sums: Sums) -> None:
        """Add what was taken and could not be stored."""
        for place, counts in sums.items():
            self.add(place, counts)


@frozen(kw_only=True)
class Question:
    """
    Which sums are wanted: those of one *key*, None: of all; by some of DIMENSIONS; of
    the days from *since* to *until*, as "2026-11-28", "" where there is no bound.
    """

    key: str | None = None
    by: tuple[str, ...] = DIMENSIONS
    since: str = ""
    until: str = ""

    def place(self, place: Place) -> Place | None:
        """Return where the sums of *place* belong; None: they are not wanted."""
        day = place[-1]
        if self.key is not None and place[0] != self.key:
            return None
        if day < self.since or (self.until and day > self.until):
            return None
        key, provider, model, day = (
            value if name in self.by else ""
            for name, value in zip(DIMENSIONS, place, strict=True)
        )
        return key, provider, model, day

    def json(self) -> bytes:
        return orjson.dumps((self.key, self.by, self.since, self.until))


def question_of(data: bytes) -> Question:
    key, by, since, until = orjson.loads(data)
    return Question(key=key, by=tuple(by), since=since, until=until)


def written(sums: Sums) -> bytes:
    return orjson.dumps(list(sums.items()))


def read(data: bytes) -> Sums:
    return {tuple(place): tuple(counts) for place, counts in orjson.loads(data)}


class SharedUsage:
    """
    What `/v1/usage` shows, in whichever process: what the keeper has. *ledger* is the
    keeper's own where that is this process.
    """

    def __init__(self, channel: Channel, ledger: Ledger | None = None) -> None:
        self._channel = channel
        self._ledger = ledger
        self._today = Today()

    def add(self, key: str | None, used: Iterable[Charge]) -> None:
        """Add what a request with this *key* has used, so that none of it is lost."""
        today = self._today()
        for charge in used:
            if not (charge.answered or charge.wasted or charge.nanos):
                continue
            place = (key or "", charge.provider, charge.model, today)
            if self._ledger is not None:
                charge.add_to(self._ledger.at(place))
            elif self._channel.wanted(USAGE):
                counts = [0] * len(COUNTS)
                charge.add_to(counts)
                self._channel.publish(USAGE, orjson.dumps((place, counts)))

    async def sums(self, question: Question) -> Sums | None:
        """Return what the keeper answers; None: it can't, or not in time."""
        answer = await self._channel.ask(USAGE, question.json())
        return None if answer in (None, NO_SUMS) else read(answer)

    async def trouble(self) -> str:
        """Return why what was used can't be stored now; "": it can."""
        answer = await self._channel.ask(USAGE, TROUBLE)
        return "" if answer is None else str(orjson.loads(answer))


@define(eq=False)
class Today:
    """Tells the date in UTC, as 2026-11-28, which is written once a day."""

    _begun: float = 0.0
    _date: str = ""

    def __call__(self) -> str:
        now = time()
        if not 0 <= now - self._begun < SECONDS_A_DAY:
            self._begun = now - now % SECONDS_A_DAY
            self._date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
        return self._date
