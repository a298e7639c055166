"""Reading what odd upstreams send, with a dialect alone, byte by byte or at once."""

import json
from typing import Any

from attrs import define, field

from providers import Chunk, ProviderSettings, Usage, chunks_of
from providers.dialects import DIALECTS
from server.wire.chat import ChatCompletionAnswer, Identity

SIZES = (1, 1 << 20)
DONE = b"data: [DONE]\n\n"


@define
class Answer:
    """What an answer comes to, and the notes of its dialect."""

    message: dict[str, Any]
    finish: str
    native: str | None
    usage: Usage | None
    notes: list[str]
    sound_end: bool
    chunks: list[Chunk] = field(factory=list)

    @property
    def calls(self) -> list[tuple[str, str]]:
        made = self.message.get("tool_calls", ())
        return [(c["function"]["name"], c["function"]["arguments"]) for c in made]

    @property
    def ids(self) -> list[str]:
        return [call["id"] for call in self.message.get("tool_calls", ())]


def answer(body: bytes, size: int, kind: str = "openai") -> Answer:
    """Read a whole body as the transport does, in pieces of *size* bytes."""
    dialect = DIALECTS[kind](ProviderSettings(id="Test", kind=kind))
    chunks: list[Chunk] = []
    for start in range(0, len(body), size):
        chunks += chunks_of(dialect.receive(body[start : start + size]))
        if dialect.done:
            break
    if not dialect.done:
        chunks += chunks_of(dialect.end())
    return _told(dialect, chunks)


def whole(payload: Any) -> Answer:
    """Read a completion that was asked for in one piece."""
    dialect = DIALECTS["openai"](ProviderSettings(id="Test", kind="openai"))
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    pieces = dialect.read_whole(body)  # type: ignore[attr-defined]
    return _told(dialect, list(chunks_of(pieces)))


def _told(dialect: Any, chunks: list[Chunk]) -> Answer:
    told = ChatCompletionAnswer(Identity("Test", "m"))
    told.add(chunks)
    body = json.loads(told.body())
    ends = [c for each in chunks for c in each.choices if c.finish_reason]
    usages = [each.usage for each in chunks if each.usage]
    assert len(ends) == len({choice.index for choice in ends}), "told once"
    return Answer(
        message=body["choices"][0]["message"],
        finish=ends[0].finish_reason or "",
        native=ends[0].native_finish_reason,
        usage=usages[-1] if usages else None,
        notes=dialect.notes,
        sound_end=dialect.sound_end,
        chunks=chunks,
    )


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def d(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    """Return a chunk whose only choice has this delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return event({"choices": [choice]})


def tool(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: str = "",
) -> dict[str, Any]:
    """Return a piece of a call, less what is None."""
    function = {"name": name, "arguments": arguments}
    piece = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in piece.items() if value is not None}


def calls(*pieces: dict[str, Any]) -> bytes:
    return d({"tool_calls": pieces})
