"""From a file's tables to the configuration, and all that is wrong with them."""

import re
from collections.abc import Collection, Mapping

from attrs import define, evolve, field

from providers import ProviderSettings, engine_missing, vendors
from server.json_types import JSON, JSONObject

from .checks import (
    contradictions,
    kind_problems,
    provider_problems,
    unknown_model,
)
from .environment import Environment, bad_references
from .settings import ENGINE, Config, Sections, StateSettings, same_id
from .structuring import Structure
from .tls import read_certificate

# What SQLite and the event loop's clock can't hold.
BIGGEST = 2.0**63
PROVIDER_ID = re.compile(r"[A-Za-z0-9_.-]+")


@define
class TableReader:
    """
    One reading of a file's tables: it goes on after an error, to report all of them.

    *raw* is the parsed file; *problems* are what was wrong with it. *off* and *origins*
    are those of the Config.
    """

    raw: JSONObject
    environment: Environment
    left_out: tuple[str, ...] = ()
    problems: list[str] = field(factory=list)
    off: dict[str, str] = field(factory=dict)
    origins: dict[str, str] = field(factory=dict)
    structure: Structure = field(
        factory=lambda: Structure(forbid_extra_keys=True, biggest=BIGGEST)
    )

    def config(self) -> Config | None:
        """Return the configuration, as far as it makes sense; note what is wrong."""
        tables = self.raw.pop("providers", {})
        sections = self._sections()
        providers = self._providers(tables)
        if sections is None:
            return None
        server = sections.server
        tls, problems = read_certificate(server.tls_certificate, server.tls_key)
        for key, message in problems:
            self._wrong(f"server.{key}", message)
        config = Config(
            server=server,
            log=sections.log,
            auth=sections.auth,
            race=sections.race,
            media=sections.media,
            responses=sections.responses,
            telemetry=sections.telemetry,
            state=self._state(sections.state),
            usage=sections.usage,
            metrics=sections.metrics,
            models=sections.models,
            providers=providers,
            off=self.off,
            origins=self.origins,
            left_out=self.left_out,
            tls=tls,
        )
        self.problems += contradictions(config)
        return config

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append(f"{path}: {message}" if path else message)

    def _sections(self) -> Sections | None:
        try:
            return self.structure.make(self.raw, Sections)
        except Exception:  # noqa: BLE001 - explained by structure.errors
            for path, message in self.structure.errors(self.raw, Sections):
                self._wrong(path, message)
            return None

    def _state(self, settings: StateSettings) -> StateSettings:
        """Return the settings with what their URL stands for in the environment."""
        url = self.environment.value(settings.url)
        if settings.url and not url:
            self._wrong("state.url", f"{settings.url} is not set")
        return evolve(settings, url=url)

    def _providers(self, tables: JSON) -> dict[str, ProviderSettings]:
        if not isinstance(tables, dict):
            self._wrong("providers", "must be a table of tables")
            return {}
        built_in = vendors()
        tables = self._by_id(tables, {same_id(name): name for name in built_in})
        providers = {}
        for name in [*tables, *(name for name in built_in if name not in tables)]:
            table = tables.get(name, {})
            if not isinstance(table, dict):
                self._wrong(f"providers.{name}", "must be a table")
            elif settings := self._provider(name, _over(built_in.get(name, {}), table)):
                providers[name] = settings
        return providers

    def _by_id(self, tables: JSONObject, ids: Mapping[str, str]) -> JSONObject:
        """Return the tables under the built-in *ids* that theirs are spellings of."""
        found: JSONObject = {}
        for name, table in tables.items():
            known = ids.get(same_id(name), name)
            if known in found:
                self._wrong(f"providers.{name}", f"{known} has a table already")
            else:
                found[known] = table
        return found

    def _provider(self, name: str, table: JSONObject) -> ProviderSettings | None:
        path = f"providers.{name}"
        if not PROVIDER_ID.fullmatch(name):
            self._wrong(path, "an id has letters, digits, '_', '-' and '.' only")
            return None
        if "id" in table:
            self._wrong(f"{path}.id", "unknown key (the table's name is the id)")
            return None
        whole = {**table, "id": name}
        try:
            settings = self.structure.make(whole, ProviderSettings)
        except Exception:  # noqa: BLE001 - explained by structure.salvage
            # What can be read is looked at, too: all that is wrong is told at once.
            rest, wrong = self.structure.salvage(whole, ProviderSettings)
            for key, message in wrong:
                self._wrong(f"{path}.{key}" if key else path, message)
            if rest is not None:
                self._resolved(rest, {key.partition(".")[0] for key, _ in wrong})
            return None
        return self._resolved(settings)

    def _resolved(
        self, settings: ProviderSettings, wrong: Collection[str] = ()
    ) -> ProviderSettings:
        """
        Read the environment's values; note what is missing, and what is wrong with
        keys other than those of which that is known (*wrong*).
        """
        environment = self.environment
        missing = environment.missing(settings)
        self.origins[settings.id] = environment.origin(settings)
        if not settings.enabled:
            self.off[settings.id] = "enabled is false"
        elif missing:
            self.off[settings.id] = " and ".join(map(environment.lack, missing))
        elif settings.kind == ENGINE and (why := engine_missing(settings)):
            self.off[settings.id] = why
        resolved = evolve(
            settings,
            api_key=settings.api_key and environment.value(settings.api_key),
            base_url=environment.url(settings.base_url),
            headers={
                name: environment.value(v) for name, v in settings.headers.items()
            },
            label=settings.label or settings.id,
            unknown_model=settings.unknown_model or unknown_model(settings),
        )
        problems = [*bad_references(settings), *kind_problems(resolved)]
        if not missing:
            problems += provider_problems(resolved)
        for key, message in problems:
            # What a variable should have said can't be judged while it is not set.
            if key not in wrong and (key != "base_url" or not missing):
                self._wrong(f"providers.{settings.id}.{key}", message)
        return resolved


def vendor_settings(name: str) -> ProviderSettings:
    """Return what a vendor's table says, with no variable read; raises KeyError."""
    structure = Structure(forbid_extra_keys=True)
    return structure.make({**vendors()[name], "id": name}, ProviderSettings)


def _over(built_in: JSONObject, table: JSONObject) -> JSONObject:
    """Lay a user's table over a built-in one: it changes the keys that it gives."""
    merged = {**built_in, **table}
    for key in (
        "models",
        "image_models",
        "headers",
        "messages",
        "default_fields",
        "prices",
    ):
        ours, theirs = built_in.get(key), table.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[key] = {**ours, **theirs}
    return merged
