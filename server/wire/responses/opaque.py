"""What an upstream wants back with its reasoning, as clients carry it unread."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import orjson

# Signed thoughts, and what stands beside a tool call: of the latter, this alone.
BLOCKS = "thinking_blocks"
BESIDE_CALL = "extra_content"


def is_detail(block: Any) -> bool:
    """Say whether a block is one of OpenRouter's `reasoning_details`, by its type."""
    kind = block.get("type") if isinstance(block, Mapping) else None
    return isinstance(kind, str) and kind.startswith("reasoning.")


def sealed(blocks: list[Any], calls: Mapping[str, Any]) -> str | None:
    """
    Return signed thoughts or details of reasoning, and what came beside calls (by their
    ids), as the text that OpenAI's API calls `encrypted_content`; None for nothing.
    """
    if not blocks and not calls:
        return None
    return b64encode(orjson.dumps({BLOCKS: blocks, BESIDE_CALL: calls})).decode()


def unsealed(text: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what `sealed` was given; nothing for what was sealed elsewhere."""
    try:
        found = orjson.loads(b64decode(text, validate=True))
        blocks, calls = found[BLOCKS], found[BESIDE_CALL]
    except (binascii.Error, TypeError, ValueError, LookupError):
        return [], {}
    if not isinstance(blocks, list) or not isinstance(calls, dict):
        return [], {}
    return blocks, calls
