"""What the last races say of each provider, minute by minute."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from time import time

import orjson
from attrs import define, field

from .payloads import (
    FailurePayload,
    MinutePayload,
    ProviderSummaryPayload,
    RacePayload,
    RacerPayload,
    SummaryPayload,
)

MINUTES = 60
# Races that are read in one turn of the event loop.
AT_A_TIME = 50


@define
class Minute:
    """What became of one provider's starts in a minute; *ttfts* are milliseconds."""

    requests: int = 0
    wins: int = 0
    failures: int = 0
    ttfts: list[float] = field(factory=list)

    def payload(self, start: int) -> MinutePayload:
        return {
            "start": start,
            "requests": self.requests,
            "wins": self.wins,
            "failures": self.failures,
            "p50": quantile(self.ttfts, 50),
            "p90": quantile(self.ttfts, 90),
            "p99": quantile(self.ttfts, 99),
        }


@define
class ProviderSummary:
    """One provider's last hour."""

    minutes: defaultdict[int, Minute] = field(factory=lambda: defaultdict(Minute))
    wasted: int = 0
    last_failure: FailurePayload | None = None

    def add(self, racer: RacerPayload, created: float) -> None:
        """Take in one start."""
        minute = self.minutes[int(created // 60) * 60]
        minute.requests += 1
        minute.wins += racer["outcome"] == "won"
        self.wasted += racer.get("tokens_wasted_at_least", 0)
        first, start = racer.get("first_token_ms"), racer.get("start_ms")
        if first is not None and start is not None:
            minute.ttfts.append(first - start)
        if racer["outcome"] == "failed":
            minute.failures += 1
            if self.last_failure is None or self.last_failure["at"] < created:
                self.last_failure = {
                    "reason": racer.get("reason") or "",
                    "status": racer.get("status"),
                    "at": created,
                }

    def payload(self, name: str) -> ProviderSummaryPayload:
        return {
            "id": name,
            "minutes": [m.payload(at) for at, m in sorted(self.minutes.items())],
            "tokens_wasted_at_least": self.wasted,
            "last_failure": self.last_failure,
        }


async def summarized(races: bytes) -> SummaryPayload:
    """Return the last hour of *races*, a `RacesPayload`, provider by provider."""
    since = (time() // 60 - MINUTES + 1) * 60
    providers: defaultdict[str, ProviderSummary] = defaultdict(ProviderSummary)
    stories: Sequence[RacePayload] = orjson.loads(races)["data"]
    for number, story in enumerate(stories):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
        if story["created"] >= since:
            started = [r for r in story["racers"] if r["outcome"] != "waiting"]
            for racer in started:
                providers[racer["id"]].add(racer, story["created"])
    data = [summary.payload(name) for name, summary in sorted(providers.items())]
    return {"object": "list", "data": data}


def quantile(values: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank quantile."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1], 2) if ordered else None
