"""The dialect `gemini`, and what belongs to it."""

from .dialect import Gemini

__all__ = ["Gemini"]
