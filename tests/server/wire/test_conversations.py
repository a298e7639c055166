"""Conversations that go from vendor to vendor, and what the next one is sent."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from providers import ChatRequest, ProviderRefusedRequest, ProviderSettings
from providers.dialects import DIALECTS
from server.config.tables import vendor_settings
from server.wire import chat, responses
from server.wire.messages import request as messages
from tests.rig import conversations
from tests.rig.validators import VALIDATORS

SEEDS = range(2000)


def _chat(body: bytes) -> ChatRequest:
    return chat.parse(body)[0]


def _message(body: bytes) -> ChatRequest:
    return messages.parse(body)[0]


def _response(body: bytes) -> ChatRequest:
    parsed, _ = responses.parse(body)
    return parsed.chat((), parsed.items())


PARSERS: dict[str, Callable[[bytes], ChatRequest]] = {
    "chat": _chat,
    "messages": _message,
    "responses": _response,
}


@frozen
class Target:
    """Whom a conversation goes on with, and who judges what it is sent."""

    validator: str
    settings: ProviderSettings
    model: str = "m"


def built_in(validator: str, vendor: str, model: str = "m") -> Target:
    return Target(validator, vendor_settings(vendor), model)


def elsewhere(validator: str, kind: str, model: str = "m") -> Target:
    settings = ProviderSettings(id="X", kind=kind, base_url="https://x.test/v1")
    return Target(validator, settings, model)


TARGETS = (
    built_in("openai", "OpenAI"),
    built_in("openai", "AzureOpenAI"),
    built_in("mistral", "Mistral"),
    built_in("deepseek", "DeepSeek"),
    built_in("groq", "Groq"),
    built_in("cerebras", "Cerebras"),
    built_in("cloudflare", "CloudflareAI"),
    built_in("google's twin", "VertexAI", "google/gemini-3-pro"),
    elsewhere("lenient", "openai"),
    built_in("anthropic", "Anthropic"),
    elsewhere("anthropic copy", "anthropic"),
    built_in("gemini 2", "Gemini", "gemini-2.5-flash"),
    built_in("gemini 3", "Gemini", "gemini-3-pro"),
    built_in("ollama", "Ollama"),
)


def sent(target: Target, request: ChatRequest) -> Any:
    dialect = DIALECTS[target.settings.kind](target.settings)
    return json.loads(dialect.encode(request, target.model).body)


def trouble(target: Target, request: ChatRequest) -> str:
    """Return why it gets no answer: the vendor refuses it, or it can't be sent."""
    try:
        return VALIDATORS[target.validator](sent(target, request))
    except ProviderRefusedRequest as refusal:
        return f"not sent: {refusal}"


@pytest.mark.parametrize("surface", conversations.SURFACES)
def test_any_conversation_goes_on_with_any_vendor(surface: str) -> None:
    """
    Whoever has answered so far, what the next vendor is sent is what it takes: ids,
    roles and their order, blank texts, fields.
    """
    write, parse = conversations.SURFACES[surface], PARSERS[surface]
    refusals: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    for seed in SEEDS[list(PARSERS).index(surface) :: len(PARSERS)]:
        made = conversations.conversation(seed, pictures=seed % 2 == 0)
        request = parse(json.dumps(write(made)).encode())
        for target in TARGETS:
            if target.validator == "cloudflare" and seed % 2 == 0:
                continue  # it takes no pictures
            if why := trouble(target, request):
                refusals[target.validator, why] += 1
                first.setdefault((target.validator, why), seed)

    assert not refusals, [(*key, n, first[key]) for key, n in refusals.most_common()]


def test_a_conversation_is_the_same_each_time() -> None:
    """The same history makes the same request, so that a vendor's cache knows it."""
    for seed in range(50):
        body = json.dumps(conversations.chat(conversations.conversation(seed))).encode()
        once, again = (chat.parse(body)[0] for _ in range(2))
        for target in TARGETS:
            if target.validator != "cloudflare":
                assert sent(target, once) == sent(target, again)
