"""Reading the configuration: TOML to the tree, every error with its path."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from yarl import URL

from providers import (
    BrokenPackage,
    ProviderSettings,
    engine_missing,
    is_gradio_model,
    kinds,
    load_packages,
    vendors,
)

from .environment import Environment, bad_references
from .settings import ENGINE, STRATEGIES, Config, Sections, is_loopback, same_id
from .structuring import Structure

# The kind whose models are addresses, so that no client may say which.
GRADIO = "gradio"
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
    try:
        load_packages()
    except BrokenPackage as exc:
        raise ConfigError([f"{name}: providers: {exc}"]) from exc
    raw = _read(path) if path else {}
    for section, keys in (overrides or {}).items():
        if isinstance(table := raw.setdefault(section, {}), dict):
            table.update(keys)
    loader = _Loader(raw, environ)
    config = loader.load()
    if loader.problems or config is None:
        raise ConfigError([f"{name}: {problem}" for problem in loader.problems])
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError([f"{path}: can't be read: {exc.strerror}"]) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path}: not valid TOML: {exc}"]) from exc


@define
class _Loader:
    """One reading of a file: it goes on after an error, to report all of them."""

    raw: dict[str, Any]
    environ: Mapping[str, str]
    problems: list[str] = field(factory=list)
    off: dict[str, str] = field(factory=dict)
    structure: Structure = field(factory=lambda: Structure(forbid_extra_keys=True))

    def load(self) -> Config | None:
        tables = self.raw.pop("providers", {})
        sections = self._make("", self.raw, Sections)
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
            models=sections.models,
            providers=providers,
            off=self.off,
        )
        self.problems += _contradictions(config)
        return config

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append(f"{path}: {message}" if path else message)

    def _make(self, path: str, table: Any, cls: type[Any]) -> Any:
        try:
            return self.structure.make(table, cls)
        except Exception:  # noqa: BLE001 - explained by structure.errors
            for inner, message in self.structure.errors(table, cls):
                self._wrong(".".join(filter(None, (path, inner))), message)
            return None

    def _providers(self, tables: Any) -> dict[str, ProviderSettings]:
        if not isinstance(tables, dict):
            self._wrong("providers", "must be a table of tables")
            return {}
        built_in = vendors()
        found = {}
        for name in [*tables, *(name for name in built_in if name not in tables)]:
            table = tables.get(name, {})
            if not isinstance(table, dict):
                self._wrong(f"providers.{name}", "must be a table")
            elif settings := self._provider(name, _over(built_in.get(name, {}), table)):
                found[name] = settings
        return found

    def _provider(self, name: str, table: dict[str, Any]) -> ProviderSettings | None:
        path = f"providers.{name}"
        if not PROVIDER_ID.fullmatch(name):
            self._wrong(path, "an id has letters, digits, '_', '-' and '.' only")
            return None
        if "id" in table:
            self._wrong(f"{path}.id", "unknown key (the table's name is the id)")
            return None
        settings = self._make(path, {**table, "id": name}, ProviderSettings)
        return None if settings is None else self._resolved(settings)

    def _resolved(self, settings: ProviderSettings) -> ProviderSettings | None:
        """Read the environment's values; note what is missing and what is wrong."""
        environment = Environment(self.environ)
        missing = environment.missing(settings)
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
            unknown_model=settings.unknown_model or _unknown_model(settings),
        )
        problems = [*bad_references(settings), *_kind_problems(resolved)]
        if not missing:
            problems += _provider_problems(resolved)
        for key, message in problems:
            # What a variable should have said can't be judged while it is not set.
            if key != "base_url" or not missing:
                self._wrong(f"providers.{settings.id}.{key}", message)
        return resolved


