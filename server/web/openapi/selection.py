"""Whom a request names, and how it wants its race run."""

from server.racing.catalog import LONGEST_NAME
from server.racing.lineup import RaceOptions
from server.racing.strategies import STRATEGIES

from .records import Schema, nullable, schema_of


def raced(schema: Schema) -> Schema:
    """Return the schema of a request whose racers its client may name."""
    properties = dict(schema["properties"])
    if "model" in properties:
        properties["model"] = {**properties["model"], "maxLength": LONGEST_NAME}
    return {**schema, "properties": {**properties, **SELECTION}}


def _race_options() -> Schema:
    schema = schema_of(
        RaceOptions,
        {
            "first_token_timeout": "Seconds that each racer has to its first token.",
            "max_parallel": "How many race at once.",
            "deadline": "Seconds until all of it must be answered.",
        },
    )
    strategy = nullable({"type": "string", "enum": list(STRATEGIES)})
    schema["properties"]["strategy"] = strategy
    return {**schema, "additionalProperties": False}


RACE_OPTIONS = _race_options()
SELECTION: dict[str, Schema] = {
    "provider": {
        "description": "Whom to ask: ids of `/v1/providers`, separated by spaces or in"
        " an array. The first that really speaks answers; the path, if it names"
        " providers, goes before this. Not sent on.",
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "null"},
        ],
        "examples": ["HuggingChat Groq"],
    },
    "race": {
        "description": "Tightens what is configured for this race. Not sent on.",
        **nullable(RACE_OPTIONS),
    },
}
