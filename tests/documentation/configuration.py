"""docs/configuration.md: from the records that are read, and the example's comments."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from providers import ProviderSettings
from providers.settings import MessageRules
from server.config import settings
from server.config.hooks import keys_of

EXAMPLE = Path("config.example.toml")
TABLE = re.compile(r"(?:# )?\[+(\w+)(?:\.([\w.]+))?\]+")
KEY = re.compile(r"(?:# )?(\w+) = (?:.*?)\s+# (\S.*)")
MORE = re.compile(r"#?\s{6,}#\s+(\S.*)")
# The tables of the file, by how a reader knows them, and what their keys are read into.
RECORDS = {
    "server": settings.ServerSettings,
    "log": settings.LogSettings,
    "auth": settings.AuthSettings,
    "auth.keys": settings.KeySettings,
    "race": settings.RaceSettings,
    "media": settings.MediaSettings,
    "responses": settings.ResponseSettings,
    "state": settings.StateSettings,
    "usage": settings.UsageSettings,
    "telemetry": settings.TelemetrySettings,
    "models.NAME": settings.ModelSettings,
    "providers.ID": ProviderSettings,
    "providers.ID.messages": MessageRules,
}
# What has a table of its own, or none.
ELSEWHERE = {"id", "keys", "messages"}
# Keys that are tables, whose rows have names of the user's own.
OWN_ROWS = {
    "models": "What clients say = what the provider is sent.",
    "prices": "Dollars per million tokens, else known ones (extra `prices`).",
    "image_models": "Likewise, for images, where it chats as well.",
}
HEAD = """# Configuration

Every key of `config.toml`, with its type and its default. All are optional; one that is
not known is an error that names its place. `interference config > config.toml` prints a
file to begin with, `interference check` says what is wrong with yours, `interference
setup` asks for what it needs. Options of the command line win over the file.

`env:NAME` as a value reads a variable. A `.env` beside the file is read, too; what is
set already wins over it, and `check` says which came from where.

`SIGHUP` reloads the file; the log says what has changed, and what needs a restart.

This page is made by `python -m tests.documentation` from what the server reads and from
the comments in [config.example.toml](../config.example.toml).
"""


def page() -> str:
    """Return the page; raises KeyError for a key that the example says nothing of."""
    meanings = _meanings(EXAMPLE.read_text("utf-8"))
    parts = [HEAD]
    for table, record in RECORDS.items():
        mark = f"[[{table}]]" if table == "auth.keys" else f"[{table}]"
        parts.append(f"## `{mark}`\n")
        parts.append("| key | type | default | |\n|---|---|---|---|")
        parts += [_row(each, meanings[table]) for each in _keys(record)]
        parts.append("")
    return "\n".join(parts)


def _keys(record: type[Any]) -> Iterator[Any]:
    return (each for each in keys_of(record) if each.name not in ELSEWHERE)


def _row(key: Any, meanings: dict[str, str]) -> str:
    meaning = (OWN_ROWS | meanings)[key.name].replace("|", "\\|")
    return f"| `{key.name}` | {_type(key.type)} | {_default(key)} | {meaning} |"


def _type(annotation: Any) -> str:
    text = str(annotation)
    if "Mapping" in text:
        return "table"
    if "tuple" in text:
        return "array of strings"
    names = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    found = [word for name, word in names.items() if re.search(rf"\b{name}\b", text)]
    return " or ".join(found)


def _default(key: Any) -> str:
    value = key.default
    if value is attrs.NOTHING:
        return "needed"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return ""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:_}`"


def _meanings(text: str) -> dict[str, dict[str, str]]:
    """Return what the example's comments say of each key of each table."""
    found: dict[str, dict[str, str]] = {table: {} for table in RECORDS}
    table = key = ""
    for line in text.splitlines():
        if head := TABLE.fullmatch(line.partition("  #")[0].strip()):
            table, key = _known(head[1], head[2] or ""), ""
        elif told := KEY.fullmatch(line):
            key = told[1]
            found.get(table, {}).setdefault(key, told[2])
        elif key and (more := MORE.fullmatch(line)):
            entry = found.get(table, {})
            entry[key] = f"{entry.get(key, '')} {more[1]}"
        else:
            key = ""
    return found


def _known(first: str, rest: str) -> str:
    if first == "providers":
        return "providers.ID.messages" if rest.endswith(".messages") else "providers.ID"
    if first == "auth" and rest:
        return f"auth.{rest}"
    return {"models": "models.NAME"}.get(first, first)
