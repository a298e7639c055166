"""The keys that are managed at run time, from the command line."""

import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import gmtime, strftime
from typing import TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from server.config.keys import NewSecret
from server.config.settings import Config, KeySettings
from server.config.structuring import Structure
from server.limits.limit import NANODOLLARS, Limit, Unit, limits_of
from server.stores.keys import KeyStore, ManagedKey, NameTaken
from server.wire.keys import key_prefix

T = TypeVar("T")
# Where there is no terminal, nothing is cut short.
WIDTH = 160


def create(config: Config, name: str, settings: Mapping[str, object]) -> None:
    """Make a key named *name* and print it; exit with 1 and a reason where it can't."""
    store, secret = _store(config), NewSecret()
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    values = {**lists, "name": name, "sha256": secret.sha256}
    structure = Structure(forbid_extra_keys=True)
    if problems := structure.errors(values, KeySettings):
        sys.exit("\n".join(f"{path}: {message}" for path, message in problems))
    key = structure.make(values, KeySettings)
    try:
        _or_exit(store, lambda: store.add(secret.id, key))
    except NameTaken:
        sys.exit(f"there is a key named {name!r} already")
    click.echo(secret.text)
    click.echo("\n# The key is shown only now. Running servers take it at once.")


def show(config: Config) -> None:
    """Print a table of the keys."""
    store = _store(config)
    table = Table("NAME", "KEY", "MADE", "EXPIRES", "MAY USE", "LIMITS")
    for key in _or_exit(store, store.all):
        table.add_row(*map(escape, _row(key)))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)


def revoke(config: Config, name: str) -> None:
    """Remove a key; exit with 1 if there is no such."""
    store = _store(config)
    key = _or_exit(store, lambda: store.remove(name))
    if key is None:
        sys.exit(f"there is no key {name!r}: `keys list` shows them")
    click.echo(f"{key.settings.name} is revoked: within a second it lets nobody in.")


def _store(config: Config) -> KeyStore:
    if not config.auth.store:
        sys.exit("keys are managed at run time where [auth] store names a file")
    return KeyStore(Path(config.auth.store))


def _or_exit(store: KeyStore, work: Callable[[], T]) -> T:
    try:
        return work()
    except (OSError, sqlite3.Error) as exc:
        sys.exit(f"the file of keys, {store.path}, can't be used: {exc}")


def _row(key: ManagedKey) -> tuple[str, ...]:
    settings = key.settings
    uses = [*settings.providers, *(f"model {name}" for name in settings.models)]
    may = "all" if uses == ["*", "model *"] else ", ".join(uses)
    return (
        f"{settings.name} (admin)" if settings.admin else settings.name,
        f"{key_prefix(key.id)}-...",
        strftime("%Y-%m-%d", gmtime(key.created)),
        settings.expires or "never",
        may,
        ", ".join(map(_words, limits_of(settings))) or "none",
    )


def _words(limit: Limit) -> str:
    if limit.unit is Unit.STREAMS:
        return f"{limit.most} at once"
    most = f"{limit.most:,}"
    if limit.unit is Unit.MONEY:
        most = f"{limit.most / NANODOLLARS:g}"
    return f"{most} {limit.unit} a {limit.span}"
