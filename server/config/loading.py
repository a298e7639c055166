"""Reading the configuration: TOML to the tree, every error with its path."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from providers import load_packages
from server.json_types import JSONMapping, JSONObject

from .environment import Environment
from .private_files import dotenv_path, read_dotenv
from .settings import Config
from .tables import TableReader


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
    overrides: Mapping[str, JSONMapping] = field(factory=dict)
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
    overrides: Mapping[str, JSONMapping] | None = None,
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
    reader = TableReader(raw, environment, left_out)
    config = reader.config()
    if reader.problems or config is None:
        raise ConfigError([f"{name}: {problem}" for problem in reader.problems])
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


def _read(path: Path) -> JSONObject:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError([f"{path}: can't be read: {exc.strerror}"]) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path}: not valid TOML: {exc}"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{path}: not valid TOML: nested too deep"]) from exc
