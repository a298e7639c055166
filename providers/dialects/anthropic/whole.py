"""A message that came whole, as the events that a stream would have brought it in."""

from collections.abc import Iterator

from providers.json_types import JSONMapping, JSONObject

Event = JSONMapping
# The fields of a block that grow, each by deltas of a type.
GROWN = {
    "text": (("text", "text_delta"),),
    "thinking": (("thinking", "thinking_delta"), ("signature", "signature_delta")),
}
# The fields of a message that a stream tells at its end.
TOLD_LAST = ("stop_reason", "stop_sequence", "stop_details", "container")


def unrolled(message: Event) -> Iterator[Event]:
    """Yield the events of a message that came whole, though it was to be a stream."""
    usage = message.get("usage") or {"output_tokens": 0}
    yield from begun_with({"usage": usage, **message})
    last = {name: message[name] for name in TOLD_LAST if name in message}
    yield {"type": "message_delta", "delta": last, "usage": usage}
    yield {"type": "message_stop"}


def begun_with(message: Event) -> Iterator[Event]:
    """Yield the beginning of a message, and the events of the blocks that are in it."""
    begun: JSONObject = {"content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**message, **begun}}
    for index, block in enumerate(message.get("content") or ()):
        of = {"index": index}
        grown = GROWN.get(block.get("type"), ())
        empty = {name: "" for name, _ in grown if name in block}
        start = {**block, **empty}
        yield {"type": "content_block_start", **of, "content_block": start}
        for name, kind in grown:
            if block.get(name):
                delta = {"type": kind, name: block[name]}
                yield {"type": "content_block_delta", **of, "delta": delta}
        yield {"type": "content_block_stop", **of}
