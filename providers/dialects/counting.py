"""How many tokens a chat has, asked of the vendors that count them without answering.

Facts: the types of Anthropic's package (2.12) and of Google's (google-genai 3.4).
"""

import orjson

from providers.chat import MESSAGES, ChatRequest
from providers.errors import ProviderProtocolError
from providers.json_types import JSON
from providers.settings import ProviderSettings
from providers.tasks import TokenCount

from .anthropic.access import headers_of
from .anthropic.native import passed_body
from .anthropic.request import message_body
from .anthropic.turns import API
from .base import Call, written
from .gemini.access import key_of, path_of
from .gemini.request import API as GEMINI
from .gemini.request import content_body
from .history import sendable, sound_history
from .talk import Ask, Talk
from .tools import functions_only

AS_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
# Fields of a message that its count does not depend on, and that are refused with it.
NOT_COUNTED = (
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
)


def count_messages(
    settings: ProviderSettings, request: ChatRequest, model: str
) -> Talk:
    """Count with Anthropic's Messages API."""
    headers = {**headers_of(settings), **AS_JSON}
    if (native := request.native) is not None and native.format == MESSAGES:
        body = passed_body(settings, native, model, [])
        headers |= native.headers
    else:
        request = sound_history(functions_only(request, API, []), [])
        body = message_body(settings, request, model, [])
    counted = {name: body[name] for name in body if name not in NOT_COUNTED}
    return (
        yield from _count("messages/count_tokens", counted, headers, "input_tokens")
    )


def count_content(settings: ProviderSettings, request: ChatRequest, model: str) -> Talk:
    """Count with Google's Gemini API."""
    path = path_of(model)
    request = sendable(request, GEMINI, [], [])
    whole = {"model": path, **content_body(request, model)}
    headers = key_of(settings) | AS_JSON
    body = {"generateContentRequest": whole}
    return (yield from _count(f"{path}:countTokens", body, headers, "totalTokens"))


def _count(path: str, body: JSON, headers: dict[str, str], name: str) -> Talk:
    reply = yield Ask(call=Call(path, written(body), headers))
    count = orjson.loads(reply.expect("application/json"))[name]
    if not isinstance(count, int) or count < 0:
        raise ProviderProtocolError("its count of tokens is no number of tokens")
    return TokenCount(input_tokens=count)