def _over(built_in: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """Lay a user's table over a built-in one: it changes the keys that it gives."""
    merged = {**built_in, **table}
    for key in ("models", "image_models", "headers", "messages", "default_fields"):
        ours, theirs = built_in.get(key), table.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[key] = {**ours, **theirs}
    return merged


def _kind_problems(settings: ProviderSettings) -> Iterator[tuple[str, str]]:
    known = (*kinds(), ENGINE)
    if settings.kind not in known:
        yield "kind", f"must be one of {', '.join(known)}, not {settings.kind!r}"
    elif settings.kind == ENGINE:
        yield from _missing(settings, model_file="which GGUF file is the model?")
        yield from _missing(settings, default_model="what is the model called?")
    elif not _is_http(settings.base_url):
        yield "base_url", "must be an http:// or https:// URL"
    if settings.kind == GRADIO:
        yield from _app_problems(settings)


def _app_problems(settings: ProviderSettings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a provider whose models are addresses."""
    yield from _missing(settings, models="which Spaces or Gradio apps are there?")
    if settings.unknown_model == "pass":
        yield "unknown_model", "'pass' would let clients name addresses of their own"
    addresses = {f"models.{name}": model for name, model in settings.models.items()}
    if settings.default_model not in ("", *settings.models):
        addresses["default_model"] = settings.default_model
    for key, model in addresses.items():
        if not is_gradio_model(model):
            yield key, f"must be owner/Space#/endpoint or URL#/endpoint, not {model!r}"


def _unknown_model(settings: ProviderSettings) -> str:
    """Return what a provider does with a model not listed, where nothing is said."""
    if settings.default_model:
        return "default"
    return "reject" if settings.kind == GRADIO else "pass"


def _provider_problems(settings: ProviderSettings) -> Iterator[tuple[str, str]]:
    if settings.unknown_model == "default" and not settings.default_model:
        yield "unknown_model", "'default' needs a default_model"
    for name, value in settings.headers.items():
        if not (name + value).isprintable():
            yield f"headers.{name}", "must not have control characters"
    if not (settings.api_key or "").isprintable():
        yield "api_key", "must not have control characters"


def _missing(settings: ProviderSettings, **asked: str) -> Iterator[tuple[str, str]]:
    for key, question in asked.items():
        if not getattr(settings, key):
            yield key, f"is missing: {question}"


def _is_http(url: str) -> bool:
    try:
        parsed = URL(url)
    except ValueError:
        return False
    return parsed.scheme in {"http", "https"} and bool(parsed.host)


def _contradictions(config: Config) -> Iterator[str]:
    """Yield what is wrong between two keys that are each right."""
    yield from _key_problems(config)
    yield from _id_problems(config)
    yield from _log_problems(config)
    strategies = {f"models.{n}": model.strategy for n, model in config.models.items()}
    for path, strategy in {"race": config.race.strategy, **strategies}.items():
        if strategy is not None and strategy not in STRATEGIES:
            options = ", ".join(STRATEGIES)
            yield f"{path}.strategy: must be one of {options}, not {strategy!r}"


def _log_problems(config: Config) -> Iterator[str]:
    path = config.log.races_path(None)
    if path is not None and not os.access(path.parent, os.W_OK):
        yield f"log.races_file: {path.parent} is no folder that can be written to"


def _key_problems(config: Config) -> Iterator[str]:
    keys = config.auth.keys
    if not keys and not is_loopback(config.server.host):
        yield (
            f"server.host: {config.server.host} can be reached by other machines, so"
            " at least one [[auth.keys]] is needed: run `python -m server key NAME`"
        )
    if len({key.name for key in keys}) < len(keys):
        yield "auth.keys: two keys have the same name"


def _id_problems(config: Config) -> Iterator[str]:
    known = {same_id(name): name for name in config.providers}
    for name in config.providers:
        if known[same_id(name)] != name:
            twin = known[same_id(name)]
            yield f"providers.{name}: the id differs from {twin!r} in case, - or _ only"
    named = {"race.default_providers": config.race.default_providers}
    for name, model in config.models.items():
        named[f"models.{name}.providers"] = model.providers
    for i, key in enumerate(config.auth.keys):
        named[f"auth.keys[{i}].providers"] = key.providers
    for path, ids in named.items():
        for name in ids:
            if same_id(name) not in known and (name != "*" or "auth" not in path):
                close = get_close_matches(name, config.providers, n=1)
                guess = f" (did you mean {close[0]!r}?)" if close else ""
                yield f"{path}: there is no provider {name!r}{guess}"
