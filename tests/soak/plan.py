"""What a race of the soak is made of, drawn from a seed: racers, troubles, a client."""

import random
from collections.abc import Mapping
from typing import Any

from attrs import asdict, frozen

from tests.rig.client import hello

from .troubled import EARLY, FIELD, LATE, WELL, Part

# Many, so that few of them are taken for broken for what chance has dealt them.
PROVIDERS = tuple(f"P{number}" for number in range(60))
# Nobody listens at their port.
REFUSING = tuple(f"R{number}" for number in range(6))
STATUSES = (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529)


@frozen
class Plan:
    """
    One race: how it is run, what each racer does, and how long its client stays: for
    so many *seconds*, or for so many *frames* of a stream, or to the end. *deadline* is
    what it asks the server for.
    """

    race: str
    stream: bool
    strategy: str
    parts: Mapping[str, Part]
    seconds: float | None
    frames: int | None
    deadline: float | None

    def body(self) -> dict[str, Any]:
        """Return the request, which tells the upstreams what to do."""
        parts = {racer: asdict(part) for racer, part in self.parts.items()}
        return hello(
            " ".join(self.parts),
            stream=self.stream,
            race={"strategy": self.strategy, "deadline": self.deadline},
            **{FIELD: {"race": self.race, "parts": parts}},
        )


def drawn(seed: int, number: int) -> Plan:
    """Return the plan of a race, always the same for a seed and a number."""
    rng = random.Random(f"{seed}/{number}")
    stream = rng.random() < 0.6
    racers = rng.sample(PROVIDERS, rng.randint(1, 4))
    if rng.random() < 0.1:
        racers[0] = rng.choice(REFUSING)
    rng.shuffle(racers)
    leaves = rng.choices(("", "in time", "in frames"), (80, 10, 10))[0]
    return Plan(
        race=f"{seed}.{number}",
        stream=stream,
        strategy=rng.choices(("race", "hedge", "fallback"), (70, 20, 10))[0],
        parts={racer: _part(rng, racer) for racer in racers},
        seconds=rng.uniform(0.0, 0.4) if leaves == "in time" else None,
        frames=rng.randint(0, 12) if leaves == "in frames" and stream else None,
        deadline=rng.uniform(0.05, 1.5) if rng.random() < 0.1 else None,
    )


def _part(rng: random.Random, racer: str) -> Part:
    if racer in REFUSING:
        return Part("refuses")
    kinds = rng.choices((WELL, EARLY, LATE), (60, 25, 15))[0]
    count = rng.randint(1, 30)
    return Part(
        kind=rng.choice(list(kinds)),
        delay=rng.choice((0.0, rng.expovariate(30), rng.uniform(0.0, 0.6))),
        gap=rng.choice((0.0, rng.uniform(0.0, 0.02))),
        size=rng.choice((0, 0, rng.randint(5, 500))),
        count=count,
        spoken=rng.randint(1, count),
        status=rng.choice(STATUSES),
    )
