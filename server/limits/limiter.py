"""The limits of each request: reserved, settled, and told in the answer's headers."""

from collections.abc import Sequence
from math import ceil
from time import time
from typing import Protocol

from attrs import define, field, frozen

from providers import ChatRequest, TaskRequest
from server.config.settings import KeySettings
from server.errors import LimitReached, QuotaReached

from .counters import Decision, Standing
from .estimate import Answers, input_tokens
from .limit import NANODOLLARS, Amounts, Limit, Span, Unit, limits_of
from .store import LimitStore, MemoryStore

# ms after which an answer at once may be over: nobody knows when one will be.
SOON = 1000
# Clients whose last answers are remembered.
REMEMBERED = 10_000


@frozen
class Price:
    """Nano-dollars of a token, in and out."""

    input: float = 0.0
    output: float = 0.0


class Contender(Protocol):
    """Who may be asked, and would be paid."""

    @property
    def id(self) -> str: ...

    @property
    def model(self) -> str: ...


@frozen
class Quote:
    """
    What a request may cost: *start* racers at once, of *prices* in their order;
    *tokens* in; at most *allowed* out, if its request says so.
    """

    tokens: int
    allowed: int | None
    start: int
    prices: Sequence[Price]


@define(eq=False)
class Client:
    """What is remembered of one key: its answers' lengths, and how far it has got."""

    limits: tuple[Limit, ...]
    answers: Answers = field(factory=Answers, init=False)
    decision: Decision = field(default=Decision(()), init=False)
    decided: float = field(default=0.0, init=False)

    def most(self, unit: Unit) -> int:
        """Return the smallest of the limits of a unit; 0: there is none."""
        return min((each.most for each in self.limits if each.unit is unit), default=0)

    def note(self, decision: Decision) -> None:
        self.decision, self.decided = decision, time()

    def standing(self, unit: Unit) -> Standing | None:
        """Return how far the soonest limit of a unit is used, by now."""
        for limit in self.limits:
            if limit.unit is unit:
                return self._now(limit)
        return None

    def _now(self, limit: Limit) -> Standing:
        passed = int((time() - self.decided) * 1000)
        for standing in self.decision.standings:
            if standing.limit.name == limit.name:
                left = standing.resets_in - passed
                used = standing.used if left > 0 else 0
                return Standing(limit, used, max(left, 0))
        return Standing(limit, 0, 0)


@define(eq=False)
class Reservation:
    """What one request may use, until it is settled, once."""

    id: str
    key: str
    client: Client
    quote: Quote
    _store: LimitStore
    _racers: int
    _settled: bool = field(default=False, init=False)

    async def extend(self, running: int) -> bool:
        """Say whether one more racer may start, so that *running* then are."""
        if running <= self._racers:
            return True
        price = max((p.input for p in self.quote.prices), default=0.0)
        more = Amounts(0, self.quote.tokens, ceil(price * self.quote.tokens))
        decision = await self._store.reserve(
            self.key, self.id, self.client.limits, more
        )
        if decision.refused_by is not None:
            return False
        self.client.note(decision)
        self._racers = running
        return True

    def settle(self, tokens: int, output: int, nanodollars: int) -> None:
        """Count what the request has really used, in place of what was reserved."""
        if self._settled:
            return
        self._settled = True
        if output:
            self.client.answers.add(output)
        used = Amounts(1, tokens, nanodollars)
        self._store.settle(self.key, self.id, self.client.limits, used)


@define(eq=False)
class Limiter:
    """Lets requests in as long as their keys' limits allow it."""

    store: LimitStore = field(factory=MemoryStore)
    _clients: dict[str, Client] = field(factory=dict, init=False)

    async def reserve(self, id: str, key: KeySettings, quote: Quote) -> Reservation:  # noqa: A002
        """Let the request *id* in. Raises LimitReached, and StateUnavailable."""
        client = self.client(key)
        amounts, least = _amounts(client, quote)
        decision = await self.store.reserve(key.id, id, client.limits, amounts)
        client.note(decision)
        if decision.refused_by is not None:
            raise _refusal(decision.refused_by, amounts, least)
        return Reservation(id, key.id, client, quote, self.store, quote.start)

    def client(self, key: KeySettings) -> Client:
        """Return what is remembered of *key*."""
        client = self._clients.pop(key.sha256, None)
        limits = limits_of(key)
        if client is None:
            client = Client(limits)
        client.limits = limits
        self._clients[key.sha256] = client  # as the last one used
        if len(self._clients) > REMEMBERED:
            del self._clients[next(iter(self._clients))]
        return client


def allowed_output(request: ChatRequest | TaskRequest) -> int | None:
    """Return how many tokens an answer may have, if its request says so."""
    if not isinstance(request, ChatRequest):
        return 0
    most = request.max_completion_tokens or request.max_tokens
    return None if most is None else most * (request.n or 1)


def quote(
    requests: Sequence[ChatRequest | TaskRequest], start: int, prices: Sequence[Price]
) -> Quote:
    """Return what requests that race as one may take."""
    outputs = [allowed_output(request) for request in requests]
    known = [each for each in outputs if each is not None]
    allowed = sum(known) if len(known) == len(outputs) else None
    return Quote(sum(map(input_tokens, requests)), allowed, start, prices)


def _amounts(client: Client, quote: Quote) -> tuple[Amounts, Amounts]:
    """Return what is reserved: in all, and for the input alone, which is certain."""
    tokens = quote.tokens * quote.start
    paid = quote.prices[: quote.start]
    money = ceil(sum(price.input * quote.tokens for price in paid))
    least = Amounts(1, tokens, money)
    most = client.most(Unit.TOKENS)
    output = client.answers.expected(quote.allowed, most or 10 * NANODOLLARS)
    if most:
        output = min(output, max(most - tokens, 0))
    dearest = max((price.output for price in quote.prices), default=0.0)
    return Amounts(1, tokens + output, money + ceil(dearest * output)), least


def _refusal(standing: Standing, amounts: Amounts, least: Amounts) -> LimitReached:
    error = _reached(standing, amounts, least)
    error.limit = standing.limit.name
    return error


def _reached(standing: Standing, amounts: Amounts, least: Amounts) -> LimitReached:
    limit = standing.limit
    wanted = amounts.of(limit.unit)
    told = _told(standing, wanted)
    if limit.span in (Span.DAY, Span.MONTH):
        return QuotaReached(
            f"This API key has used what it may use in a {limit.span}: {told}",
            headers={"X-Should-Retry": "false"},
        )
    if least.of(limit.unit) > limit.most:
        error = LimitReached(
            f"Request too large for this API key: {told} The input must be smaller.",
            headers={"X-Should-Retry": "false"},
        )
    else:
        wait = standing.resets_in or SOON
        error = LimitReached(
            f"Rate limit reached for this API key: {told} Please try again in"
            f" {wait / 1000:.3f}s.",
            headers={
                "Retry-After": str(ceil(wait / 1000)),
                "Retry-After-Ms": str(wait),
            },
        )
    error.type = "tokens" if limit.unit is Unit.TOKENS else "requests"
    return error


def _told(standing: Standing, wanted: int) -> str:
    limit = standing.limit
    if limit.unit is Unit.MONEY:
        most, used = (f"${n / NANODOLLARS:g}" for n in (limit.most, standing.used))
        return f"{limit.name}: limit {most}, used {used}."
    return (
        f"{limit.name}: limit {limit.most}, used {standing.used}, requested {wanted}."
    )
