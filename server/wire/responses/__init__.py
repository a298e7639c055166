"""OpenAI's Responses API, as we serve it: a request in, typed output items out."""

from .native import RaceableRequest, raceable
from .rendering import ResponseRendering
from .request import ResponseRequest, parse, parse_count
from .stored import StoredResponse, input_items, not_kept, shown
from .truncation import shortened

__all__ = [
    "RaceableRequest",
    "ResponseRendering",
    "ResponseRequest",
    "StoredResponse",
    "input_items",
    "not_kept",
    "parse",
    "parse_count",
    "raceable",
    "shortened",
    "shown",
]
