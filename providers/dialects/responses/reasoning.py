"""A model's sealed reasoning, as clients of other formats carry it unread.

The gateway keeps nothing between two calls and asks no upstream to, so what a model
has thought travels with the client: as an entry of an assistant message's
`thinking_blocks`, where Anthropic's signed thoughts are, too.
"""

from providers.json_types import JSONMapping, JSONObject

BLOCKS = "thinking_blocks"
ENTRY = "openai_reasoning"


def entry_of(item: JSONMapping, provider: str) -> JSONObject | None:
    """
    Return the entry for a reasoning item that is done; None if it has no seal.

    It names its *provider*, since the others answer 400 to a seal that is not theirs.
    """
    seal = item.get("encrypted_content")
    if not seal or not isinstance(seal, str):
        return None
    summary = item.get("summary") or []
    return {
        "type": ENTRY,
        "provider": provider,
        "encrypted_content": seal,
        "summary": summary,
    }


def items_from(message: JSONMapping, provider: str) -> list[JSONObject]:
    """
    Return the reasoning items that *provider* has made, out of what a client sends
    back with an assistant's message.

    They have no ids: of what is not stored, an upstream would look them up in vain.
    """
    blocks = message.get(BLOCKS)
    items = []
    for block in blocks if isinstance(blocks, list) else ():
        match block:
            case {"type": "openai_reasoning", "encrypted_content": str(seal)}:
                if block.get("provider") != provider or not seal:
                    continue
                summary = block.get("summary")
                items.append(
                    {
                        "type": "reasoning",
                        "summary": summary if isinstance(summary, list) else [],
                        "encrypted_content": seal,
                    }
                )
    return items
