"""The events of an upstream that speaks Anthropic's Messages API, passed on."""

from collections.abc import Iterator

import orjson
from attrs import define, field

from providers import Chunk, NativeEvent
from server.json_types import JSONMapping, JSONObject
from server.wire.usage import without_nulls

from .events import message_start


@define(eq=False)
class Passing:
    """
    Passes an upstream's events on as they came.

    Only the first one is changed: it names the winner. Events that Anthropic always
    sends are added where a copy of its API leaves them out.
    """

    provider: str
    model: str
    _started: bool = field(default=False, init=False)
    _has_delta: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    def events(self, chunk: Chunk) -> Iterator[JSONObject | NativeEvent]:
        for event in chunk.native:
            if event.name == "message_start":
                yield from self._start(orjson.loads(event.data).get("message"))
            elif event.name == "message_delta":
                yield from self._start()
                yield self._message_delta(event)
            elif event.name == "message_stop":
                yield from self._before_end()
                yield event
            else:
                if event.name == "content_block_start":
                    yield from self._start()
                yield event

    def end(self) -> Iterator[JSONObject]:
        if not self._ended:
            yield from self._before_end()
            yield {"type": "message_stop"}

    def _start(self, message: JSONMapping | None = None) -> Iterator[JSONObject]:
        if self._started:
            return
        self._started = True
        default = message_start(self.provider, self.model)
        payload = {**default, **(message or {}), "provider": self.provider}
        # Anthropic's own package fails without a usage, here and at the end.
        payload["usage"] = without_nulls(payload["usage"]) or default["usage"]
        yield {"type": "message_start", "message": payload}

    def _message_delta(self, event: NativeEvent) -> JSONObject | NativeEvent:
        self._has_delta = True
        payload = orjson.loads(event.data)
        original = payload.get("usage")
        usage = without_nulls(original)
        if usage and usage == original:
            return event
        return {**payload, "usage": usage or {"output_tokens": 0}}

    def _before_end(self) -> Iterator[JSONObject]:
        self._ended = True
        yield from self._start()
        if not self._has_delta:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            usage = {"output_tokens": 0}
            yield {"type": "message_delta", "delta": delta, "usage": usage}
