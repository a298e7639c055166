"""What the commands of the command line share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from server.config.loading import ConfigError, ConfigSource
from server.config.settings import Config

T = TypeVar("T")
FILE = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration; else $INTERFERENCE_CONFIG, else ./config.toml if it is"
    " there, else the defaults.",
)


def or_exit(reading: Callable[[], T]) -> T:
    try:
        return reading()
    except ConfigError as exc:
        for problem in exc.problems:
            click.echo(problem, err=True)
        sys.exit(1)


def read_or_exit(source: ConfigSource) -> Config:
    """Return the configuration; exit with what is wrong with it."""
    return or_exit(source.read)
