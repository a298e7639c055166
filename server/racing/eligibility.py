"""Who can race for a request: the providers that it means, and their models."""

from collections.abc import Callable, Sequence
from typing import Generic

from attrs import field, frozen

from providers import ChatRequest, Limits, ModelList, Provider, TaskRequest
from server.config.settings import Config, KeySettings, ModelSettings
from server.errors import (
    InvalidRequest,
    MissingCapability,
    ModelNotAllowed,
    ModelNotFound,
)

from .catalog import LONGEST_NAME, Catalog, may_ask_for
from .entrants import Entrant, R
from .lineup import RaceOptions, Selection, Skipped
from .strategies import STRATEGIES, Fallback, Policy
from .streams import P

# So many answers are remembered: clients may send any number of different names.
REMEMBERED = 500

Request = ChatRequest | TaskRequest
# All that decides who can race for a request.
Question = tuple[object, ...]


@frozen
class Candidates:
    """
    The providers that a request means, and its strategy. *by_record*: they are ordered
    by their records; *by_id*: the request has the provider's id as its model.
    """

    providers: Sequence[Provider]
    strategy: str
    by_record: bool = False
    by_id: bool = False


@frozen
class Eligible(Generic[R, P]):
    """
    Who can race for a kind of request, and which of the providers that it means can't.

    It holds as long as no list of models changes: *lists* has each, with the models
    that it had. *alone* is the only racer, if it can be asked for an answer in one
    piece.
    """

    policy: Policy
    by_record: bool
    able: Sequence[Entrant[R, P]]
    alone: Entrant[R, P] | None
    unable: Sequence[Skipped]
    lists: Sequence[tuple[ModelList, Sequence[str]]]

    @property
    def holds(self) -> bool:
        for models, names in self.lists:  # noqa: SIM110 - all() takes twice as long
            if models.models is not names:
                return False
        return True


@frozen
class Calls(Generic[R, P]):
    """How providers are called for one kind of request; and answers remembered."""

    entrant: Callable[[Provider, str, Limits, bool], Entrant[R, P]]
    alone: Callable[[Provider, str, Limits, bool], Entrant[R, P]] | None = None
    remembered: dict[Question, Eligible[R, P]] = field(factory=dict, init=False)

    def remember(self, question: Question, eligible: Eligible[R, P]) -> None:
        if len(self.remembered) >= REMEMBERED:
            self.remembered.clear()
        self.remembered[question] = eligible

    def only(self, entrants: Sequence[Entrant[R, P]]) -> Entrant[R, P] | None:
        """Return the only racer, if it can be asked for an answer in one piece."""
        first = entrants[0]
        if self.alone is None or len(entrants) > 1 or not first.provider.tells_all:
            return None
        return self.alone(first.provider, first.model, first.limits, first.hurried)


