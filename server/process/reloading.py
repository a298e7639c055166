"""A change of the configuration while the server runs: read it, or keep the old one."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter

import structlog
from attrs import fields_dict, has

from server.config.loading import ConfigError
from server.config.settings import Config

from .hang_ups import hang_ups
from .notify import READY, notify, notify_reloading

log = structlog.get_logger(__name__)

# The keys that are fixed when the process starts, so that a reload can't change them.
FIXED = (
    "server.host",
    "server.port",
    "server.unix_socket",
    "server.workers",
    "server.max_body_bytes",
    "responses.path",
    "state.url",
    "state.on_failure",
    "usage.path",
    "telemetry.enabled",
    "telemetry.trusted_keys",
)

Load = Callable[[], Config]


async def reloads(started_with: Config, load: Load) -> AsyncIterator[Config]:
    """
    Yield the configuration each time that SIGHUP has had it read again.

    One that can't be read is reported, and changes nothing.
    """
    async for _ in hang_ups():
        notify_reloading()
        new = None
        with outlived():
            new = reread(started_with, load)
        if new is not None:
            yield new
        notify(READY)


def changed(old: Config, new: Config) -> str:
    """
    Return the names of the keys and tables that differ in *new*, without their values,
    which may be secrets. A provider also differs where its variables do.
    """
    names = []
    for section in fields_dict(Config):
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, Mapping):
            keys = [*before, *(key for key in after if key not in before)]
            differ = [key for key in keys if before.get(key) != after.get(key)]
        elif has(type(before)):
            keys = list(fields_dict(type(before)))
            differ = [
                key for key in keys if getattr(before, key) != getattr(after, key)
            ]
        else:
            continue
        # A provider that is on or off now, and was not, has changed, too.
        place = "providers" if section in {"off", "origins"} else section
        names += [f"{place}.{key}" for key in differ]
    return ", ".join(dict.fromkeys(names)) or "nothing"


@contextmanager
def outlived() -> Iterator[None]:
    """Log an unforeseen error, and go on: the next reload must work."""
    try:
        yield
    except Exception as exc:
        log.exception("reload failed, nothing changes", problem=repr(exc))


def reread(started_with: Config, load: Load) -> Config | None:
    """Return the configuration as it is now; None, and a report, if it is broken."""
    try:
        new = load()
    except ConfigError as exc:
        for problem in exc.problems:
            log.warning("reload failed, nothing changes", problem=problem)
        return None
    if bool(new.tls) != bool(started_with.tls):
        log.warning("needs a restart to change", key="server.tls_certificate")
    for key in FIXED:
        in_force = attrgetter(key)
        if in_force(new) != in_force(started_with):
            log.warning("needs a restart to change", key=key)
    return new
