"""OpenAI's chat completions, as we serve them."""

from providers import ChatRequest
from server.wire.errors import error_frame
from server.wire.format import Rendering

from .answer import ChatCompletionAnswer
from .payloads import Identity
from .request import parse
from .stream import ChatCompletionStream

__all__ = [
    "RENDERING",
    "ChatCompletionAnswer",
    "ChatCompletionStream",
    "Identity",
    "parse",
]


def _stream(chat: ChatRequest, provider: str, model: str) -> ChatCompletionStream:
    return ChatCompletionStream(Identity(provider, model), chat.include_usage)


def _answer(_: ChatRequest, provider: str, model: str) -> ChatCompletionAnswer:
    return ChatCompletionAnswer(Identity(provider, model))


RENDERING = Rendering(_stream, _answer, error_frame)
