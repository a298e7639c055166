"""The formats that we serve: one row each."""

import re
from functools import lru_cache

from providers import ChatRequest

from . import chat, completions, messages, responses
from .completions import CompletionRequest
from .errors import OPENAI_ERRORS, ErrorShape
from .format import Format
from .responses import ResponseRequest

CHAT: Format[ChatRequest] = Format(
    path="/chat/completions",
    parse=lambda body, providers, _: chat.parse(body, providers),
    rendering=lambda _: chat.RENDERING,
    errors=OPENAI_ERRORS,
)
COMPLETIONS: Format[CompletionRequest] = Format(
    path="/completions",
    parse=lambda body, providers, _: completions.parse(body, providers),
    rendering=lambda request: completions.rendering_of(
        request, include_usage=request.include_usage
    ),
    errors=OPENAI_ERRORS,
)
RESPONSES: Format[ResponseRequest] = Format(
    path="/responses",
    parse=lambda body, providers, _: responses.parse(body, providers),
    rendering=lambda request: (
        responses.ResponseRendering(request, request.items()).form
    ),
    errors=OPENAI_ERRORS,
)
MESSAGES: Format[ChatRequest] = Format(
    path="/messages",
    parse=messages.parse,
    rendering=lambda _: messages.RENDERING,
    errors=messages.MESSAGES_ERRORS,
)
ROWS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
SHAPES = {row.path: row.errors for row in ROWS}
# Where requests of a format go, and what is below.
PATH = re.compile(rf"/(?:v1|api/[^/]+(?:/v1)?)({'|'.join(SHAPES)})(?:/.*)?")


@lru_cache
def error_shape(path: str) -> ErrorShape:
    """Return the shape of errors at the *path* of a URL, be it a route or not."""
    match = PATH.fullmatch(path)
    return OPENAI_ERRORS if match is None else SHAPES[match[1]]
