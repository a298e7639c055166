"""Faults from elsewhere, while a healthy client streams."""

from pathlib import Path

from tests.faults.elsewhere import attacked, play


async def test_healthy_client_notices_nothing(tmp_path: Path) -> None:
    """
    Bombs without a key, bodies that drip, 4,000 connections, deep JSON, endless lists
    and wrong keys: its stream and the probes go on, and memory stays within its bound.
    """
    async with attacked(tmp_path) as server:
        trials = await play(server)

    assert [problem for trial in trials for problem in trial.wrong] == [], trials
