"""What calls to providers cost: tokens as their upstreams count them, and money.

Money is counted in whole nano-dollars, so that sums are exact.
"""

from collections.abc import Mapping
from typing import Any

from attrs import define, frozen

from providers import Usage
from server.json_types import JSONMapping

NANO = 1_000_000_000
# Dollars per million tokens are so many times as many nano-dollars per token.
PER_TOKEN = NANO / 1_000_000
# No call takes more tokens; whoever says so would spoil all sums, and SQLite's numbers.
MOST_TOKENS = 10**9
MOST_DOLLARS = 10**6


@define
class Tokens:
    """
    The tokens of one call: *cached* and *written* (to a cache) are some of *input*,
    *reasoning* some of *output*.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0


@frozen
class Tariff:
    """
    What a model's tokens cost, in nano-dollars each. *own*: the configuration says so,
    which counts more than what the upstream says of a call's cost.
    """

    input: float
    output: float
    cached: float
    written: float
    own: bool = False

    def nanos(self, tokens: Tokens) -> int:
        plain = tokens.input - tokens.cached - tokens.written
        return round(
            max(plain, 0) * self.input
            + tokens.cached * self.cached
            + tokens.written * self.written
            + tokens.output * self.output
        )


def tariff(
    given: float,
    made: float,
    cached: float | None = None,
    written: float | None = None,
    *,
    own: bool = False,
) -> Tariff:
    """
    Return the tariff of dollars per million tokens: those *given* to the model, and
    those *made* by it. Tokens of a cache cost as any, unless somebody knows better.
    """
    return Tariff(
        given * PER_TOKEN,
        made * PER_TOKEN,
        (given if cached is None else cached) * PER_TOKEN,
        (given if written is None else written) * PER_TOKEN,
        own,
    )


def tokens_of(usage: Usage) -> Tokens:
    """Return what an upstream has counted, whatever it says besides."""
    if not usage.extra:
        taken, said = usage.prompt_tokens, usage.completion_tokens
        if 0 <= taken <= MOST_TOKENS and 0 <= said <= MOST_TOKENS:
            return Tokens(taken, said)
    prompt = usage.extra.get("prompt_tokens_details")
    made = usage.extra.get("completion_tokens_details")
    given = _bounded(usage.prompt_tokens)
    cached = _bounded(
        _detail(prompt, "cached_tokens") or usage.extra.get("prompt_cache_hit_tokens")
    )
    return Tokens(
        input=given,
        output=_bounded(usage.completion_tokens),
        cached=min(cached, given),
        written=min(_bounded(_detail(prompt, "cache_write_tokens")), given),
        reasoning=_bounded(_detail(made, "reasoning_tokens")),
    )


def nanos_of(usage: Usage, price: Tariff | None) -> int | None:
    """
    Return what a call cost; None: nobody knows. Where the configuration has no price,
    the upstream's own figure, as OpenRouter gives it, is better than a list of prices.
    """
    if usage.extra and (price is None or not price.own):
        told = usage.extra.get("cost")
        if isinstance(told, int | float) and 0 <= told <= MOST_DOLLARS:
            return round(told * NANO)
    return None if price is None else price.nanos(tokens_of(usage))


def dollars(nanos: int) -> float:
    return nanos / NANO


def _detail(details: JSONMapping | None, name: str) -> Any:
    return details.get(name) if isinstance(details, Mapping) else None


def _bounded(count: Any) -> int:
    if type(count) is int or isinstance(count, float):
        return int(count) if 0 < count <= MOST_TOKENS else 0
    return 0
