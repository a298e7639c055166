"""Messages that pass as they are, between a client and an upstream of the same API."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from attrs import define, evolve, field

from providers.chat import MESSAGES, Chunk, NativeEvent, NativeRequest
from providers.dialects.framing import MAX_EVENT_BYTES, EventTooLarge
from providers.settings import ProviderSettings

from .cleaning import cleaned, is_own_host

# What can stand behind `event:`.
NAME = re.compile(r"[\w.-]+")
# The fields of a message that a stream tells at its end.
TOLD_LAST = ("stop_reason", "stop_sequence", "stop_details", "container")


def passed_body(
    settings: ProviderSettings, request: NativeRequest, model: str, notes: list[str]
) -> dict[str, Any]:
    """
    Return what the client said, but for the model, and asking for a stream.

    What the API would refuse of other vendors' turns is put right, and noted.
    """
    body = {**request.body, "model": model, "stream": True}
    return cleaned(body, notes, signed_only=is_own_host(settings))


@define
class Passage:
    """
    Puts an answer's events into its chunks.

    What comes before the first token goes with it, or with the end if there is none.
    """

    _held: list[NativeEvent] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _spoke: bool = field(default=False, init=False)
    _waiting: list[Chunk] = field(factory=list, init=False)

    def carry(
        self, chunks: list[Chunk], event: Mapping[str, Any], data: bytes
    ) -> list[Chunk]:
        """Return *chunks*, what *event* has been read as, with the event in them."""
        if self._spoke:
            self._held += _native(event, data)
        else:
            self._hold(event, data)
            self._waiting += chunks
            if not any(map(_goes_out, chunks)):
                return []
            self._spoke = True
            chunks, self._waiting = self._waiting, []
        made = chunks or [Chunk()]
        made[0] = evolve(made[0], native=self.left())
        return made

    def left(self) -> tuple[NativeEvent, ...]:
        """Return the events that have not gone out: of an answer without a token."""
        held, self._held = tuple(self._held), []
        return held

    def _hold(self, event: Mapping[str, Any], data: bytes) -> None:
        if event.get("type") == "ping":
            return  # there may be any number of them
        self._held += _native(event, data)
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            text = f"what comes before the first token is over {MAX_EVENT_BYTES} bytes"
            raise EventTooLarge(text)


def _goes_out(chunk: Chunk) -> bool:
    """Whether it is a token, or the end of an answer that has none."""
    return chunk.has_token or any(each.finish_reason for each in chunk.choices)


def _native(event: Mapping[str, Any], data: bytes) -> list[NativeEvent]:
    if event.get("type") == "message":
        return [
            NativeEvent(MESSAGES, str(each["type"]), orjson.dumps(each))
            for each in _unrolled(event)
        ]
    name = event.get("type")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return []
    return [NativeEvent(MESSAGES, name, data)]


def _unrolled(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a message that came whole, though it was to be a stream."""
    begun: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
    usage = message.get("usage") or {"output_tokens": 0}
    yield {"type": "message_start", "message": {"usage": usage, **message, **begun}}
    for index, block in enumerate(message.get("content") or ()):
        of = {"index": index}
        yield {"type": "content_block_start", **of, "content_block": block}
        yield {"type": "content_block_stop", **of}
    last = {name: message[name] for name in TOLD_LAST if name in message}
    yield {"type": "message_delta", "delta": last, "usage": usage}
    yield {"type": "message_stop"}
