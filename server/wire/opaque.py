"""What an upstream wants back with its reasoning: sealed as text for clients."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

import orjson

from providers import SEALED_HERE
from server.json_types import JSON, JSONMapping, JSONObject

# Signed reasoning, and the one field beside a tool call that has to come back.
BLOCKS = "thinking_blocks"
BESIDE_CALL = "extra_content"


def is_detail(block: JSON) -> bool:
    """Say whether a block is one of OpenRouter's `reasoning_details`, by its type."""
    kind = block.get("type") if isinstance(block, Mapping) else None
    return isinstance(kind, str) and kind.startswith("reasoning.")


def sealed(blocks: list[JSON], calls: JSONMapping) -> str | None:
    """
    Return signed reasoning or details of it, and what came beside calls (by their
    ids), as the text that OpenAI's API calls `encrypted_content`; None for nothing.
    """
    if not blocks and not calls:
        return None
    return b64encode(orjson.dumps({BLOCKS: blocks, BESIDE_CALL: calls})).decode()


def unsealed(text: JSON) -> tuple[list[JSON], JSONObject]:
    """Return what `sealed` has encoded; nothing for a text from elsewhere."""
    try:
        payload = orjson.loads(b64decode(text, validate=True))
        blocks, calls = payload[BLOCKS], payload[BESIDE_CALL]
    except (binascii.Error, TypeError, ValueError, LookupError):
        return [], {}
    if not isinstance(blocks, list) or not isinstance(calls, dict):
        return [], {}
    return blocks, calls


def redacted(blocks: list[JSON], calls: JSONMapping) -> str:
    """
    Return *blocks*, and what came beside *calls*, as the data of `redacted_thinking`,
    which Anthropic's API has.
    """
    return SEALED_HERE + (sealed(blocks, calls) or "")


def sealed_in(blocks: Sequence[JSONMapping]) -> tuple[list[JSON], JSONObject]:
    """
    Return what was sealed here for other vendors, and what came beside calls, by their
    ids; nothing of Anthropic's own.
    """
    unsealed_blocks: list[JSON] = []
    calls: JSONObject = {}
    for block in blocks:
        match block:
            case {"type": "redacted_thinking", "data": str(data)}:
                if data.startswith(SEALED_HERE):
                    seals, beside = unsealed(data.removeprefix(SEALED_HERE))
                    unsealed_blocks += seals
                    calls |= beside
    return unsealed_blocks, calls
