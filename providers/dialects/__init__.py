"""The dialects by the names that a configuration's `kind` has for them."""

from .base import Call, Dialect, read_error
from .openai import OpenAI

__all__ = ["DIALECTS", "Call", "Dialect", "read_error"]

DIALECTS: dict[str, type[Dialect]] = {"openai": OpenAI}
