"""Who races for one request: whom it names, and what becomes of that."""

from typing import Any

from attrs import Factory, define, field, frozen
from attrs.validators import ge, gt, optional

from providers import ChatRequest, Limits, Provider, TaskRequest

from .resting import Probe
from .schedule import Schedule

Request = ChatRequest | TaskRequest


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
class Entrant:
    """A provider in one race, with the model that it will be asked for."""

    provider: Provider
    model: str
    limits: Limits
    # Whether the client gives it less time than the configuration does.
    hurried: bool = False
    # A race asks for it all the time.
    id: str = field(
        default=Factory(lambda self: self.provider.id, takes_self=True), init=False
    )

    def stream(self, request: Request) -> Any:
        """Return the stream of what *request* asks for: chunks, images, bytes."""
        return self.provider.stream(request, self.model, self.limits)


@frozen
class Alone(Entrant):
    """
    A provider without a rival, asked for all of an answer at once: nobody has to be cut
    off at a first token.
    """

    def stream(self, request: Any) -> Any:
        return self.provider.whole(request, self.model, self.limits)


@frozen
class Counter(Entrant):
    """A provider that is asked how many tokens a chat has, in place of an answer."""

    def stream(self, request: Any) -> Any:
        return self.provider.count(request, self.model, self.limits)


@frozen
class Skipped:
    """A provider that was asked for and does not start, and why."""

    id: str
    reason: str


@frozen(kw_only=True)
class Policy:
    """
    How a race is run. *delay* is what `hedge_delay` says: seconds, or a quantile of
    the provider's own times; *budget* the extra calls per request, at most.
    """

    strategy: str
    parallel: int
    delay: float | str
    budget: float

    @property
    def at_once(self) -> int:
        """How many start together, however that goes."""
        return 1 if self.strategy == "hedge" else self.parallel


@define(kw_only=True, eq=False)
class Lineup:
    """
    The racers of one request in their order, and who of those asked for is not there.

    *probes* are its claims to those that start at once and whose rest is just over.
    """

    entrants: tuple[Entrant, ...]
    policy: Policy
    schedule: Schedule
    deadline: float | None = None
    skipped: tuple[Skipped, ...] = ()
    probes: tuple[Probe, ...] = ()

    def model_of(self, racer: str) -> str:
        """Return the model that the racer with this id is asked for."""
        for entrant in self.entrants:
            if entrant.id == racer:
                return entrant.model
        raise LookupError(racer)

    def release(self) -> None:
        """Let others try those whose rest is over, too: these have been, or won't."""
        for probe in self.probes:
            probe.release()
