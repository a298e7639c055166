"""Which of a chat's messages follow each other, for vendors that are strict in it."""

from collections.abc import Iterator, Sequence

from providers.json_types import JSONMapping

Sent = JSONMapping
# What the assistant says where a vendor wants it to say something.
WORD = "I see."
THOUGHT = "reasoning_content"


def in_turns(messages: Sequence[Sent]) -> Iterator[Sent]:
    """Yield messages so that an assistant's follows a tool's, and none is empty."""
    before = ""
    for message in messages:
        role = message.get("role")
        if role != "assistant":
            if before == "tool" and role != "tool":
                yield {"role": "assistant", "content": WORD}
            yield message
        elif message.get("content") or message.get("tool_calls"):
            yield message
        else:
            yield {**message, "content": WORD}
        before = role or ""


def with_thoughts(messages: Sequence[Sent]) -> Iterator[Sent]:
    """
    Yield messages so that each of the assistant's has the last reasoning before it in
    its turn, from one user's message to the next, if it calls tools and has none.
    """
    turn: list[Sent] = []
    for message in messages:
        if message.get("role") == "user":
            yield from _with_thoughts(turn)
            turn = []
        turn.append(message)
    yield from _with_thoughts(turn)


def _with_thoughts(turn: list[Sent]) -> Iterator[Sent]:
    if not any(message.get("tool_calls") for message in turn):
        yield from turn
        return
    thought = ""
    for message in turn:
        if message.get("role") != "assistant":
            yield message
            continue
        thought = message.get(THOUGHT) or thought
        yield {**message, THOUGHT: thought} if thought else message
