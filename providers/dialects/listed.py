"""What vendors' lists of models say of each model, besides its name."""

from collections.abc import Iterator, Mapping

import orjson
from attrs import frozen

from providers.json_types import JSON, JSONMapping

# How many tokens fit into a model's context: Anthropic's word, Google's, OpenRouter's.
CONTEXT = ("max_input_tokens", "inputTokenLimit", "context_length")
# How many it answers with at most: Anthropic's, Google's; OpenRouter's is nested.
OUTPUT = ("max_tokens", "outputTokenLimit", "max_completion_tokens")


@frozen
class ListedLimits:
    """Tokens that fit into a model's *context* and *output*; None: nobody says."""

    context: int | None
    output: int | None


def limits_in(body: bytes) -> dict[str, ListedLimits]:
    """Return what a list of models says of the limits of each, by its name."""
    found: dict[str, ListedLimits] = {}
    for row in _rows(orjson.loads(body)):
        name = str(row.get("id") or row.get("name")).removeprefix("models/")
        serving = row.get("top_provider")
        inner = serving if isinstance(serving, Mapping) else {}
        limits = ListedLimits(
            _count(row, CONTEXT), _count(row, OUTPUT) or _count(inner, OUTPUT)
        )
        if limits.context or limits.output:
            found[name] = limits
    return found


def _rows(payload: JSON) -> Iterator[JSONMapping]:
    rows = payload
    if isinstance(payload, Mapping):
        rows = payload.get("data") or payload.get("models")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping):
            yield row


def _count(row: JSONMapping, names: tuple[str, ...]) -> int | None:
    counts = (row.get(name) for name in names)
    return next((n for n in counts if type(n) is int and n > 0), None)
