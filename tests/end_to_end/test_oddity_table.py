"""Every oddity of upstreams on every surface, streamed and whole: the third table."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.odd_matrix import OddMatrix, play
from tests.faults.oddities import Oddity, oddities
from tests.faults.shortcuts import play_shortcuts, shortened
from tests.faults.surfaces import BODIES

ODDITIES = oddities()
IDS = [f"{each.section} {each.kind} {each.name}" for each in ODDITIES]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> OddMatrix:
    """Play all oddities on one server, once."""
    return asyncio.run(play(tmp_path_factory.mktemp("oddities")))


@pytest.mark.parametrize("number", range(len(ODDITIES)), ids=IDS)
def test_oddity(number: int, played: OddMatrix) -> None:
    """
    What is odd but sound is told as what it means, on every surface; what is broken is
    an error there, which says why.
    """
    name = f"Odd{number}"
    findings = [each for each in played.findings if each.cell.id == name]

    assert findings
    assert not [problem for each in findings for problem in each.problems]


def test_shortcuts(tmp_path: Path) -> None:
    """
    The same where one quick provider is asked for the whole answer in one piece, on
    every surface.
    """
    findings = asyncio.run(play_shortcuts(tmp_path))

    assert len(findings) == len(shortened()) * len(BODIES) > 0
    assert not [problem for each in findings for problem in each.problems]


@pytest.mark.parametrize("number", range(len(ODDITIES)), ids=IDS)
def test_records(number: int, played: OddMatrix) -> None:
    """Who is odd but sound has won each race, has failed at none, and never rests."""
    odd: Oddity = ODDITIES[number]
    stats = played.stats[f"Odd{number}"]
    if odd.error is None:
        assert (stats["failures"], stats["status"]) == (0, "ready")
        assert stats["wins"] == stats["requests"] > 0
    if odd.note:
        assert odd.note in played.notes[f"Odd{number}"]
        assert stats["notes"][odd.note] == stats["wins"]
