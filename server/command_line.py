"""The command line: serve, check a configuration, make an API key."""

import asyncio
import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from . import logs
from .config.loading import ConfigError, ConfigSource, config_path, load
from .config.settings import Config, LogSettings, RaceSettings
from .racing.strategies import STRATEGIES, Policy

FILE = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration; else $INTERFERENCE_CONFIG, else ./config.toml if it is"
    " there, else the defaults.",
)


@click.group(name="interference", invoke_without_command=True)
@FILE
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0: any free one.")
@click.option("--workers", type=int, help="How many processes serve.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--log-format", help="text or json.")
@click.pass_context
def cli(context: click.Context, /, file: Path | None, **options: Any) -> None:
    """Race LLM providers behind one OpenAI-compatible server."""
    if context.invoked_subcommand is not None:
        context.obj = file
        return
    names = {"log_level": ("log", "level"), "log_format": ("log", "format")}
    overrides: dict[str, dict[str, Any]] = {}
    for option, value in options.items():
        section, key = names.get(option, ("server", option))
        if value is not None:
            overrides.setdefault(section, {})[key] = value
    source = ConfigSource(file, overrides)
    _serve(_or_exit(source.read), source)


@cli.command()
@FILE
@click.option("--live", is_flag=True, help="Ask each provider, and time its answer.")
@click.pass_obj
def check(outer: Path | None, file: Path | None, *, live: bool) -> None:
    """Validate the configuration, and show the providers: on or off, and why."""
    from .process.check import show  # noqa: PLC0415 - rich is slow to import, and only for this

    path = config_path(file or outer, os.environ)
    config = _or_exit(partial(load, path))
    logs.configure(LogSettings(level="error"))
    show(config, str(path) if path else "no file: the defaults", live=live)


@cli.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option(
    "--strategy",
    type=click.Choice(tuple(STRATEGIES)),
    default="hedge",
    show_default=True,
)
@click.option("--delay", default="p90", help="Seconds, or a quantile as p90.")
@click.option(
    "--budget", type=click.FloatRange(min=0), default=0.1, help="Extra calls a request."
)
@click.option("--parallel", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seed", type=int, default=0, help="For what the log does not tell.")
def replay(files: tuple[Path, ...], delay: str, seed: int, **options: Any) -> None:
    """Run the races in FILES again, on paper, with another policy."""
    from .record.replay_table import show  # noqa: PLC0415 - rich is slow to import

    logs.configure(LogSettings(level="error"))
    show(files, Policy(delay=_delay(delay), **options), seed)


def _delay(text: str) -> float | str:
    try:
        RaceSettings(hedge_delay=(delay := _number(text)))
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--delay") from exc
    return delay


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@cli.command()
@click.argument("name")
def key(name: str) -> None:
    """Make an API key, shown once, and the table that lets it in."""
    if not name.strip():
        raise click.BadParameter("a key needs a name", param_hint="NAME")
    made = f"sk-{secrets.token_urlsafe(32)}"
    click.echo(f"{made}\n", err=False)
    click.echo("# The key above is shown only now. Paste this into config.toml:")
    click.echo("[[auth.keys]]")
    click.echo(f"name = {_toml_string(name)}")
    click.echo(f'sha256 = "{sha256(made.encode()).hexdigest()}"')


def _serve(config: Config, source: ConfigSource) -> None:
    from .process.serve import listen, serve_alone  # noqa: PLC0415 - likewise
    from .process.workers import supervise  # noqa: PLC0415 - likewise
    from .stores.responses import try_store  # noqa: PLC0415 - `check` has no use for it

    logs.configure(config.log)
    try:
        sockets = listen(config)
    except OSError as exc:
        where = f"{config.server.host}:{config.server.port}"
        why = str(exc.strerror).partition(" (while")[0]
        sys.exit(f"can't listen on {where}: {why}")
    try:
        try_store(config.responses)
    except (OSError, sqlite3.Error) as exc:
        sys.exit(f"can't keep responses in {config.responses.path}: {exc}")
    if config.server.workers == 1:
        _run(serve_alone(config, source.read, sockets[0]))
    else:
        _run(supervise(config, source.read, sockets))


def _run(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        raise SystemExit("Interference needs a POSIX system.")
    import uvloop  # noqa: PLC0415 - not to be had on every system

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _or_exit(reading: Callable[[], Config]) -> Config:
    try:
        return reading()
    except ConfigError as exc:
        for problem in exc.problems:
            click.echo(problem, err=True)
        sys.exit(1)


def _toml_string(text: str) -> str:
    # JSON's strings are TOML's, but for a character that only TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
