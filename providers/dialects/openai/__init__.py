"""The dialect `openai`, and what belongs to it."""

from .dialect import OpenAI

__all__ = ["OpenAI"]
