"""What each client sent when it was driven, kept as files of shapes."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .catalogue import Client
from .driving import Outcome, Target
from .shapes import request_shape

SOURCE = "its source"
FOLDER = Path(__file__).with_name("recorded")


def source(client: Client) -> Target:
    """Return where what *client* sends is recorded: where its turn is sure to end."""
    if client.speaks:
        return Target(name=SOURCE, kinds=(client.speaks,), itself=True)
    return Target(name=SOURCE, kinds=("openai",))


def record(outcomes: Iterable[Outcome]) -> None:
    """Write what the clients sent in each turn that ended well."""
    for outcome in outcomes:
        if outcome.error is None:
            lines = [json.dumps(request_shape(asked)) for asked in outcome.asked]
            text = "[\n" + ",\n".join(lines) + "\n]\n"
            _file(outcome.name).write_text(text, encoding="utf-8")


def recorded(name: str) -> list[dict[str, Any]]:
    """Return what was sent in the job *name*, in order, as `request_shape` made it."""
    found: list[dict[str, Any]] = json.loads(_file(name).read_text("utf-8"))
    return found


def _file(name: str) -> Path:
    return FOLDER / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.json"
