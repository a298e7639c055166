"""`setup`: asks what a first configuration needs, tries it, and writes it."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from attrs import define, evolve, field
from rich.console import Console
from rich.markup import escape

from providers import vendors
from server.config.environment import Environment
from server.config.keys import NewKey, toml_string
from server.config.loading import ConfigError, load
from server.config.private_files import dotenv_path, read_dotenv, write_private
from server.config.settings import same_id
from server.config.tables import vendor_settings

from .check import Finding, examine_with_progress

OPEN_HOST = "0.0.0.0"  # noqa: S104 - who says so wants it, and gets a key
NOT_A_WORD = re.compile(r"\W+")


@define
class _Draft:
    """The answers so far: the file's tables, and the variables for `.env`."""

    path: Path
    variables: dict[str, str]
    tables: list[str] = field(factory=list)
    key: NewKey | None = None

    def text(self) -> str:
        """Return the configuration as TOML."""
        server = f'[server]\nhost = "{OPEN_HOST}"\n' if self.key else ""
        keys = self.key.table() if self.key else ""
        parts = [part for part in (server, *self.tables, keys) if part]
        return "\n".join(["# Made by `setup`. `config` prints every key.\n", *parts])

    def write(self) -> None:
        """Write the configuration and, if there are any, the variables beside it."""
        if self.variables:
            lines = (f"{name}={_quoted(v)}\n" for name, v in self.variables.items())
            write_private(dotenv_path(self.path), "".join(lines))
        write_private(self.path, self.text())


def ask(path: Path, command: str) -> None:
    """
    Ask for providers and whether others may use the server, and write *path*; a file
    that was there is kept beside it. Raises click.Abort if the input ends.
    """
    console = Console(highlight=False)
    if path.exists():
        click.confirm(f"{path} is there. Make a new one in its place?", abort=True)
    draft = _Draft(path, dict(read_dotenv(dotenv_path(path))))
    _show_present(console, draft)
    while name := _answer_to("Add a provider (its id; empty: no more)"):
        _add_provider(console, draft, name)
    if click.confirm("Shall other machines reach this server?", default=False):
        draft.key = NewKey(click.prompt("A name for their API key", default="first"))
    if path.exists():
        path.replace(path.with_name(f"{path.name}.bak"))
    draft.write()
    _show_end(draft, command)


def _show_present(console: Console, draft: _Draft) -> None:
    """Show the providers whose keys are set, and try them."""
    config = load(None, {**draft.variables, **os.environ})
    on = [name for name in config.on() if config.origins.get(name)]
    if not on:
        click.echo("No provider's key is set. Among those that can be added:")
        click.echo(f"  {', '.join(list(vendors())[1:12])} ...")
        return
    click.echo("These have their key already:")
    for name, finding in _try(console, on, draft).items():
        console.print(f"  {escape(name)}: {_outcome(finding)}")


def _add_provider(console: Console, draft: _Draft, name: str) -> None:
    """Ask for what a provider needs, try it, and keep it if it works or is wanted."""
    built_in = {same_id(each): each for each in vendors()}
    vendor = built_in.get(same_id(name))
    variables, tables = dict(draft.variables), list(draft.tables)
    if vendor is None:
        name = NOT_A_WORD.sub("-", name).strip("-") or "Mine"
        draft.tables.append(_own_table(draft, name))
    else:
        name = vendor
        for variable in _missing(vendor, draft.variables):
            draft.variables[variable] = _secret(variable)
    try:
        finding = _try(console, [name], draft)[name]
    except ConfigError as exc:
        finding = Finding(0, trouble="; ".join(exc.problems), failed=True)
    console.print(f"  {escape(name)}: {_outcome(finding)}")
    if finding.failed and not click.confirm("Keep it all the same?", default=False):
        draft.variables, draft.tables = variables, tables


def _own_table(draft: _Draft, name: str) -> str:
    """Ask for a provider that is not built in; return its table."""
    click.echo(f"{name} is not built in: it is taken for one that speaks OpenAI's API.")
    url = click.prompt("Its base URL, as https://llm.example.com/v1")
    variable = f"{NOT_A_WORD.sub('_', name.replace('-', '_')).upper()}_API_KEY"
    model = _answer_to("Its default model (empty: what clients say)")
    lines = [f"[providers.{name}]", 'kind = "openai"', f"base_url = {toml_string(url)}"]
    if secret := _answer_to("Its API key (empty: it needs none)", hidden=True):
        draft.variables[variable] = secret
        lines.append(f'api_key = "env:{variable}"')
    if model:
        lines.append(f"default_model = {toml_string(model)}")
    return "\n".join([*lines, ""])


def _missing(name: str, variables: Mapping[str, str]) -> list[str]:
    environment = Environment({**variables, **os.environ})
    return environment.missing(vendor_settings(name))


def _try(
    console: Console, names: Sequence[str], draft: _Draft
) -> Mapping[str, Finding]:
    """Ask these providers, and no others; raises ConfigError."""
    tables = tomllib.loads("\n".join(draft.tables))
    config = load(None, {**draft.variables, **os.environ}, tables)
    others = dict.fromkeys(config.providers.keys() - set(names), "not asked")
    lacking = {
        name: Finding(0, trouble=config.off[name], failed=True)
        for name in names
        if name in config.off
    }
    return {
        **examine_with_progress(evolve(config, off={**config.off, **others}), console),
        **lacking,
    }


def _outcome(finding: Finding) -> str:
    if finding.ttft is not None:
        return f"[green]works[/], {finding.models} models, {finding.ttft:.1f} s"
    return f"[{'red' if finding.failed else 'yellow'}]{escape(finding.trouble)}[/]"


def _show_end(draft: _Draft, command: str) -> None:
    click.echo(f"Written: {draft.path.resolve()}")
    if draft.variables:
        click.echo(f"Keys:    {dotenv_path(draft.path).resolve()}")
    if draft.key is not None:
        click.echo(f"API key, shown only now: {draft.key.secret}")
    click.echo(f"Start the server: `{command}`. All providers: `{command} check`.")


def _answer_to(question: str, *, hidden: bool = False) -> str:
    answer = click.prompt(question, default="", show_default=False, hide_input=hidden)
    return str(answer).strip()


def _secret(variable: str) -> str:
    return str(click.prompt(variable, hide_input=True)).strip()


def _quoted(value: str) -> str:
    """Return a variable's value as `.env` files write it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
