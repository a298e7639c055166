"""Who races for one request: whom it names, and who starts for it."""

from typing import Generic

from attrs import define, field, frozen
from attrs.validators import ge, gt, optional

from .entrants import Entrant, R
from .resting import Probe
from .strategies import Policy, Strategy
from .streams import P


@frozen(kw_only=True)
class RaceOptions:
    """A request's own `race` object: it tightens what is configured. Seconds."""

    strategy: str | None = None
    first_token_timeout: float | None = field(default=None, validator=optional(gt(0)))
    max_parallel: int | None = field(default=None, validator=optional(ge(1)))
    deadline: float | None = field(default=None, validator=optional(gt(0)))


# What follows is made for every request, and nobody changes it; attrs' frozen records
# take three times as long to make.


@define(kw_only=True)
class Selection:
    """Whom a request names; *providers* is None where it names nobody."""

    providers: tuple[str, ...] | None = None
    race: RaceOptions = RaceOptions()


@frozen
class Skipped:
    """A provider that the request means and that does not start, and why."""

    id: str
    reason: str


@define(kw_only=True, eq=False)
class Lineup(Generic[R, P]):
    """
    The racers of one request in their order, and the providers that are left out.

    *probes* are its claims to try those that start at once and whose rest is over.
    """

    entrants: tuple[Entrant[R, P], ...]
    policy: Policy
    schedule: Strategy
    deadline: float | None = None
    skipped: tuple[Skipped, ...] = ()
    probes: tuple[Probe, ...] = ()

    @property
    def total_timeout(self) -> float:
        """The seconds that all tries together may take: the longest of the racers'."""
        return max([entrant.limits.total_timeout for entrant in self.entrants])

    def model_of(self, racer: str) -> str:
        """Return the model that the racer with this id is asked for."""
        for entrant in self.entrants:
            if entrant.id == racer:
                return entrant.model
        raise LookupError(racer)

    def release(self) -> None:
        """Give up the claims: others may try the providers whose rest is over."""
        for probe in self.probes:
            probe.release()
