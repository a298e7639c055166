"""The command line: serve, and what prepares for it."""

import asyncio
import errno
import os
import sqlite3
import sys
from collections.abc import Coroutine
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import click

from . import logs
from .config.keys import NewKey, add_key
from .config.loading import ConfigSource, config_path
from .config.settings import Config, LogSettings, RaceSettings
from .process.key_commands import keys
from .process.options import FILE, or_exit, read_or_exit
from .racing.strategies import STRATEGIES, Policy

T = TypeVar("T")


@click.group(name="interference", invoke_without_command=True)
@click.version_option(package_name="interference", prog_name="Interference")
@FILE
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0: any free one.")
@click.option("--workers", type=int, help="How many processes serve.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--log-format", help="text or json.")
@click.pass_context
def cli(context: click.Context, /, file: Path | None, **options: str | int) -> None:
    """Race LLM providers behind one OpenAI-compatible server."""
    names = {"log_level": ("log", "level"), "log_format": ("log", "format")}
    overrides: dict[str, dict[str, str | int]] = {}
    for option, value in options.items():
        section, key = names.get(option, ("server", option))
        if value is not None:
            overrides.setdefault(section, {})[key] = value
    context.obj = source = ConfigSource(file, overrides)
    if context.invoked_subcommand is None:
        _serve(read_or_exit(source), source)


@cli.command()
@FILE
@click.option("--live", is_flag=True, help="Ask each provider, and time its answer.")
@click.pass_obj
def check(source: ConfigSource, file: Path | None, *, live: bool) -> None:
    """
    Validate the configuration, and show the providers: on or off, and why.

    With --live, the exit status is 1 if one of those that are on fails.
    """
    from .process.check import show

    source.given = file or source.given
    config = read_or_exit(source)
    logs.configure(LogSettings(level="error"))
    name = str(source.path) if source.path else "no file: the defaults"
    sys.exit(0 if show(config, name, live=live) else 1)


@cli.command()
@FILE
@click.pass_obj
def setup(source: ConfigSource, file: Path | None) -> None:
    """Ask what a first configuration needs, try it, and write config.toml."""
    from .process.setup import ask

    logs.configure(LogSettings(level="error"))
    ask(_file_to_write(file or source.given), _command())


@cli.command("config")
def show_example() -> None:
    """Print the example configuration: each key, its default, what it does."""
    example = resources.files("server.config").joinpath("config.example.toml")
    click.echo(example.read_text("utf-8"), nl=False)


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
    from .record.replay_table import show

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
@click.option("--write", is_flag=True, help="Add the table to the configuration.")
@FILE
@click.pass_obj
def key(source: ConfigSource, name: str, file: Path | None, *, write: bool) -> None:
    """Make an API key, shown once, and the table that lets it in."""
    if not name.strip():
        raise click.BadParameter("a key needs a name", param_hint="NAME")
    new_key = NewKey(name)
    if write:
        path = _file_to_write(file or source.given)
        or_exit(lambda: add_key(path, new_key))
        click.echo(new_key.secret)
        click.echo(f"\n# The key is shown only now. {path} lets it in; SIGHUP reloads.")
        return
    click.echo(f"{new_key.secret}\n")
    click.echo("# The key above is shown only now. Paste this into config.toml:")
    click.echo(new_key.table(), nl=False)


cli.add_command(keys)


def _file_to_write(file: Path | None) -> Path:
    return config_path(file, os.environ) or Path("config.toml")


def _command() -> str:
    """Return what this command line was called by."""
    return click.get_current_context().find_root().info_name or "interference"


def _serve(config: Config, source: ConfigSource) -> None:
    from .process.listening import listen, url_of
    from .process.serve import serve_alone, tell_left_out
    from .process.welcome import show_welcome
    from .process.workers import supervise
    from .stores.response_file import try_store

    logs.configure(config.log)
    tell_left_out(config)
    try:
        sockets = listen(config)
    except OSError as exc:
        sys.exit(_cannot_listen(config, exc))
    try:
        try_store(config.responses.path)
    except (OSError, sqlite3.Error) as exc:
        sys.exit(f"can't keep responses in {config.responses.path}: {exc}")
    try:
        try_store(config.usage.path)
    except (OSError, sqlite3.Error) as exc:
        sys.exit(f"can't store usage in {config.usage.path}: {exc}")
    show_welcome(config, url_of(sockets[0], config), source.path, _command())
    if config.server.workers == 1:
        _run(serve_alone(config, source.read, sockets[0]))
    else:
        _run(supervise(config, source.read, sockets))


def _cannot_listen(config: Config, exc: OSError) -> str:
    why = str(exc.strerror).partition(" (while")[0]
    if config.server.unix_socket:
        return f"can't listen on {config.server.unix_socket}: {why}"
    where = f"{config.server.host}:{config.server.port}"
    return f"can't listen on {where}: {why}{_advice(exc, config.server.port)}"


def _advice(exc: OSError, port: int) -> str:
    """Say what to do about an address that can't be had."""
    if exc.errno == errno.EACCES:
        return ". Ports below 1024 are the system's: choose another with --port"
    if exc.errno != errno.EADDRINUSE:
        return ""
    from .process.port_owner import port_owner

    owner = port_owner(port)
    by = "" if owner is None else f" by process {owner}"
    return f"{by}. Choose another port with --port, or stop who has it"


def _run(main: Coroutine[object, None, None]) -> None:
    if sys.platform == "win32":
        raise SystemExit("Interference needs a POSIX system.")
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
