"""OpenAI's text completions, as we serve them: prompts in, what follows them out."""

from .answer import rendering_of
from .request import MAX_PROMPTS, CompletionRequest, parse

__all__ = ["MAX_PROMPTS", "CompletionRequest", "parse", "rendering_of"]
