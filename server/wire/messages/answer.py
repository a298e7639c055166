"""Anthropic's Messages, as we serve them: events, whole messages, errors."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import orjson
from attrs import define, field

from providers import ChatPiece, ChatRequest, NativeEvent, ProviderProtocolError
from server.errors import GatewayError, Loss, NobodyWon, StreamInterrupted
from server.wire.format import Format

from .count import estimate
from .events import MAX_ANSWER, Event, Events
from .full import full_context

# The statuses that the API has, and what it calls them.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# What it says where others have these.
STATUSES = {422: 400, 503: 529}
# How upstreams say that they have too much to do.
OVERLOADED = (429, 503, 529)


@define(eq=False)
class MessagesStream:
    """Chunks to server-sent events, each with its name."""

    events: Events

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        """Return the frames for chunks that arrived together."""
        return b"".join([_frame(event) for event in self.events.of(pieces)])

    def end(self) -> bytes:
        """Return the last frames of a stream that is whole."""
        return b"".join([_frame(event) for event in self.events.end()])


@define(eq=False)
class _Message:
    """
    A message, put together from its events.

    *texts* are the pieces of what grows in each block, by the block's index and the
    name of the field.
    """

    fields: Event = field(factory=dict)
    blocks: dict[int, Event] = field(factory=dict)
    texts: dict[int, dict[str, list[str]]] = field(factory=dict)
    size: int = 0

    def add(self, made: Event | NativeEvent) -> None:
        data = made.data if isinstance(made, NativeEvent) else orjson.dumps(made)
        event = orjson.loads(data)
        self.size += len(data)
        if self.size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")
        match event["type"]:
            case "message_start":
                self.fields |= event["message"]
            case "content_block_start":
                self.blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                self._grow(event["index"], event["delta"])
            case "message_delta":
                self._finish(**event)

    def _finish(self, delta: Event, usage: Event, **more: Any) -> None:
        told = {name: count for name, count in usage.items() if count is not None}
        del more["type"]
        self.fields |= {**more, **delta, "usage": {**self.fields["usage"], **told}}

    def _grow(self, index: int, delta: Event) -> None:
        """Add a delta to its block: texts grow, and a citation is one more."""
        block, texts = self.blocks[index], self.texts.setdefault(index, {})
        for name, value in delta.items():
            if name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif name != "type" and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            elif name != "type":
                block[name] = value

    def payload(self) -> Event:
        for index, texts in self.texts.items():
            block = self.blocks[index]
            said = {name: "".join(pieces) for name, pieces in texts.items()}
            if arguments := said.pop("partial_json", ""):
                block["input"] = self._input(arguments)
            block |= {name: (block.get(name) or "") + said[name] for name in said}
        return {**self.fields, "content": list(self.blocks.values())}

    def _input(self, arguments: str) -> dict[str, Any]:
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
    """Chunks to one message: what the events of a stream would come to."""

    events: Events
    _message: _Message = field(factory=_Message, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for event in self.events.of(pieces):
            self._message.add(event)

    def body(self) -> bytes:
        """Return the message; raises ProviderProtocolError if it is a broken one."""
        for event in self.events.end():
            self._message.add(event)
        return orjson.dumps(self._message.payload())


def error_frame(error: GatewayError) -> bytes:
    return _frame({"type": "error", "error": error_object(error)})


def error_answer(error: GatewayError, request_id: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer that is an error."""
    payload = {"type": "error", "error": error_object(error), "request_id": request_id}
    return status_of(error), orjson.dumps(payload)


def status_of(error: GatewayError) -> int:
    if full_context(error):
        return 400
    match error:
        case StreamInterrupted():
            losses: Sequence[Loss] = (error.loss,)
        case NobodyWon(status=502):
            losses = error.losses
        case _:
            return STATUSES.get(error.status, error.status)
    busy = all(loss.error.status in OVERLOADED for loss in losses)
    return 529 if busy else 500


def error_object(error: GatewayError) -> dict[str, Any]:
    """Return the error as it stands under `error`: with what all errors here have."""
    if full := full_context(error):
        return error.payload() | {"type": TYPES[400], "message": full}
    return error.payload() | {"type": _type(error)}


def _type(error: GatewayError) -> str:
    other = TYPES[400] if error.status < 500 else TYPES[500]  # noqa: PLR2004 - HTTP's
    return TYPES.get(status_of(error), other)


def _frame(event: Event | NativeEvent) -> bytes:
    if isinstance(event, NativeEvent):
        # A line feed between JSON's tokens would end the field.
        data = event.data.replace(b"\n", b"\ndata: ")
        return b"event: %s\ndata: %s\n\n" % (event.name.encode(), data)
    name = event["type"].encode()
    return b"event: %s\ndata: %s\n\n" % (name, orjson.dumps(event))


def _events(request: ChatRequest, provider: str, model: str) -> Events:
    return Events(provider, model, partial(estimate, request))


FORMAT = Format(
    stream=lambda *what: MessagesStream(_events(*what)),
    answer=lambda *what: MessagesAnswer(_events(*what)),
    error_frame=error_frame,
)
