"""What the tests of the server's parts share: configurations, read from real files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers import vendors
from server.config.loading import load
from server.config.settings import Config

ReadConfig = Callable[..., Config]
# Turns the built-in providers off: a test names what it needs.
BARE = "".join(f'[providers."{name}"]\nenabled = false\n' for name in vendors())


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
def read_config(config_file: Path) -> ReadConfig:
    """Read some TOML as the server would, with no environment but the one given."""

    def read(
        toml: str = "",
        overrides: dict[str, dict[str, Any]] | None = None,
        **environ: str,
    ) -> Config:
        config_file.write_text(toml, "utf-8")
        return load(config_file, environ, overrides)

    return read
