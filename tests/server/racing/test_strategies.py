"""What each strategy says of itself, for those that know none by name."""

from typing import Any

import pytest

from server.racing.health import Health
from server.racing.strategies import STRATEGIES, Budget, Opening, Policy
from server.record.simulation import Take, simulate
from tests.rig.fakes import ScriptedRacer

NAMES = ["fallback", "hedge", "race"]
TAKES = {"a": Take(9.0), "b": Take(0.2, failed=True), "c": Take(0.4)}


def policy(strategy: str, **settings: Any) -> Policy:
    return Policy(strategy=strategy, **{"delay": 0.1, "budget": 9.0, **settings})


def test_order_of_price() -> None:
    """They stand from the cheapest to the dearest, each under its own name."""
    assert list(STRATEGIES) == NAMES
    assert [strategy.name for strategy in STRATEGIES.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_replay_starts_all_when_they_did(name: str) -> None:
    """What a race was recorded with leads to the same starts, and the same winner."""
    mine = policy(name)
    strategy = STRATEGIES[name]
    racers = [ScriptedRacer(name) for name in TAKES]
    opening = Opening(mine, racers, Health(), Budget())
    first = simulate(list(TAKES), TAKES, strategy.begin(opening))
    starts = {leg.id: leg.started for leg in first.legs}

    again = simulate(list(starts), TAKES, strategy.replay(mine, starts))

    assert {leg.id: leg.started for leg in again.legs} == pytest.approx(starts)
    assert again.winner == first.winner


@pytest.mark.parametrize(
    ("name", "parallel", "at_once"),
    [("fallback", 1, 1), ("hedge", 8, 1), ("race", 8, 8)],
)
def test_how_many(name: str, parallel: int, at_once: int) -> None:
    """How many may run at a time of eight, and how many of them start together."""
    strategy = STRATEGIES[name]

    assert strategy.most_parallel(8) == parallel
    assert strategy.at_once(policy(name, parallel=parallel)) == at_once


@pytest.mark.parametrize(
    ("name", "settings", "same"),
    [
        ("race", {"delay": "p50", "budget": 0.5}, True),
        ("fallback", {"delay": "p50", "budget": 0.5}, True),
        ("hedge", {}, True),
        ("hedge", {"delay": "p50"}, False),
        ("hedge", {"budget": 0.5}, False),
    ],
)
def test_which_settings_count(name: str, settings: dict[str, Any], same: bool) -> None:
    """Two policies run a race alike if they differ in nothing that counts for it."""
    other = policy(name, **settings)

    assert STRATEGIES[name].same(policy(name), other) == same


def test_titles() -> None:
    """The replay's table names each, with the settings that count."""
    titles = [STRATEGIES[name].title(policy(name)) for name in NAMES]

    assert titles == ["fallback", "hedge, delay 0.1, budget 9", "race"]
