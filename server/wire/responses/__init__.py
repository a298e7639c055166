"""OpenAI's Responses API, as we serve it: a request in, typed output items out."""

from .rendering import ResponseRendering
from .request import ResponseRequest, parse
from .stored import StoredResponse, input_items, not_kept, shown
from .truncation import shortened

__all__ = [
    "ResponseRendering",
    "ResponseRequest",
    "StoredResponse",
    "input_items",
    "not_kept",
    "parse",
    "shortened",
    "shown",
]
