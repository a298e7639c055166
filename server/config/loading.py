"""Reading the configuration: TOML to the tree, every error with its path."""

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from providers import (
    ProviderSettings,
    engine_missing,
    load_packages,
    vendors,
)

from .checks import (
    contradictions,
    kind_problems,
    provider_problems,
    unknown_model,
)
from .environment import Environment, bad_references
from .private_files import dotenv_path, read_dotenv
from .settings import ENGINE, Config, Sections, same_id
from .structuring import Structure

# What SQLite and the event loop's clock can't hold.
BIGGEST = 2.0**63
PROVIDER_ID = re.compile(r"[A-Za-z0-9_.-]+")


class ConfigError(Exception):
    """What is wrong with a configuration: *problems*, each `file: table.key: what`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def config_path(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: *given*, else the environment's, else ./config.toml."""
    if given is not None:
        return given
    if named := environ.get("INTERFERENCE_CONFIG"):
        return Path(named)
    here = Path("config.toml")
    return here if here.exists() else None


@define
class ConfigSource:
    """
    Where the configuration comes from, to be read as often as it changes.

    *overrides* are keys from the command line, by section.
    """

    given: Path | None
    overrides: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    path: Path | None = field(default=None, init=False)

    def read(self) -> Config:
        """
        Return the configuration as it stands now; raises ConfigError.

        The file is looked for each time. One that was there and is not any more is an
        error: the defaults in its place would serve whoever asks.
        """
        path = config_path(self.given, os.environ) or self.path
        config = load(path, os.environ, self.overrides)
        self.path = path
        return config


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """
    Read the configuration in *path*; None: the defaults.

    *overrides* are keys from the command line, by section. Raises ConfigError.
    """
    name = str(path) if path else "defaults"
    left_out = load_packages()
    raw = _read(path) if path else {}
    filed = _filed(path)
    for section, keys in (overrides or {}).items():
        if isinstance(table := raw.setdefault(section, {}), dict):
            table.update(keys)
    environment = Environment({**filed, **environ}, filed.keys() - environ.keys())
    loader = _Loader(raw, environment, left_out)
    config = loader.load()
    if loader.problems or config is None:
        raise ConfigError([f"{name}: {problem}" for problem in loader.problems])
    return config


def _filed(config: Path | None) -> Mapping[str, str]:
    """Return the variables of the file beside *config*; raises ConfigError."""
    path = dotenv_path(config)
    try:
        return read_dotenv(path)
    except OSError as exc:
        raise ConfigError([f"{path}: can't be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: is not text in UTF-8: {exc}"]) from exc


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError([f"{path}: can't be read: {exc.strerror}"]) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path}: not valid TOML: {exc}"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{path}: not valid TOML: nested too deep"]) from exc


@define
class _Loader:
    """One reading of a file: it goes on after an error, to report all of them."""

    raw: dict[str, Any]
    environment: Environment
    left_out: tuple[str, ...] = ()
    problems: list[str] = field(factory=list)
    off: dict[str, str] = field(factory=dict)
    origins: dict[str, str] = field(factory=dict)
    structure: Structure = field(
        factory=lambda: Structure(forbid_extra_keys=True, biggest=BIGGEST)
    )

    def load(self) -> Config | None:
        tables = self.raw.pop("providers", {})
        sections = self._sections()
        providers = self._providers(tables)
        if sections is None:
            return None
        config = Config(
            server=sections.server,
            log=sections.log,
            auth=sections.auth,
            race=sections.race,
            media=sections.media,
            responses=sections.responses,
            metrics=sections.metrics,
            models=sections.models,
            providers=providers,
            off=self.off,
            origins=self.origins,
            left_out=self.left_out,
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

    def _providers(self, tables: Any) -> dict[str, ProviderSettings]:
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

    def _by_id(self, tables: dict[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
        """Return the tables under the built-in *ids* that theirs are spellings of."""
        found: dict[str, Any] = {}
        for name, table in tables.items():
            known = ids.get(same_id(name), name)
            if known in found:
                self._wrong(f"providers.{name}", f"{known} has a table already")
            else:
                found[known] = table
        return found

    def _provider(self, name: str, table: dict[str, Any]) -> ProviderSettings | None:
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


def _over(built_in: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
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
