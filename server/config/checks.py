"""What is wrong with a configuration whose values are each of the right type."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from yarl import URL

from providers import ProviderSettings, is_gradio_model, kinds
from server.racing.strategies import STRATEGIES

from .settings import ENGINE, Config, same_id

# A header's name is a token (RFC 9110, section 5.6.2).
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# How a Redis is reached: alone, in a cluster, watched by Sentinels.
STATE_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)
# Bytes that the systems' addresses of Unix sockets have room for.
LONGEST_SOCKET = 103
# The kind whose models are addresses, so that no client may say which.
GRADIO = "gradio"

KeyProblem = tuple[str, str]


def kind_problems(settings: ProviderSettings) -> Iterator[KeyProblem]:
    known = (*kinds(), ENGINE)
    if settings.kind not in known:
        yield "kind", f"must be one of {', '.join(known)}, not {settings.kind!r}"
    if settings.kind == ENGINE:
        if not settings.engine.model_file:
            yield "model_file", "is missing: which GGUF file is the model?"
        if not settings.default_model:
            yield "default_model", "is missing: what is the model called?"
    elif (problem := _url_problem(settings.base_url)) and (
        settings.kind in known or settings.base_url
    ):
        yield "base_url", problem
    if settings.kind == GRADIO:
        yield from _app_problems(settings)


def _app_problems(settings: ProviderSettings) -> Iterator[KeyProblem]:
    """Yield what is wrong with a provider whose models are addresses."""
    if not settings.models:
        yield "models", "is missing: which Spaces or Gradio apps are there?"
    if settings.unknown_model == "pass":
        yield "unknown_model", "'pass' would let clients name addresses of their own"
    addresses = {f"models.{name}": model for name, model in settings.models.items()}
    if settings.default_model not in ("", *settings.models):
        addresses["default_model"] = settings.default_model
    for key, model in addresses.items():
        if not is_gradio_model(model):
            yield key, f"must be owner/Space#/endpoint or URL#/endpoint, not {model!r}"


def unknown_model(settings: ProviderSettings) -> str:
    """Return what a provider does with a model not listed, where nothing is said."""
    if settings.default_model:
        return "default"
    return "reject" if settings.kind == GRADIO else "pass"


def provider_problems(settings: ProviderSettings) -> Iterator[KeyProblem]:
    """Yield what is wrong with a provider all of whose variables are set."""
    if settings.unknown_model == "default" and not settings.default_model:
        yield "unknown_model", "'default' needs a default_model"
    for name, value in settings.headers.items():
        if not HEADER_NAME.fullmatch(name):
            yield f"headers.{name}", "is no name that a header may have"
        if not value.isprintable():
            yield f"headers.{name}", "must not have control characters"
    if not (settings.api_key or "").isprintable():
        yield "api_key", "must not have control characters"


def _url_problem(text: str) -> str:
    """Say what is wrong with a base URL; "" if nothing is."""
    try:
        url = URL(text)
    except ValueError:
        return "must be an http:// or https:// URL"
    if url.scheme not in {"http", "https"} or not url.host:
        return "must be an http:// or https:// URL"
    if not text.isprintable() or " " in text:
        return "must not have spaces or control characters"
    if url.fragment:
        return f"must not have a fragment (#{url.fragment})"
    return ""


def contradictions(config: Config) -> Iterator[str]:
    """Yield what is wrong between two keys that are each right."""
    if config.telemetry.enabled and not _has_telemetry():
        yield "telemetry.enabled: the extra `otel` is not installed"
    yield from _key_problems(config)
    yield from _state_problems(config)
    yield from _id_problems(config)
    yield from _path_problems(config)
    strategies = {f"models.{n}": model.strategy for n, model in config.models.items()}
    for path, strategy in {"race": config.race.strategy, **strategies}.items():
        if strategy is not None and strategy not in STRATEGIES:
            options = ", ".join(STRATEGIES)
            yield f"{path}.strategy: must be one of {options}, not {strategy!r}"


def _has_telemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # not even its parents are there
        return False


def _path_problems(config: Config) -> Iterator[str]:
    paths = {
        "log.races_file": config.log.races_file,
        "media.directory": config.media.directory,
        "responses.path": config.responses.path,
        "usage.path": config.usage.path,
        "server.unix_socket": config.server.unix_socket,
    }
    for key, path in paths.items():
        if not path.isprintable():
            yield f"{key}: must not have control characters"
    yield from _folder_problems(config)
    if config.server.unix_socket.isprintable() and config.server.unix_socket:
        yield from _socket_problems(config)


def _socket_problems(config: Config) -> Iterator[str]:
    path = Path(config.server.unix_socket)
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        yield f"server.unix_socket: must have at most {LONGEST_SOCKET} bytes"
    elif not os.access(path.parent, os.W_OK):
        yield f"server.unix_socket: {path.parent} is no folder that can be written to"


def _folder_problems(config: Config) -> Iterator[str]:
    folder = config.media.directory
    try:
        Path(folder).expanduser()
    except RuntimeError:
        yield f"media.directory: whose home is {folder.split('/')[0]!r}?"
    path = config.log.races_path(None)
    if (
        path is not None
        and "\0" not in str(path)
        and not os.access(path.parent, os.W_OK)
    ):
        yield f"log.races_file: {path.parent} is no folder that can be written to"


def _has_folder(file: str) -> bool:
    """Say whether a file's folder can be written to."""
    try:
        return os.access(Path(file).expanduser().parent, os.W_OK)
    except (RuntimeError, ValueError):
        return False  # nobody has that home, or it has a NUL


def _key_problems(config: Config) -> Iterator[str]:
    keys = config.auth.keys
    if not config.auth.asks and config.server.reached_by_others():
        yield (
            f"server.host: {config.server.host} can be reached by other machines, so"
            " at least one [[auth.keys]] is needed: run `python -m server key NAME`"
        )
    if (store := config.auth.store) and not _has_folder(store):
        yield f"auth.store: {Path(store).parent} is no folder that can be written to"
    if len({key.name for key in keys}) < len(keys):
        yield "auth.keys: two keys have the same name"


def _state_problems(config: Config) -> Iterator[str]:
    url = config.state.url
    if not url:
        return
    if url.partition("://")[0] not in STATE_SCHEMES:
        yield f"state.url: must begin with one of {', '.join(STATE_SCHEMES)}"
    if find_spec("redis") is None:
        yield "state.url: the extra is missing: pip install 'interference[redis]'"


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
