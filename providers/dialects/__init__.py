"""The dialects by the names that a configuration's `kind` has for them."""

from collections.abc import Callable

from . import counting
from .anthropic.dialect import Anthropic
from .base import UNREADABLE, Call, Dialect, WholeDialect
from .gemini.dialect import Gemini
from .images import gradio, pollinations
from .images import huggingface as huggingface_images
from .images.gradio_spaces import is_gradio_model
from .ollama.dialect import Ollama
from .openai import tasks as openai_tasks
from .openai.dialect import OpenAI
from .responses import Responses, count_input
from .talk import Ask, Reply, Result, Talk
from .upstream_errors import read_error

__all__ = [
    "COUNTERS",
    "DIALECTS",
    "TALKERS",
    "UNREADABLE",
    "WHOLE_DIALECTS",
    "Ask",
    "Call",
    "Dialect",
    "Reply",
    "Responses",
    "Result",
    "Talk",
    "WholeDialect",
    "is_gradio_model",
    "kinds",
    "read_error",
    "tasks_of",
]

# How providers of a kind do what is no chat, by (kind, task).
TALKERS: dict[tuple[str, str], Callable[..., Talk]] = {
    ("openai", "images"): openai_tasks.images,
    ("openai", "speech"): openai_tasks.speech,
    ("openai", "transcription"): openai_tasks.transcription,
    ("openai", "embeddings"): openai_tasks.embeddings,
    ("huggingface", "images"): huggingface_images.images,
    ("pollinations", "images"): pollinations.images,
    ("gradio", "images"): gradio.images,
}
# How providers of a kind count the tokens of a chat, if they can.
COUNTERS: dict[str, Callable[..., Talk]] = {
    "anthropic": counting.count_messages,
    "gemini": counting.count_content,
    "responses": count_input,
}
DIALECTS: dict[str, type[Dialect]] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "gemini": Gemini,
    "ollama": Ollama,
    "responses": Responses,
}
# Those of them whose answers may be asked for in one piece.
WHOLE_DIALECTS: dict[str, type[WholeDialect]] = {
    "openai": OpenAI,
    "responses": Responses,
}


def kinds() -> tuple[str, ...]:
    """Return every kind that a provider of these dialects can be of."""
    return tuple(dict.fromkeys([*DIALECTS, *(kind for kind, _ in TALKERS)]))


def tasks_of(kind: str) -> frozenset[str]:
    """Return what providers of a kind can be asked for."""
    chat = {"chat"} if kind in DIALECTS else set()
    return frozenset(chat | {task for name, task in TALKERS if name == kind})
