"""The strategies of a race: who starts when. Pure: given times, they answer times."""

from .budget import SAVED, Budget
from .fallback import Fallback
from .hedge import Hedge
from .parallel import Parallel
from .strategy import Candidate, Opening, Policy, Records, Run, Strategy, count_running

# By name, from the cheapest to the dearest: a request may choose one that costs less.
STRATEGIES: dict[str, type[Strategy]] = {
    Fallback.name: Fallback,
    Hedge.name: Hedge,
    Parallel.name: Parallel,
}

__all__ = [
    "SAVED",
    "STRATEGIES",
    "Budget",
    "Candidate",
    "Fallback",
    "Hedge",
    "Opening",
    "Parallel",
    "Policy",
    "Records",
    "Run",
    "Strategy",
    "count_running",
]
