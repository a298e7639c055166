"""The soak, shortened: `make soak` is the long one."""

from pathlib import Path

from tests.soak.__main__ import prepared, report

SECONDS = 8.0
# Bytes a race, which were missed once.
LEAK = 5000
SEED = 1


async def test_races_with_random_troubles_and_clients_that_leave(
    tmp_path: Path,
) -> None:
    """
    Every whole answer is the one that its winner sent, every error has its trouble, and
    the server holds in the end what it held before: tasks, descriptors, memory.
    """
    async with prepared(SEED, tmp_path) as soak:
        await soak.run(SECONDS)

    assert not soak.wrong, report(soak)
    assert soak.outcomes.keys() >= {
        "won, streamed",
        "won, not streamed",
        "interrupted",
        "nobody won",
        "client left",
    }


async def test_a_leak_is_noticed(tmp_path: Path) -> None:
    """Of a server that loses 5 KB with each race that is told, and nothing else."""
    async with prepared(SEED, tmp_path, LEAK) as soak:
        await soak.run(SECONDS)

    (told,) = soak.wrong
    assert told.startswith("the server has grown by"), report(soak)
