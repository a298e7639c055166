"""OpenAI's Responses API, as we serve it: a request in, typed output items out."""

from .request import ResponseRequest, parse
from .stored import Stored, input_items, shown
from .stream import Rendering
from .truncation import shortened

__all__ = [
    "Rendering",
    "ResponseRequest",
    "Stored",
    "input_items",
    "parse",
    "shortened",
    "shown",
]
