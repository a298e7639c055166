"""The dialect `anthropic`, and what belongs to it."""

from .dialect import Anthropic

__all__ = ["Anthropic"]
