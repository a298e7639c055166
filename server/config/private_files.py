"""The files that have secrets: the configuration, and the `.env` beside it."""

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

NAME = ".env"


def dotenv_path(config: Path | None) -> Path:
    """Return where the variables are that belong to *config*, None: to no file."""
    return Path(NAME) if config is None else config.with_name(NAME)


def read_dotenv(path: Path) -> Mapping[str, str]:
    """
    Return the variables in *path*, as they are written; none if there is no such file.

    Raises OSError and UnicodeDecodeError.
    """
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        values = dotenv_values(stream=file, interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def write_private(path: Path, text: str) -> None:
    """Put *text* at *path*, whole or not at all, for its owner's eyes only."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(0o600, exist_ok=False)
    draft.write_text(text, "utf-8")
    draft.replace(path)
