"""OpenAI's Responses API, of which a provider is asked for its answer."""

from .count import count_input
from .dialect import Responses

__all__ = ["Responses", "count_input"]
