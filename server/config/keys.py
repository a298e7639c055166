"""API keys for clients: made once, shown once, and known by their SHA-256 alone."""

import json
import secrets
import tomllib
from hashlib import sha256
from pathlib import Path

from attrs import field, frozen

from .loading import ConfigError, load
from .private_files import write_private


@frozen
class NewKey:
    """A key that was made for *name*."""

    name: str
    secret: str = field(
        factory=lambda: f"sk-{secrets.token_urlsafe(32)}", init=False, repr=False
    )

    def table(self) -> str:
        """Return what lets it in, as TOML."""
        digest = sha256(self.secret.encode()).hexdigest()
        return f'[[auth.keys]]\nname = {toml_string(self.name)}\nsha256 = "{digest}"\n'


@frozen
class NewSecret:
    """What lets somebody in, made once and shown once, with a public *id* in it."""

    id: str = field(factory=lambda: secrets.token_hex(4), init=False)
    _rest: str = field(
        factory=lambda: secrets.token_urlsafe(32), init=False, repr=False
    )

    @property
    def text(self) -> str:
        return f"sk-if-{self.id}-{self._rest}"

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()


def add_key(path: Path, key: NewKey) -> None:
    """
    Write a key's table to the end of *path*, which is made if it is not there.

    Raises ConfigError, and leaves the file as it was, if it would not be valid then.
    """
    try:
        old = path.read_text("utf-8") if path.exists() else ""
        text = f"{old.rstrip()}\n\n{key.table()}".lstrip()
        tomllib.loads(text)
        draft = path.with_name(f"{path.name}.draft")
        write_private(draft, text)
    except OSError as exc:
        raise ConfigError([f"{path}: can't be written: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise ConfigError([f"{path}: the key has no place there: {exc}"]) from exc
    try:
        load(draft)
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    except ConfigError as exc:
        problems = [text.replace(str(draft), str(path)) for text in exc.problems]
        raise ConfigError(problems) from exc
    finally:
        draft.unlink(missing_ok=True)


def toml_string(text: str) -> str:
    """Return *text* as TOML writes a string."""
    # JSON's strings are TOML's, but for a character that only TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
