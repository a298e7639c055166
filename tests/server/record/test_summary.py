"""What the last races say of each provider, minute by minute."""

from time import time
from typing import Any

import orjson

from server.record.summary import quantile, summarized

NOW = int(time())


def story(created: float, *racers: dict[str, Any]) -> dict[str, Any]:
    return {"created": created, "racers": racers}


def lane(name: str, outcome: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "outcome": outcome, "start_ms": 10.0, **more}


async def test_minutes() -> None:
    """Starts are counted in their minutes; who only waited did not start."""
    older = NOW - 600
    races = {
        "data": [
            story(
                NOW,
                lane("A", "won", first_token_ms=110.0),
                lane("B", "failed", reason="timeout", tokens_wasted_at_least=3),
                {"id": "C", "outcome": "waiting"},
            ),
            story(
                older,
                lane("A", "won", first_token_ms=310.0),
                lane("B", "failed", reason="upstream_error", status=500),
            ),
            story(older, lane("A", "cut off", tokens_wasted_at_least=2)),
            story(NOW - 7200, lane("A", "won", first_token_ms=9000.0)),
        ]
    }

    told = await summarized(orjson.dumps(races))

    a, b = told["data"]
    assert (a["id"], b["id"]) == ("A", "B")
    assert [
        (m["start"], m["requests"], m["wins"], m["p50"], m["p99"]) for m in a["minutes"]
    ] == [(older // 60 * 60, 2, 1, 300.0, 300.0), (NOW // 60 * 60, 1, 1, 100.0, 100.0)]
    assert (a["tokens_wasted_at_least"], b["tokens_wasted_at_least"]) == (2, 3)
    assert a["last_failure"] is None
    assert b["last_failure"] == {"reason": "timeout", "status": None, "at": NOW}


def test_quantiles() -> None:
    """The nearest rank; of nothing there is none."""
    assert quantile([], 50) is None
    assert [quantile([4, 1, 3, 2], percent) for percent in (50, 90, 99)] == [2, 4, 4]
