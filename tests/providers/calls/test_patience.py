"""When an answer is too late, as a table of times: no clock, no sleep."""

import pytest

from providers import Limits
from providers.calls.answer import SAID, SILENT, SPOKE, State
from providers.calls.patience import Patience

LIMITS = Limits(
    connect_timeout=5, first_token_timeout=30, idle_timeout=60, total_timeout=600
)
# Limits that differ, the state, since when, when it is due, and what is said then.
Row = tuple[dict[str, float], State, float, float, str]
ROWS: dict[str, Row] = {
    "first token": ({}, SILENT, 100, 130, "no token within 30 s"),
    "silent, but heard": ({}, SILENT, 120, 130, "no token within 30 s"),
    "silent, in all": (
        {"total_timeout": 20},
        SILENT,
        100,
        120,
        "not done within 20 s",
    ),
    "spoke": ({}, SPOKE, 150, 210, "silent for 60 s"),
    "spoke, in all": ({}, SPOKE, 690, 700, "not done within 600 s"),
    "spoke, patient": (
        {"idle_timeout": 1000},
        SPOKE,
        110,
        700,
        "not done within 600 s",
    ),
    "said": ({}, SAID, 150, 155, "silent for 60 s"),
    "said, short of time": ({"idle_timeout": 2}, SAID, 150, 152, "silent for 2 s"),
    "said, in all": ({}, SAID, 698, 700, "not done within 600 s"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_deadlines(row: Row) -> None:
    """Each state has its deadline, and its words for who is past it."""
    limits, state, since, due, words = row
    patience = Patience(LIMITS.tightened(**limits), 100, 100, 5)
    if "idle_timeout" in limits and limits["idle_timeout"] > LIMITS.idle_timeout:
        patience = Patience(Limits(**limits), 100, 100, 5)

    assert patience.due(state, since) == due
    assert patience.lateness(state, due) == words


def test_what_was_waited_before_counts_in_all() -> None:
    """A stream that follows an answer in one piece has its own first token's time."""
    patience = Patience(LIMITS, begun=100, started=130, last_words=5)

    assert patience.due(SILENT, 130) == 160
    assert patience.due(SPOKE, 690) == 700


@pytest.mark.parametrize(
    ("limits", "connect", "answer"),
    [
        ({}, 5, 30),
        ({"first_token_timeout": 2}, 2, 2),
        ({"total_timeout": 3}, 3, 3),
        ({"total_timeout": 10}, 5, 10),
    ],
)
def test_opening(limits: dict[str, float], connect: float, answer: float) -> None:
    """No connection is waited for longer than its answer would be."""
    patience = Patience(LIMITS.tightened(**limits), 0, 0, 5)

    assert (patience.connect_within, patience.answer_within) == (connect, answer)
