"""Who of the eligible races for a request: who does not rest, in which order, when."""

from collections.abc import Sequence
from time import perf_counter

from providers import ChatPiece, ChatRequest, Result, TaskRequest
from server.config.settings import Config, KeySettings

from .catalog import Catalog
from .eligibility import Calls, Eligibility, Eligible
from .entrants import Alone, ChatEntrant, Entrant, R, TaskEntrant, TokenCounter
from .health import Health
from .lineup import Lineup, Selection, Skipped
from .resting import Probe
from .strategies import STRATEGIES, Budget, Opening, Parallel
from .streams import P

# A provider that answers within this part of the time for a first token is asked for an
# answer in one piece: it needs no time-out for its first token.
QUICK = 0.1


class Chooser:
    """
    Chooses the racers of each request from a *catalog*, as *config* says.

    *health* has the providers' records; *budget* pays for hedges.
    """

    def __init__(
        self, config: Config, catalog: Catalog, health: Health, budget: Budget
    ) -> None:
        self.catalog = catalog
        self._eligibility = Eligibility(config, catalog)
        self._max_racers = config.race.max_racers
        self._health = health
        self._budget = budget
        self._chats = Calls[ChatRequest, ChatPiece](ChatEntrant, Alone)
        self._tasks = Calls[TaskRequest, Result](TaskEntrant)

    def lineup(
        self,
        chat: ChatRequest,
        selection: Selection,
        client: KeySettings | None = None,
    ) -> Lineup[ChatRequest, ChatPiece]:
        """
        Return who races for *chat*.

        The providers are those that the request names; or else those of its model's
        `[models.*]` table, or the configured default. Where there is none of these,
        nobody wants a race: the providers that have the model are tried one by one.

        Raises a GatewayError that says who can't race, and why.
        """
        eligible = self._eligibility.find(self._chats, chat, selection, client)
        alone = None if chat.stream else eligible.alone
        if alone is not None and not self._is_quick(alone):
            alone = None
        return self._lineup(eligible, selection, alone)

    def task_lineup(
        self,
        task: TaskRequest,
        selection: Selection,
        client: KeySettings | None = None,
    ) -> Lineup[TaskRequest, Result]:
        """Return who races for a task that is no chat; raises as `lineup` does."""
        eligible = self._eligibility.find(self._tasks, task, selection, client)
        return self._lineup(eligible, selection, None)

    def counters(
        self, chat: ChatRequest, selection: Selection, client: KeySettings | None = None
    ) -> Lineup[ChatRequest, Result]:
        """
        Return those who would race for *chat* and can count its tokens; raises as
        `lineup` does. A count claims no probes, and pays for no hedges.
        """
        eligible = self._eligibility.find(self._chats, chat, selection, client)
        policy = eligible.policy
        counters = (
            TokenCounter(e.provider, e.model, e.limits)
            for e in self._awake(eligible.able, perf_counter())[0]
            if e.provider.counts
        )
        return Lineup(
            entrants=tuple(counters)[: self._max_racers],
            policy=policy,
            schedule=Parallel(STRATEGIES[policy.strategy].at_once(policy)),
            deadline=selection.race.deadline,
        )

    def _lineup(
        self,
        eligible: Eligible[R, P],
        selection: Selection,
        alone: Entrant[R, P] | None,
    ) -> Lineup[R, P]:
        now = perf_counter()
        ready, resting = self._awake(eligible.able, now)
        policy = eligible.policy
        strategy = STRATEGIES[policy.strategy]
        if eligible.by_record or strategy.by_record:
            ready = self._health.best_first(ready)
        if eligible.by_record:
            # The embedded engine may be quickest, but is the last resort.
            ready.sort(key=lambda entrant: self.catalog.is_embedded(entrant.provider))
        # Requests that name too many are refused: these are others'.
        ready = ready[: self._max_racers] if alone is None else [alone]
        opening = Opening(policy, ready, self._health, self._budget)
        return Lineup(
            entrants=tuple(ready),
            policy=policy,
            schedule=strategy.begin(opening),
            deadline=selection.race.deadline,
            skipped=(*eligible.unable, *resting),
            probes=self._claims(ready[: strategy.at_once(policy)], now),
        )

    def _awake(
        self, entrants: Sequence[Entrant[R, P]], now: float
    ) -> tuple[list[Entrant[R, P]], list[Skipped]]:
        """Return those that don't rest, or all if all do; and those skipped."""
        of = self._health.of
        awake = [e for e in entrants if of(e.id).rest.available(now)]
        if not awake or len(awake) == len(entrants):
            return list(entrants), []
        ids = {entrant.id for entrant in awake}
        return awake, [Skipped(e.id, "resting") for e in entrants if e.id not in ids]

    def _is_quick(self, alone: Entrant[R, P]) -> bool:
        record = self._health.of(alone.id)
        return record.whole(alone.model, alone.limits.first_token_timeout * QUICK)

    def _claims(
        self, entrants: Sequence[Entrant[R, P]], now: float
    ) -> tuple[Probe, ...]:
        rests = [self._health.of(entrant.id).rest for entrant in entrants]
        return tuple([claim for rest in rests if (claim := rest.claim(now))])
