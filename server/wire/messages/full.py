"""A full context, in the words by which Anthropic's clients recognize it."""

import re

from providers import ProviderError, ProviderRefusedRequest
from server.errors import GatewayError
from server.racing.errors import NobodyWon, StreamInterrupted

WORDS = "prompt is too long"
# What a prompt is made up of, and how large it and the context are.
PARTS = re.compile(r"\([^()]*\bin the\b[^()]*\)")
NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d{3,9})(?!\w)")


def full_context(error: GatewayError) -> str | None:
    """
    Return the message of *error* if it says that the prompt has no room in the context:
    with the tokens that it has and may have, where the upstream says both.
    """
    words = _upstreams_words(error)
    if words is None or words.startswith(WORDS):
        return words
    sizes = {int(n.replace(",", "")) for n in NUMBER.findall(PARTS.sub("", words))}
    match sorted(sizes):
        case (most, size):
            return f"{WORDS}: {size} tokens > {most} maximum"
    return f"{WORDS}: {words}"


def _upstreams_words(error: GatewayError) -> str | None:
    match error:
        case NobodyWon(too_long=True):
            return error.losses[0].error.message
        case StreamInterrupted() if _is_full(error.loss.error):
            return error.loss.error.message
    return None


def _is_full(error: ProviderError) -> bool:
    return isinstance(error, ProviderRefusedRequest) and error.too_long
