"""Provider and model names to racers: who may be asked, and for which model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, gt, optional

from providers import ChatRequest, Limits, ModelList, Provider, TaskRequest

from .config import Config, KeySettings, ModelSettings, same_id
from .errors import (
    InvalidRequest,
    MissingCapability,
    ModelNotFound,
    ProviderNotAllowed,
    ProviderNotFound,
    TooManyRacers,
)
from .health import Health

Request = ChatRequest | TaskRequest
# The strategies by what they cost: a request may choose a cheaper one.
VISION = frozenset({"vision"})
COST = {"fallback": 0, "race": 1}


@frozen(kw_only=True)
class RaceOptions:
    """A request's own `race` object: it tightens what is configured. Seconds."""

    strategy: str | None = None
    first_token_timeout: float | None = field(default=None, validator=optional(gt(0)))
    max_parallel: int | None = field(default=None, validator=optional(ge(1)))
    deadline: float | None = field(default=None, validator=optional(gt(0)))


@frozen(kw_only=True)
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

    @property
    def id(self) -> str:
        return self.provider.id

    def stream(self, request: Request) -> Any:
        """Return the stream of what *request* asks for: chunks, images, bytes."""
        return self.provider.stream(request, self.model, self.limits)


@frozen
class Lineup:
    """The racers of one request, and how many of them run at a time."""

    entrants: tuple[Entrant, ...]
    parallel: int
    deadline: float | None = None

    def model_of(self, racer: str) -> str:
        """Return the model that the racer with this id is asked for."""
        return next(e.model for e in self.entrants if e.id == racer)


class Catalog:
    """
    The usable providers of one configuration, and the names of their models.

    *lists* has the live model list of each provider, *health* its record.
    """

    def __init__(
        self, config: Config, lists: Mapping[str, ModelList], health: Health
    ) -> None:
        self._config = config
        self._lists = lists
        self._health = health
        self._by_name = {same_id(name): name for name in config.providers}

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

    def models(self, client: KeySettings | None) -> dict[str, list[str]]:
        """Return every model name with the ids that serve it, the user's own first."""
        usable = self.usable(client)
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
        own = self._config.models.get(request.model or "")
        asked = own.model if own and own.model else request.model or ""
        providers, strategy = self._chosen(request, asked, own, selection, client)
        entrants = self._entrants(providers, asked, request, selection.race)
        # Of those that nobody has counted: a request may not name too many.
        entrants = entrants[: self._config.race.max_racers]
        options = selection.race
        parallel = len(entrants) if self._races(strategy, options) else 1
        if options.max_parallel is not None:
            parallel = min(parallel, options.max_parallel)
        return Lineup(entrants, parallel, options.deadline)

    def _races(self, strategy: str, options: RaceOptions) -> bool:
        if options.strategy is not None:
            if options.strategy not in COST:
                raise InvalidRequest(
                    f"'strategy' must be one of {', '.join(COST)}.",
                    param="race.strategy",
                )
            strategy = min(strategy, options.strategy, key=COST.__getitem__)
        return strategy == "race"

    def _chosen(
        self,
        request: Request,
        model: str,
        own: ModelSettings | None,
        selection: Selection,
        client: KeySettings | None,
    ) -> tuple[list[Provider], str]:
        configured = self._config.race
        if selection.providers is not None:
            return self._named(selection.providers, client), configured.strategy
        if own is not None:
            strategy = own.strategy or configured.strategy
            return self._configured(own.providers, client), strategy
        if configured.default_providers:
            ids = configured.default_providers
            return self._configured(ids, client), configured.strategy
        return self._listing(request, model, client), "fallback"

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
        usable = sorted(self.usable(client), key=lambda p: self._health.of(p.id).rank())
        able = _able(usable, request) if usable else []
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
        providers: Sequence[Provider],
        model: str,
        request: Request,
        options: RaceOptions,
    ) -> tuple[Entrant, ...]:
        able = _able(providers, request)
        found = []
        for provider in able:
            upstream = self._upstream_model(provider, model, request.task)
            if upstream is not None:
                limits = provider.limits_for(request.task).tightened(
                    first_token_timeout=options.first_token_timeout
                )
                found.append(Entrant(provider, upstream, limits))
        if not found:
            names = " and ".join(provider.id for provider in able)
            raise ModelNotFound(
                f"{names} has no model {model!r}. GET /v1/providers/{able[0].id} lists"
                " what it has.",
                param="model",
            )
        return tuple(found)

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


def _able(providers: Sequence[Provider], request: Request) -> list[Provider]:
    needs = request.needs()
    able = [provider for provider in providers if not provider.lacks(needs)]
    if not able:
        reasons = "; ".join(
            f"{provider.id} can't do {' and '.join(sorted(provider.lacks(needs)))}"
            for provider in providers
        )
        raise MissingCapability(f"No provider can serve this request: {reasons}.")
    return able


def provider_payload(provider: Provider) -> dict[str, Any]:
    """Return a provider as `GET /v1/providers` shows it."""
    return {
        "id": provider.id,
        "object": "provider",
        "created": 0,
        "url": provider.settings.url,
        "label": provider.settings.label,
    }
