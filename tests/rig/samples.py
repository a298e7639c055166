"""
Recorded answers of upstreams, how a transport delivers one to its dialect, and the
chunks that it is to be read as.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from providers import (
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ToolCallDelta,
    Usage,
    chunks_of,
)
from providers.dialects import Dialect

WIRE = Path(__file__).parents[1] / "wire"
ALL_AT_ONCE = 1 << 20


def delivered(
    dialect: Dialect, body: bytes, size: int = ALL_AT_ONCE
) -> Iterator[Chunk]:
    """
    Yield the chunks of an answer whose body arrives in pieces of *size* bytes.

    What follows the answer's own end is not delivered: a transport hangs up there.
    """
    for start in range(0, len(body), size):
        yield from chunks_of(dialect.receive(body[start : start + size]))
        if dialect.done:
            return
    yield from chunks_of(dialect.end())
    assert dialect.done


def chunk(
    content: str | None = None,
    *,
    index: int = 0,
    finish: FinishReason | None = None,
    logprobs: Any = None,
    whole: dict[str, Any] | None = None,
    **delta: Any,
) -> Chunk:
    """Return the chunk of one choice; *whole* is what stands beside its choices."""
    choice = Choice(
        index=index,
        delta=Delta(content=content, **delta),
        finish_reason=finish,
        logprobs=logprobs,
    )
    return Chunk(choices=(choice,), **(whole or {}))


def call(index: int, arguments: str | None = None, **more: Any) -> ToolCallDelta:
    """Return a piece of a call: its first one, if it has a name."""
    if "name" in more:
        more = {"type": "function", **more}
    return ToolCallDelta(index=index, arguments=arguments, **more)


def counted(prompt: int, completion: int, **extra: Any) -> Usage:
    total = prompt + completion
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        extra=extra,
    )


def events(*payloads: Any) -> bytes:
    """Return the stream of these events."""
    return b"".join(b"data: " + json.dumps(p).encode() + b"\n\n" for p in payloads)
