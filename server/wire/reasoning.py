"""Reasoning that upstreams want back, and the messages with which they want it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from server.json_types import JSON, JSONMapping, JSONObject

DETAILS = "reasoning_details"
GROWING = ("text", "summary", "data")
THOUGHT = "reasoning_content"


def joined_details(fragments: Iterable[JSONMapping]) -> list[JSONObject]:
    """
    Return `reasoning_details` as whole entries: fragments of one `index` are one.

    Texts grow, all else is set; null sets nothing that was said before.
    """
    entries: list[JSONObject] = []
    by_index: dict[JSON, JSONObject] = {}
    for fragment in fragments:
        index = fragment.get("index")
        entry = by_index.get(index) if index is not None else None
        if entry is None:
            entry = dict(fragment)
            entries.append(entry)
            by_index[index] = entry
        else:
            _grow(entry, fragment)
    return entries


def _grow(entry: JSONObject, fragment: JSONMapping) -> None:
    for name, value in fragment.items():
        before = entry.get(name)
        if name in GROWING and isinstance(before, str) and isinstance(value, str):
            entry[name] = before + value
        elif value is not None or name not in entry:
            entry[name] = value


def carry_thoughts(messages: Sequence[JSONObject], starts: Iterable[int]) -> None:
    """
    Give each of the assistant's messages its reasoning, in turns with tool calls.

    Vendors that want reasoning back want it with every message of such a turn: its
    own, or that of the last message before it. In other turns nobody wants any.
    *starts* are the indexes at which turns begin, each with a user's message.
    """
    bounds = [0, *starts, len(messages)]
    for start, end in pairwise(bounds):
        turn = [m for m in messages[start:end] if m["role"] == "assistant"]
        calls = any("tool_calls" in message for message in turn)
        reasoning = ""
        for message in turn:
            reasoning = message.pop(THOUGHT, reasoning)
            if calls and reasoning:
                message[THOUGHT] = reasoning
