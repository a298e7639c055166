"""Which providers exist, what each is called, and what each calls its models."""

from collections.abc import Iterable, Mapping, Sequence

from providers import ModelList, Provider
from server.config.settings import ENGINE, Config, KeySettings, same_id
from server.errors import (
    ModelNotFound,
    ProviderNotAllowed,
    ProviderNotFound,
    TooManyRacers,
)

from .nearest import model_hint, provider_hint

VISION = frozenset({"vision"})
CHAT = frozenset({"chat"})
# Characters of a model's name: it is kept, in the records and in the log of races.
LONGEST_NAME = 500


class Catalog:
    """
    The usable providers of one configuration, and the names of their models.

    *lists* has the live model list of each provider.
    """

    def __init__(self, config: Config, lists: Mapping[str, ModelList]) -> None:
        self._config = config
        self._lists = lists
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
        provider_id = self._by_name.get(same_id(name))
        if provider_id is None:
            ids = [each for each in self._config.providers if _may_use(client, each)]
            raise ProviderNotFound(
                f"There is no provider {name!r}.{provider_hint(name, ids)}"
                " GET /v1/providers lists them.",
                param="provider",
            )
        if not _may_use(client, provider_id):
            raise ProviderNotAllowed(
                f"This API key may not use the provider {provider_id!r}.",
                param="provider",
            )
        if provider_id in self._config.off:
            raise ProviderNotFound(
                f"The provider {provider_id!r} is off:"
                f" {self._config.off[provider_id]}.",
                param="provider",
            )
        return self._lists[provider_id].provider

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
        self, client: KeySettings | None, ids: Sequence[str] | None = None
    ) -> dict[str, list[str]]:
        """
        Return every model's name with the ids of the providers that serve it, those of
        `[models.*]` first. If *ids* are given, only their providers count: raises as
        `named` does.
        """
        usable = self.usable(client) if ids is None else self.named(ids, client)
        names: dict[str, list[str]] = {}
        for name, model in self._config.models.items():
            own = {same_id(provider) for provider in model.providers}
            serving = [p.id for p in usable if same_id(p.id) in own]
            if serving and may_ask_for(client, name):
                names[name] = serving
        for provider in usable:
            all_names = [*self.models_of(provider), *provider.models_for("images")]
            for name in dict.fromkeys(all_names):
                if name not in self._config.models and may_ask_for(client, name):
                    names.setdefault(name, []).append(provider.id)
        return names

    def named(self, ids: Sequence[str], client: KeySettings | None) -> list[Provider]:
        """Return the providers that a request names; raises as `provider` does."""
        providers = {}
        for name in ids:
            provider = self.provider(name, client)
            providers[provider.id] = provider
        most = self._config.race.max_racers
        if len(providers) > most:
            raise TooManyRacers(
                f"{len(providers)} providers are named, and at most {most} may race.",
                param="provider",
            )
        return list(providers.values())

    def configured(
        self, ids: Iterable[str], client: KeySettings | None
    ) -> list[Provider]:
        """
        Return the providers of a configured list, without those that can't be used; if
        none can be, raises why the first can't.
        """
        providers = []
        errors: list[ProviderNotFound | ProviderNotAllowed] = []
        for name in ids:
            try:
                providers.append(self.provider(name, client))
            except (ProviderNotFound, ProviderNotAllowed) as exc:
                errors.append(exc)
        if not providers:
            raise errors[0]
        return providers

    def is_embedded(self, provider: Provider) -> bool:
        """Say whether its model runs here: all other providers are preferred to it."""
        return self._config.providers[provider.id].kind == ENGINE

    def _has_another(self, client: KeySettings | None) -> bool:
        """Say whether *client* can chat with a provider that is not embedded."""
        return any(
            not (self.is_embedded(each) or each.lacks(CHAT))
            for each in self.usable(client)
        )

    def provider_in_model(
        self, model: str, client: KeySettings | None
    ) -> Provider | None:
        """
        Return the provider whose id a request has as its model, None if it is no id;
        raises as `provider` does. Other spellings of the id count only where nobody has
        a model of that name: there is a model `mistral`, too.
        """
        provider_id = self._by_name.get(same_id(model))
        if provider_id is None or (
            provider_id != model and self._lists_any(model, client)
        ):
            return None
        return self.provider(provider_id, client)

    def _lists_any(self, model: str, client: KeySettings | None) -> bool:
        usable = self.usable(client)
        return any(self._name_at(p, model, "chat") is not None for p in usable)

    def serving(
        self,
        providers: Sequence[Provider],
        model: str,
        task: str,
        client: KeySettings | None,
    ) -> list[Provider]:
        """
        Return the *providers* that have a model or, where none has, those that serve
        every name with their default model: an embedded engine does so only while
        *client* has no other provider to chat with. Raises ModelNotFound.
        """
        serving = [p for p in providers if self._name_at(p, model, task) is not None]
        if not serving:
            serving = [p for p in providers if _substitutes(p, task)]
            if model and self._has_another(client):
                serving = [p for p in serving if not self.is_embedded(p)]
        if not serving:
            raise ModelNotFound(
                f"No provider has the model {model!r}."
                f"{model_hint(model, self.models(client))} GET /v1/models lists them.",
                param="model",
            )
        return serving

    def _name_at(self, provider: Provider, model: str, task: str) -> str | None:
        """
        Return what *provider* calls *model*, if it has it.

        Vendors put makers and folders before the same name: `gpt-oss-20b` is the
        `openai/gpt-oss-20b` of one and the `accounts/x/models/gpt-oss-20b` of another.
        """
        upstream_names = provider.models_for(task)
        if model in upstream_names:
            return upstream_names[model]
        names = [*self.models_of(provider, task), *upstream_names.values()]
        if model in names:
            return model
        if task != "chat":
            return None  # a model for images may be an address, which has to be exact
        similar = (name for name in names if _bare(name) == _bare(model))
        first = next(similar, None)
        return None if first is None else upstream_names.get(first, first)

    def upstream_model(self, provider: Provider, model: str, task: str) -> str | None:
        """Return the model to ask *provider* for; None: it has none to offer."""
        name = self._name_at(provider, model, task) if model else None
        if name is not None:
            return name
        unknown = provider.settings.unknown_model
        if model and unknown == "pass":
            return model
        default = provider.default_for(task)
        if unknown == "reject":
            return default or None if not model else None
        return default or model or None


def _bare(model: str) -> str:
    """Return the last part of a model's name, which may be a path."""
    return model.rpartition("/")[2].lower()


def _works(entry: ModelList) -> bool:
    silent = entry.provider.settings.probe and entry.trouble
    return not silent and not entry.provider.problem()


def _may_use(client: KeySettings | None, provider: str) -> bool:
    return client is None or client.may_use(provider)


def may_ask_for(client: KeySettings | None, model: str) -> bool:
    return client is None or client.may_ask_for(model)


def _substitutes(provider: Provider, task: str) -> bool:
    """Say whether *provider* serves names that it does not know with its default."""
    default = provider.default_for(task)
    return provider.settings.unknown_model == "default" and bool(default)
