"""Provider and model names to racers: who may be asked, and for which model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, gt, optional

from providers import ChatRequest, ChatStream, Limits, ModelList, Provider

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

    def stream(self, request: ChatRequest) -> ChatStream:
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
            if _may_use(client, entry.provider.id) and not entry.provider.problem()
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

    def models_of(self, provider: Provider) -> list[str]:
        """Return the model names that clients may ask *provider* for."""
        settings = provider.settings
        own = [settings.default_model] if settings.default_model else []
        return list(
            dict.fromkeys([*settings.models, *own, *self._lists[provider.id].models])
        )

    def models(self, client: KeySettings | None) -> dict[str, list[str]]:
        """Return every model name with the ids that serve it, the user's own first."""
        usable = self.usable(client)
        names: dict[str, list[str]] = {}
        for name, model in self._config.models.items():
            ids = {same_id(provider) for provider in model.providers}
            if serving := [p.id for p in usable if same_id(p.id) in ids]:
                names[name] = serving
        for provider in usable:
            for name in self.models_of(provider):
                if name not in self._config.models:
                    names.setdefault(name, []).append(provider.id)
        return names

    def details(self, name: str, client: KeySettings | None) -> dict[str, Any]:
        """Return a provider as `GET /v1/providers/{id}` shows it; raises likewise."""
        provider = self.provider(name, client)
        models = self.models_of(provider)
        sees = provider.settings.capabilities and not provider.settings.lacks(VISION)
        return provider_payload(provider) | {
            "models": models,
            "image_models": [],
            "vision_models": models if sees else [],
            "params": provider.params(),
            "stats": self._health.of(provider.id).payload(),
        }

    def lineup(
        self,
        request: ChatRequest,
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
        own = self._config.models.get(request.model)
        asked = own.model if own and own.model else request.model
        providers, strategy = self._chosen(asked, own, selection, client)
        entrants = self._entrants(providers, asked, request, selection.race)
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
        found = self._listing(model, client)
        return found[: configured.max_racers], "fallback"

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
        return found[: self._config.race.max_racers]

    def _listing(self, model: str, client: KeySettings | None) -> list[Provider]:
        usable = sorted(self.usable(client), key=lambda p: self._health.of(p.id).rank())
        found = [p for p in usable if self._knows(p, model)]
        if not found:
            found = [p for p in usable if p.settings.unknown_model == "default"]
        if not found:
            raise ModelNotFound(
                f"No provider has the model {model!r}. GET /v1/models lists them.",
                param="model",
            )
        return found

    def _knows(self, provider: Provider, model: str) -> bool:
        settings = provider.settings
        return model in self.models_of(provider) or model in settings.models.values()

    def _entrants(
        self,
        providers: Sequence[Provider],
        model: str,
        request: ChatRequest,
        options: RaceOptions,
    ) -> tuple[Entrant, ...]:
        able = _able(providers, request)
        found = []
        for provider in able:
            upstream = self._upstream_model(provider, model)
            if upstream is not None:
                limits = provider.limits.tightened(
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

    def _upstream_model(self, provider: Provider, model: str) -> str | None:
        settings = provider.settings
        if model in settings.models:
            return settings.models[model]
        if settings.unknown_model == "pass" or self._knows(provider, model):
            return model
        return settings.default_model if settings.unknown_model == "default" else None


def _may_use(client: KeySettings | None, provider: str) -> bool:
    return client is None or client.may_use(provider)


def _able(providers: Sequence[Provider], request: ChatRequest) -> list[Provider]:
    needs = request.needs()
    lacks: Callable[[Provider], frozenset[str]] = lambda p: p.settings.lacks(needs)  # noqa: E731
    able = [provider for provider in providers if not lacks(provider)]
    if not able:
        reasons = (
            f"{p.id} can't do {' and '.join(sorted(lacks(p)))}" for p in providers
        )
        raise MissingCapability(
            f"No provider can serve this request: {'; '.join(reasons)}."
        )
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
