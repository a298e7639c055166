"""The dialect `ollama`, and what belongs to it."""

from .dialect import Ollama

__all__ = ["Ollama"]
