"""How many tokens a chat has, asked of an upstream that speaks the Responses API."""

import orjson

from providers.chat import ChatRequest
from providers.dialects.base import Call
from providers.dialects.talk import Ask, Talk
from providers.errors import ProviderProtocolError
from providers.json_types import JSON
from providers.settings import ProviderSettings
from providers.tasks import TokenCount

from .dialect import body_of, headers_of

# The fields that a count depends on; others are refused with it.
COUNTED = (
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
)


def count_input(settings: ProviderSettings, request: ChatRequest, model: str) -> Talk:
    """Count with /responses/input_tokens, which OpenAI has and few copies do."""
    body = body_of(request, model, settings)
    counted = {name: body[name] for name in COUNTED if name in body}
    headers = headers_of(settings, "application/json")
    call = Call("responses/input_tokens", orjson.dumps(counted), headers)
    reply = yield Ask(call=call)
    count: JSON = orjson.loads(reply.expect("application/json"))["input_tokens"]
    if type(count) is not int or count < 0:
        raise ProviderProtocolError("its count of tokens is no number of tokens")
    return TokenCount(input_tokens=count)
