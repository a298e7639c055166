"""A chat as the body that OpenAI's Responses API wants.

Facts: OpenAI's specification and the types of its package (3.57). The API answers 400
to a field that it does not know, so nothing is sent on unread; and it keeps what it is
not told to forget, so that is always said.
"""

from collections.abc import Mapping

from providers.chat import NOTHING, ChatRequest
from providers.dialects.translation import (
    check_carried,
    json_schema,
    most_tokens,
    refused,
    system_and_turns,
    without,
)
from providers.json_types import JSONObject
from providers.settings import ProviderSettings

from .conversation import API, input_items
from .tools import tools_of

CARRIED = frozenset(
    (
        "logprobs",
        "response_format",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "web_search_options",
    )
)
# What both APIs have by the same name.
SAME = ("temperature", "top_p", "user", "metadata")
SAME_UNREAD = (
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
)
SEALED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
# The smallest bound on an answer that is not refused.
LEAST_TOKENS = 16
# OpenAI's own hosts: a developer there is what a system is to its copies.
OPENAI = ("api.openai.com/", ".openai.azure.com/")


def is_openai(settings: ProviderSettings) -> bool:
    """Say whether a provider is OpenAI itself, there or in Azure."""
    return any(host in settings.base_url + "/" for host in OPENAI)


def response_body(
    request: ChatRequest, model: str, settings: ProviderSettings
) -> JSONObject:
    """
    Return the body that asks *model* for a streamed answer to *request*.

    Raises ProviderRefusedRequest for what the API can't say.
    """
    check_carried(request, CARRIED, API)
    body = {
        "model": model,
        **_conversation(request, settings),
        **tools_of(request),
        **_text(request),
        **_reasoning(request),
        **_bounds(request),
        **_same(request),
        "include": _included(request),
        "store": False,
        "stream": True,
    }
    if is_openai(settings):
        # It pads each event at random, which is of no use behind a gateway.
        body["stream_options"] = {"include_obfuscation": False}
    return without(body, settings.rules.unsupported_fields, "this provider")


def _conversation(request: ChatRequest, settings: ProviderSettings) -> JSONObject:
    role = "developer" if is_openai(settings) else "system"
    system, messages = system_and_turns(request.messages)
    items = input_items(request, messages, settings.id, role)
    if not items and system:
        # The API wants something to answer, and to be told something is that.
        items, system = [{"role": role, "content": system}], ""
    if not items:
        raise refused("no message has any content")
    return {"instructions": system, "input": items} if system else {"input": items}


def _text(request: ChatRequest) -> JSONObject:
    """Return how the text is to be; some copies refuse it without a format."""
    text = {"format": _format(request)}
    if verbosity := request.body.get("verbosity"):
        text["verbosity"] = verbosity
    return {"text": text} if text != {"format": {"type": "text"}} else {}


def _format(request: ChatRequest) -> JSONObject:
    schema, wanted = json_schema(request), request.response_format
    if wanted is None or schema is None:
        return {"type": "text"}
    if wanted.type == "json_object":
        return {"type": "json_object"}
    named = {"name": "answer", "strict": False, **(wanted.json_schema or {})}
    names = ("name", "description", "schema", "strict")
    given = {name: named[name] for name in names if named.get(name) is not None}
    return {"type": "json_schema", **given}


def _reasoning(request: ChatRequest) -> JSONObject:
    """
    Say how much to think; `reasoning` is no field of OpenAI's chats, but of this API.

    No summary is asked for by itself: accounts that are not verified get a 400.
    """
    given = request.body.get("reasoning")
    if not isinstance(given, Mapping):
        given = NOTHING
    wish = {
        "effort": request.reasoning_effort or given.get("effort"),
        "summary": given.get("summary"),
    }
    said = {name: value for name, value in wish.items() if value}
    return {"reasoning": said} if said else {}


def _bounds(request: ChatRequest) -> JSONObject:
    most = most_tokens(request)
    return {} if most is None else {"max_output_tokens": max(most, LEAST_TOKENS)}


def _same(request: ChatRequest) -> JSONObject:
    values = {name: getattr(request, name) for name in SAME}
    values |= {name: request.body.get(name) for name in SAME_UNREAD}
    if request.logprobs and request.top_logprobs:
        values["top_logprobs"] = request.top_logprobs
    return {name: value for name, value in values.items() if value is not None}


def _included(request: ChatRequest) -> list[str]:
    return [SEALED, LOGPROBS] if request.logprobs else [SEALED]