class Eligibility:
    """Finds who can race for a request in a *catalog*, as *config* says."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self._race = config.race
        self._models = config.models
        self._catalog = catalog

    def find(
        self,
        calls: Calls[R, P],
        request: R,
        selection: Selection,
        client: KeySettings | None,
    ) -> Eligible[R, P]:
        """
        Return who can race for a request.

        Most requests differ in their messages alone, which don't matter here, so the
        answer is remembered, unless it depends on which providers work at the moment.
        """
        race = selection.race
        question = (
            selection.providers,
            race.strategy,
            race.first_token_timeout,
            race.max_parallel,
            request.model,
            request.needs(),  # which names its task, too
            client,
        )
        eligible = calls.remembered.get(question)
        if eligible is None or not eligible.holds:
            eligible = self._choose(calls, request, selection, client)
            if not eligible.by_record and _is_short(selection):
                calls.remember(question, eligible)
        return eligible

    def _choose(
        self,
        calls: Calls[R, P],
        request: R,
        selection: Selection,
        client: KeySettings | None,
    ) -> Eligible[R, P]:
        name = request.model or ""
        if len(name) > LONGEST_NAME:
            raise InvalidRequest(
                f"'model' has more than {LONGEST_NAME} characters.", param="model"
            )
        own = self._models.get(name)
        model = own.model if own and own.model else name
        candidates = self._candidates(request, model, own, selection, client)
        if candidates.by_id:
            model = ""
        able, unable = _able(candidates.providers, request)
        lists = [self._catalog.models_list(provider.id) for provider in able]
        entrants = self._entrants(calls, able, model, request.task, selection.race)
        if not may_ask_for(client, name):
            entrants = _allowed(entrants, name, client)
        return Eligible(
            policy=self._policy(candidates.strategy, selection.race),
            by_record=candidates.by_record,
            able=entrants,
            alone=calls.only(entrants),
            unable=unable,
            lists=[(models, models.models) for models in lists],
        )

    def _candidates(
        self,
        request: Request,
        model: str,
        own: ModelSettings | None,
        selection: Selection,
        client: KeySettings | None,
    ) -> Candidates:
        race, catalog = self._race, self._catalog
        if selection.providers is not None:
            providers = catalog.named(selection.providers, client)
            return Candidates(providers, race.strategy)
        if own is not None:
            strategy = own.strategy or race.strategy
            return Candidates(catalog.configured(own.providers, client), strategy)
        provider = catalog.provider_in_model(model, client)
        if provider is not None:
            return Candidates([provider], Fallback.name, by_record=True, by_id=True)
        if race.default_providers:
            default = catalog.configured(race.default_providers, client)
            return Candidates(default, race.strategy)
        usable = catalog.usable(client)
        able = _able(usable, request)[0] if usable else []
        serving = catalog.serving(able, model, request.task, client)
        return Candidates(serving, Fallback.name, by_record=True)

    def _entrants(
        self,
        calls: Calls[R, P],
        able: Sequence[Provider],
        model: str,
        task: str,
        options: RaceOptions,
    ) -> list[Entrant[R, P]]:
        entrants = []
        for provider in able:
            upstream = self._catalog.upstream_model(provider, model, task)
            if upstream is not None:
                usual = provider.limits_for(task)
                limits = usual.tightened(
                    first_token_timeout=options.first_token_timeout
                )
                entrant = calls.entrant(provider, upstream, limits, limits != usual)
                entrants.append(entrant)
        if not entrants:
            names = " and ".join(provider.id for provider in able)
            raise ModelNotFound(
                f"{names} has no model {model!r}. GET /v1/providers/{able[0].id} lists"
                " what it has.",
                param="model",
            )
        return entrants

    def _policy(self, configured: str, options: RaceOptions) -> Policy:
        """Return the configured policy, or the cheaper one that a request asks for."""
        strategy = _cheaper(configured, options.strategy)
        race = self._race
        most = STRATEGIES[strategy].most_parallel(race.max_racers)
        return Policy(
            strategy=strategy,
            parallel=min(most, options.max_parallel or most),
            delay=race.hedge_delay,
            budget=race.hedge_budget,
        )


def _cheaper(configured: str, requested: str | None) -> str:
    if requested is None:
        return configured
    names = tuple(STRATEGIES)
    if requested not in names:
        raise InvalidRequest(
            f"'strategy' must be one of {', '.join(names)}.", param="race.strategy"
        )
    return min(configured, requested, key=names.index)


def _allowed(
    entrants: Sequence[Entrant[R, P]], name: str, client: KeySettings | None
) -> list[Entrant[R, P]]:
    """
    Leave out those whose model *client* may not ask for; a *name* that it may not ask
    for means nobody's. Raises ModelNotAllowed if nobody is left.
    """
    allowed = [e for e in entrants if not name and may_ask_for(client, e.model)]
    if not allowed:
        models = name or " or ".join(sorted({entrant.model for entrant in entrants}))
        raise ModelNotAllowed(
            f"This API key may not use the model {models!r}. GET /v1/models lists"
            " those that it may use.",
            param="model",
        )
    return allowed


def _is_short(selection: Selection) -> bool:
    """Say whether it may be remembered: ids can be spelled at any length."""
    return sum(map(len, selection.providers or ())) <= LONGEST_NAME


def _able(
    providers: Sequence[Provider], request: Request
) -> tuple[list[Provider], list[Skipped]]:
    """Return the providers that can do what *request* needs, and why others can't."""
    needs = request.needs()
    able, unable = [], []
    for provider in providers:
        if lacking := provider.lacks(needs):
            reason = f"can't do {' and '.join(sorted(lacking))}"
            unable.append(Skipped(provider.id, reason))
        else:
            able.append(provider)
    if not able:
        reasons = "; ".join(f"{each.id} {each.reason}" for each in unable)
        raise MissingCapability(f"No provider can serve this request: {reasons}.")
    return able, unable
