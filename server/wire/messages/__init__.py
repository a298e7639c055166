"""Anthropic's Messages API, as we serve it."""

from .answer import RENDERING
from .errors import MESSAGES_ERRORS
from .request import parse, parse_count

__all__ = ["MESSAGES_ERRORS", "RENDERING", "parse", "parse_count"]
