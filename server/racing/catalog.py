"""Provider and model names to racers: who may be asked, and for which model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from time import perf_counter
from typing import Any

from attrs import frozen

from providers import ChatRequest, ModelList, Provider
from server.config.settings import (
    STRATEGIES,
    Config,
    KeySettings,
    ModelSettings,
    percent_of,
    same_id,
)
from server.errors import (
    InvalidRequest,
    MissingCapability,
    ModelNotFound,
    ProviderNotAllowed,
    ProviderNotFound,
    TooManyRacers,
)

from .health import Health
from .lineup import (
    Alone,
    Counter,
    Entrant,
    Lineup,
    Policy,
    RaceOptions,
    Request,
    Selection,
    Skipped,
)
from .resting import Probe
from .schedule import Budget, Hedge, Parallel, Schedule

VISION = frozenset({"vision"})
# Characters of a model's name: it is kept, in the records and in the log of races.
LONGEST_NAME = 500
# So many questions' answers are kept: what they name may be a client's.
REMEMBERED = 500
# Who answers within this part of the time for a first token is asked for an answer in
# one piece: nobody need watch over it.
QUICK = 0.1


@frozen
class _Chosen:
    """Who is asked, and how; *by_record*: nobody has said in which order."""

    providers: Sequence[Provider]
    strategy: str
    by_record: bool = False


@frozen
class _Asked:
    """
    Who can be asked, and who of those that are meant can't. It holds as long as the
    *lists* of models, each with what it had, are what they were.
    """

    policy: Policy
    by_record: bool
    able: Sequence[Entrant]
    alone: Alone | None
    unable: Sequence[Skipped]
    lists: Sequence[tuple[ModelList, Sequence[str]]]

    @property
    def holds(self) -> bool:
        return all(models.models is had for models, had in self.lists)


class Catalog:
    """
    The usable providers of one configuration, and the names of their models.

    *lists* has the live model list of each provider, *health* its record; *budget* is
    what hedges may still cost.
    """

    def __init__(
        self,
        config: Config,
        lists: Mapping[str, ModelList],
        health: Health,
        budget: Budget,
    ) -> None:
        self._config = config
        self._lists = lists
        self._health = health
        self._budget = budget
        self._by_name = {same_id(name): name for name in config.providers}
        self._answered: dict[Any, _Asked] = {}

    def usable(self, client: KeySettings | None = None) -> list[Provider]:
        """Return the providers that *client* may use and that work, as far as known."""
        return [
            entry.provider
            for entry in self._lists.values()
            if _may_use(client, entry.provider.id) and _works(entry)
        ]

    def provider(self, name: str, client: KeySettings | None = None) -> Provider:
        """
        Return the provider that *name* spells.

        Raises ProviderNotFound, saying what it lacks if it is off, and
        ProviderNotAllowed.
        """
        known = self._by_name.get(same_id(name))
        if known is None:
            raise ProviderNotFound(
                f"There is no provider {name!r}. GET /v1/providers lists them.",
                param="provider",
            )
        if not _may_use(client, known):
            raise ProviderNotAllowed(
                f"This API key may not use the provider {known!r}.", param="provider"
            )
        if known in self._config.off:
            raise ProviderNotFound(
                f"The provider {known!r} is off: {self._config.off[known]}.",
                param="provider",
            )
        return self._lists[known].provider

    def models_list(self, name: str) -> ModelList:
        """Return the live list of the provider with exactly this id."""
        return self._lists[name]

    def models_of(self, provider: Provider, task: str = "chat") -> list[str]:
        """Return the model names that clients may ask *provider* for, for a task."""
        names = list(provider.models_for(task))
        if task == "chat" and provider.settings.default_model:
            names.append(provider.settings.default_model)
        if task == "chat" or "chat" not in provider.tasks:
            names += self._lists[provider.id].models
        return list(dict.fromkeys(names))

    def models(
        self, client: KeySettings | None, named: Sequence[str] | None = None
    ) -> dict[str, list[str]]:
        """
        Return every model name with the ids that serve it, the user's own first; of
        those that are *named* only, if any are, and raise as for a race of theirs.
        """
        usable = self.usable(client) if named is None else self._named(named, client)
        names: dict[str, list[str]] = {}
        for name, model in self._config.models.items():
            ids = {same_id(provider) for provider in model.providers}
            if serving := [p.id for p in usable if same_id(p.id) in ids]:
                names[name] = serving
        for provider in usable:
            all_names = [*self.models_of(provider), *provider.models_for("images")]
            for name in dict.fromkeys(all_names):
                if name not in self._config.models:
                    names.setdefault(name, []).append(provider.id)
        return names

    def details(self, name: str, client: KeySettings | None) -> dict[str, Any]:
        """Return a provider as `GET /v1/providers/{id}` shows it; raises likewise."""
        provider = self.provider(name, client)
        chats = "chat" in provider.tasks
        paints = not provider.lacks(frozenset({"images"}))
        models = self.models_of(provider)
        sees = provider.settings.capabilities and not provider.lacks(VISION)
        return provider_payload(provider) | {
            "models": models,
            "image_models": self.models_of(provider, "images") if paints else [],
            "vision_models": models if sees and chats else [],
            "params": provider.params(),
            "stats": self._health.of(provider.id).payload(),
        }

    def lineup(
        self,
        request: Request,
        selection: Selection,
        client: KeySettings | None = None,
    ) -> Lineup:
        """
        Return who races for *request*.

        What decides, in this order: the request's own names, a `[models.*]` entry, the
        configured default; where nobody speaks, nobody asked for a race, and those who
        have the model are tried one after another.

        Raises a GatewayError that says who can't race, and why.
        """
        asked = self._asked(request, selection, client)
        now = perf_counter()
        ready, resting = self._awake(asked.able, now)
        policy = asked.policy
        if asked.by_record or policy.strategy == "hedge":
            ready = self._health.best_first(ready)
        # Of those that nobody has counted: a request may not name too many.
        ready = ready[: self._config.race.max_racers]
        if (alone := asked.alone) is not None and self._asks_whole(alone, request):
            ready = [alone]
        return Lineup(
            entrants=tuple(ready),
            policy=policy,
            schedule=self._schedule(policy, ready),
            deadline=selection.race.deadline,
            skipped=(*asked.unable, *resting),
            probes=tuple(self._claims(ready[: policy.at_once], now)),
        )

    def counters(
        self, chat: Request, selection: Selection, client: KeySettings | None = None
    ) -> Lineup:
        """
        Return those who would race for *chat* and can count its tokens; raise likewise.

        They are none of the race's: whoever rests stays at rest, and hedges cost what
        they cost.
        """
        asked = self._asked(chat, selection, client)
        policy = asked.policy
        counters = (
            Counter(e.provider, e.model, e.limits)
            for e in self._awake(asked.able, perf_counter())[0]
            if e.provider.counts
        )
        return Lineup(
            entrants=tuple(counters)[: self._config.race.max_racers],
            policy=policy,
            schedule=Parallel(1 if policy.strategy == "hedge" else policy.parallel),
            deadline=selection.race.deadline,
        )

    def _asked(
        self, request: Request, selection: Selection, client: KeySettings | None
    ) -> _Asked:
        """
        Return whom a request is for.

        Requests differ in little else than what they say, so the answer is remembered,
        unless it hangs on who works at the moment.
        """
        race = selection.race
        question = (
            selection.providers,
            race.strategy,
            race.first_token_timeout,
            race.max_parallel,
            request.model,
            request.needs(),  # which tell its task, too
            client,
        )
        known = self._answered.get(question)
        if known is None or not known.holds:
            known = self._answer(request, selection, client)
            if not known.by_record and _is_short(selection):
                if len(self._answered) >= REMEMBERED:
                    self._answered.clear()
                self._answered[question] = known
        return known

    def _answer(
        self, request: Request, selection: Selection, client: KeySettings | None
    ) -> _Asked:
        if len(request.model or "") > LONGEST_NAME:
            raise InvalidRequest(
                f"'model' has more than {LONGEST_NAME} characters.", param="model"
            )
        own = self._config.models.get(request.model or "")
        asked = own.model if own and own.model else request.model or ""
        chosen = self._chosen(request, asked, own, selection, client)
        able, unable = _able(chosen.providers, request)
        lists = [self._lists[provider.id] for provider in able]
        entrants = self._entrants(able, asked, request, selection.race)
        policy = self._policy(chosen.strategy, selection.race)
        had = [(models, models.models) for models in lists]
        alone = _alone(entrants, request)
        return _Asked(policy, chosen.by_record, entrants, alone, unable, had)

    def _awake(
        self, entrants: Sequence[Entrant], now: float
    ) -> tuple[list[Entrant], list[Skipped]]:
        """Leave out those that rest, unless all do."""
        awake = [e for e in entrants if self._health.of(e.id).rest.available(now)]
        if not awake or len(awake) == len(entrants):
            return list(entrants), []
        ids = {entrant.id for entrant in awake}
        return awake, [Skipped(e.id, "resting") for e in entrants if e.id not in ids]

    def _asks_whole(self, alone: Alone, request: Request) -> bool:
        if not isinstance(request, ChatRequest) or request.stream:
            return False
        record = self._health.of(alone.id)
        return record.whole(alone.model, alone.limits.first_token_timeout * QUICK)

    def _claims(self, entrants: Sequence[Entrant], now: float) -> Iterator[Probe]:
        for entrant in entrants:
            if claim := self._health.of(entrant.id).rest.claim(now):
                yield claim

    def _policy(self, strategy: str, options: RaceOptions) -> Policy:
        """Return the configured policy, or the cheaper one that a request asks for."""
        if options.strategy is not None:
            if options.strategy not in STRATEGIES:
                raise InvalidRequest(
                    f"'strategy' must be one of {', '.join(STRATEGIES)}.",
                    param="race.strategy",
                )
            strategy = min(strategy, options.strategy, key=STRATEGIES.index)
        race = self._config.race
        most = 1 if strategy == "fallback" else race.max_racers
        return Policy(
            strategy=strategy,
            parallel=min(most, options.max_parallel or most),
            delay=race.hedge_delay,
            budget=race.hedge_budget,
        )

    def _schedule(self, policy: Policy, entrants: Sequence[Entrant]) -> Schedule:
        if policy.strategy != "hedge":
            return _parallel(policy.parallel)
        self._budget.deposit(policy.budget)
        delays = {e.id: self._delay(e, policy.delay) for e in entrants}
        return Hedge(delays, self._budget, policy.parallel)

    def _delay(self, entrant: Entrant, delay: float | str) -> float:
        if isinstance(delay, str):
            record = self._health.of(entrant.id)
            return record.delay(entrant.model, percent_of(delay))
        return delay

    def _chosen(
        self,
        request: Request,
        model: str,
        own: ModelSettings | None,
        selection: Selection,
        client: KeySettings | None,
    ) -> "_Chosen":
        race = self._config.race
        if selection.providers is not None:
            return _Chosen(self._named(selection.providers, client), race.strategy)
        if own is not None:
            strategy = own.strategy or race.strategy
            return _Chosen(self._configured(own.providers, client), strategy)
        if race.default_providers:
            ids = race.default_providers
            return _Chosen(self._configured(ids, client), race.strategy)
        listing = self._listing(request, model, client)
        return _Chosen(listing, "fallback", by_record=True)

    def _named(self, ids: Sequence[str], client: KeySettings | None) -> list[Provider]:
        found = {}
        for name in ids:
            provider = self.provider(name, client)
            found[provider.id] = provider
        most = self._config.race.max_racers
        if len(found) > most:
            raise TooManyRacers(
                f"{len(found)} providers are named, and at most {most} may race.",
                param="provider",
            )
        return list(found.values())

    def _configured(
        self, ids: Iterable[str], client: KeySettings | None
    ) -> list[Provider]:
        """Return those of a configured list that are on; all off is an error."""
        found = []
        errors: list[ProviderNotFound | ProviderNotAllowed] = []
        for name in ids:
            try:
                found.append(self.provider(name, client))
            except (ProviderNotFound, ProviderNotAllowed) as exc:
                errors.append(exc)
        if not found:
            raise errors[0]
        return found

    def _listing(
        self, request: Request, model: str, client: KeySettings | None
    ) -> list[Provider]:
        usable = self.usable(client)
        able = _able(usable, request)[0] if usable else []
        found = [p for p in able if self._knows(p, model, request.task)]
        if not found:
            found = [p for p in able if _substitutes(p, request.task)]
        if not found:
            raise ModelNotFound(
                f"No provider has the model {model!r}. GET /v1/models lists them.",
                param="model",
            )
        return found

    def _knows(self, provider: Provider, model: str, task: str) -> bool:
        return self._known(provider, model, task) is not None

    def _known(self, provider: Provider, model: str, task: str) -> str | None:
        """
        Return what *provider* calls *model*, if it has it.

        Vendors put makers and folders before the same name: `gpt-oss-20b` is the
        `openai/gpt-oss-20b` of one and the `accounts/x/models/gpt-oss-20b` of another.
        """
        sent = provider.models_for(task)
        if model in sent:
            return sent[model]
        listed = [*self.models_of(provider, task), *sent.values()]
        if model in listed:
            return model
        if task != "chat":
            return None  # what makes images may be an address, to be named as it is
        alike = (name for name in listed if _bare(name) == _bare(model))
        found = next(alike, None)
        return None if found is None else sent.get(found, found)

    def _entrants(
        self,
        able: Sequence[Provider],
        model: str,
        request: Request,
        options: RaceOptions,
    ) -> list[Entrant]:
        found = []
        for provider in able:
            upstream = self._upstream_model(provider, model, request.task)
            if upstream is not None:
                usual = provider.limits_for(request.task)
                limits = usual.tightened(
                    first_token_timeout=options.first_token_timeout
                )
                found.append(Entrant(provider, upstream, limits, limits != usual))
        if not found:
            names = " and ".join(provider.id for provider in able)
            raise ModelNotFound(
                f"{names} has no model {model!r}. GET /v1/providers/{able[0].id} lists"
                " what it has.",
                param="model",
            )
        return found

    def _upstream_model(self, provider: Provider, model: str, task: str) -> str | None:
        """Return what *provider* is asked for; None: it is not to be asked."""
        known = self._known(provider, model, task) if model else None
        if known is not None:
            return known
        unknown = provider.settings.unknown_model
        if model and unknown == "pass":
            return model
        default = provider.default_for(task)
        if unknown == "reject":
            return default or None if not model else None
        return default or model or None


_parallel = cache(Parallel)


def _is_short(selection: Selection) -> bool:
    """Say whether names can be kept: that of one provider can be spelled at length."""
    return sum(map(len, selection.providers or ())) <= LONGEST_NAME


def _bare(model: str) -> str:
    """Return a model's name less what stands before it in a path."""
    return model.rpartition("/")[2].lower()


def _works(entry: ModelList) -> bool:
    silent = entry.provider.settings.probe and entry.trouble
    return not silent and not entry.provider.problem()


def _may_use(client: KeySettings | None, provider: str) -> bool:
    return client is None or client.may_use(provider)


def _substitutes(provider: Provider, task: str) -> bool:
    """Say whether *provider* serves names that it does not know with its default."""
    default = provider.default_for(task)
    return provider.settings.unknown_model == "default" and bool(default)


def _able(
    providers: Sequence[Provider], request: Request
) -> tuple[list[Provider], list[Skipped]]:
    """Tell those who can do what *request* needs from those who can't, and why not."""
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


def _alone(entrants: Sequence[Entrant], request: Request) -> Alone | None:
    """Return who has no rival for a chat, if it can be asked for all of it at once."""
    first = entrants[0]
    if len(entrants) > 1 or request.task != "chat" or not first.provider.tells_all:
        return None
    return Alone(first.provider, first.model, first.limits, first.hurried)


def provider_payload(provider: Provider) -> dict[str, Any]:
    """Return a provider as `GET /v1/providers` shows it."""
    return {
        "id": provider.id,
        "object": "provider",
        "created": 0,
        "url": provider.settings.url,
        "label": provider.settings.label,
    }
