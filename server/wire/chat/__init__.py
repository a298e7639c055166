"""OpenAI's chat completions, as we serve them."""

from providers import ChatRequest
from server.wire.errors import error_frame
from server.wire.format import Rendering

from .answer import ChatCompletionAnswer
from .custom_calls import custom_calls
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
    identity = Identity(provider, model)
    return ChatCompletionStream(identity, chat.include_usage, custom_calls(chat))


def _answer(chat: ChatRequest, provider: str, model: str) -> ChatCompletionAnswer:
    return ChatCompletionAnswer(Identity(provider, model), custom_calls(chat))


RENDERING = Rendering(_stream, _answer, error_frame)
