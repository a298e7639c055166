"""The commands that manage keys at run time: `python -m server keys ...`."""

from pathlib import Path
from typing import Any

import click

from server.config.loading import ConfigSource

from .options import FILE, read_or_exit


@click.group()
@FILE
@click.pass_context
def keys(context: click.Context, /, file: Path | None) -> None:
    """Manage the keys of `[auth] store`, which need no reload."""
    context.obj.given = file or context.obj.given


@keys.command("create")
@click.argument("name")
@click.option("--provider", "providers", multiple=True, help="One that it may use.")
@click.option("--model", "models", multiple=True, help="One that it may ask for.")
@click.option("--admin", is_flag=True, help="May read all races, and manage keys.")
@click.option("--requests-per-minute", type=int)
@click.option("--tokens-per-minute", type=int)
@click.option("--tokens-per-day", type=int)
@click.option("--dollars-per-day", type=float)
@click.option("--dollars-per-month", type=float)
@click.option("--streams", type=int, help="Answers at once.")
@click.option("--expires", help="An instant, as 2027-01-31T00:00:00Z.")
@click.pass_obj
def create_key(source: ConfigSource, /, name: str, **settings: Any) -> None:
    """Make a key, which is shown only now."""
    from .key_table import create

    given = {option: value for option, value in settings.items() if value}
    create(read_or_exit(source), name, given)


@keys.command("list")
@click.pass_obj
def list_keys(source: ConfigSource) -> None:
    """Show the keys, and what they may use."""
    from .key_table import show

    show(read_or_exit(source))


@keys.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke_key(source: ConfigSource, name: str) -> None:
    """Let nobody in any more with the key of that name, or id."""
    from .key_table import revoke

    revoke(read_or_exit(source), name)
