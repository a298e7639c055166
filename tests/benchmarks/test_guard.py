"""The guard on instructions, on counts made up for it."""

import tomllib

from benchmarks.contenders import RELAY, SERVER
from benchmarks.guard import LIMITS, judged
from benchmarks.instructions import UNITS


def test_the_guard_tells_more_than_the_limit_from_less() -> None:
    """A ratio above its limit fails and is named; one that is equal does not."""
    counts = {
        "unary": {SERVER: [150.0], RELAY: [100.0]},
        "alone": {SERVER: [161.0], RELAY: [100.0]},
    }
    lines, kept = judged(counts, {"unary": 1.5, "alone": 1.6})
    assert not kept
    assert ["ok" in line for line in lines] == [True, False]
    assert judged(counts, {"unary": 1.5, "alone": 1.7})[1]


def test_each_unit_that_is_counted_has_a_limit() -> None:
    """The file of limits names what is counted, and nothing else."""
    assert tomllib.loads(LIMITS.read_text()).keys() == UNITS.keys()
