"""Answers of Anthropic's Messages API: streams of events, and whole messages."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import orjson
from attrs import define, field

from providers import (
    MESSAGES,
    ChatPiece,
    ChatRequest,
    NativeEvent,
    ProviderProtocolError,
    chunks_of,
)
from server.json_types import JSONObject
from server.wire.bound import AnswerSize
from server.wire.format import Rendering
from server.wire.frames import event_frame

from .count import estimate
from .errors import error_frame
from .events import MessageEvent
from .passing import Passing
from .translating import Translating

Event = MessageEvent | JSONObject | NativeEvent


@define(eq=False)
class MessageEvents:
    """
    An answer's events: passed on where its upstream speaks this API, which its first
    chunk tells, and translated otherwise. *estimate* guesses the tokens of the request,
    for upstreams that do not count them.
    """

    provider: str
    model: str
    estimate: Callable[[], int]
    _source: Passing | Translating | None = field(default=None, init=False)

    def of(self, pieces: Iterable[ChatPiece]) -> Iterator[Event]:
        for chunk in chunks_of(pieces):
            if self._source is None:
                passes = any(event.format == MESSAGES for event in chunk.native)
                self._source = (
                    Passing(self.provider, self.model)
                    if passes
                    else Translating(self.provider, self.model, self.estimate)
                )
            yield from self._source.events(chunk)

    def end(self, cost: float | None) -> Iterable[Event]:
        return self._source.end(cost) if self._source is not None else ()


@define(eq=False)
class MessagesStream:
    """Chunks to server-sent events, each with its name."""

    events: MessageEvents

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        """Return the frames for chunks that arrived together."""
        return b"".join([_frame(event) for event in self.events.of(pieces)])

    def end(self, cost: float | None = None) -> bytes:
        """Return the last frames of a stream that is whole."""
        return b"".join([_frame(event) for event in self.events.end(cost)])


@define(eq=False)
class GrowingMessage:
    """
    A message, put together from its events.

    *texts* are the pieces of what grows in each block, by the block's index and the
    name of the field.
    """

    fields: JSONObject = field(factory=dict)
    blocks: dict[int, JSONObject] = field(factory=dict)
    texts: dict[int, dict[str, list[str]]] = field(factory=dict)
    _size: AnswerSize = field(factory=AnswerSize, init=False)

    def add(self, event: Event) -> None:
        """Take in *event*; raises ProviderProtocolError beyond the bound."""
        data = event.data if isinstance(event, NativeEvent) else orjson.dumps(event)
        self._size.grow(len(data))
        payload = orjson.loads(data)
        match payload["type"]:
            case "message_start":
                self.fields |= payload["message"]
            case "content_block_start":
                self.blocks[payload["index"]] = dict(payload["content_block"])
            case "content_block_delta":
                self._grow(payload["index"], payload["delta"])
            case "message_delta":
                self._finish(payload)

    def _finish(self, event: JSONObject) -> None:
        """Add what is known only at the end: why it ended, and the usage."""
        delta, usage = event.pop("delta"), event.pop("usage")
        del event["type"]
        counts = {name: count for name, count in usage.items() if count is not None}
        self.fields |= {**event, **delta, "usage": {**self.fields["usage"], **counts}}

    def _grow(self, index: int, delta: JSONObject) -> None:
        """Add a delta to its block: texts grow, and a citation is one more."""
        block, texts = self.blocks[index], self.texts.setdefault(index, {})
        for name, value in delta.items():
            if name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif name != "type" and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            elif name != "type":
                block[name] = value

    def payload(self) -> JSONObject:
        """Return the message; raises ProviderProtocolError if a call is broken."""
        for index, texts in self.texts.items():
            block = self.blocks[index]
            whole = {name: "".join(pieces) for name, pieces in texts.items()}
            if arguments := whole.pop("partial_json", ""):
                block["input"] = self._input(arguments)
            block |= {name: (block.get(name) or "") + whole[name] for name in whole}
        return {**self.fields, "content": list(self.blocks.values())}

    def _input(self, arguments: str) -> JSONObject:
        """Parse a call's input; one that was cut short can't be shown."""
        try:
            parsed = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            parsed = {} if self.fields.get("stop_reason") == "max_tokens" else None
        if not isinstance(parsed, dict):
            raise ProviderProtocolError("a tool call's input is not a JSON object")
        return parsed


@define(eq=False)
class MessagesAnswer:
    """Chunks to one message, which is put together from the events of a stream."""

    events: MessageEvents
    _message: GrowingMessage = field(factory=GrowingMessage, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for event in self.events.of(pieces):
            self._message.add(event)

    def body(self, cost: float | None = None) -> bytes:
        """Return the message; raises ProviderProtocolError if it can't be shown."""
        for event in self.events.end(cost):
            self._message.add(event)
        payload = self._message.payload()
        try:
            return orjson.dumps(payload)
        except orjson.JSONEncodeError as exc:
            # A call's input comes as text, whose depth nobody has checked before.
            raise ProviderProtocolError("a tool call's input is too deep") from exc


def _frame(event: Event) -> bytes:
    if isinstance(event, NativeEvent):
        # A line feed between JSON's tokens would end the field.
        return event_frame(event.name, event.data.replace(b"\n", b"\ndata: "))
    return event_frame(event["type"], orjson.dumps(event))


def _events(request: ChatRequest, provider: str, model: str) -> MessageEvents:
    return MessageEvents(provider, model, partial(estimate, request))


RENDERING = Rendering(
    stream=lambda *facts: MessagesStream(_events(*facts)),
    answer=lambda *facts: MessagesAnswer(_events(*facts)),
    error_frame=error_frame,
)
