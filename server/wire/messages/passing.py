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

    Two are changed: the first names the winner, and the one with the usage says what
    the answer cost, for which it waits for the end. Events that Anthropic always sends
    are added where a copy of its API leaves them out.
    """

    provider: str
    model: str
    _started: bool = field(default=False, init=False)
    _delta: NativeEvent | None = field(default=None, init=False)
    _has_delta: bool = field(default=False, init=False)
    _stop: NativeEvent | None = field(default=None, init=False)

    def events(self, chunk: Chunk) -> Iterator[JSONObject | NativeEvent]:
        for event in chunk.native:
            if event.name == "message_start":
                yield from self._start(orjson.loads(event.data).get("message"))
            elif event.name == "message_delta":
                yield from self._start()
                yield from self._waiting()
                self._delta = event
            elif event.name == "message_stop":
                self._stop = event
            else:
                yield from self._waiting()
                if event.name == "content_block_start":
                    yield from self._start()
                yield event

    def end(self, cost: float | None = None) -> Iterator[JSONObject | NativeEvent]:
        yield from self._start()
        yield from self._waiting(cost)
        if not self._has_delta:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            usage = {"output_tokens": 0}
            yield {"type": "message_delta", "delta": delta, "usage": usage}
        yield self._stop or {"type": "message_stop"}

    def _start(self, message: JSONMapping | None = None) -> Iterator[JSONObject]:
        if self._started:
            return
        self._started = True
        default = message_start(self.provider, self.model)
        payload = {**default, **(message or {}), "provider": self.provider}
        # Anthropic's own package fails without a usage, here and at the end.
        payload["usage"] = without_nulls(payload["usage"]) or default["usage"]
        yield {"type": "message_start", "message": payload}

    def _waiting(self, cost: float | None = None) -> Iterator[JSONObject | NativeEvent]:
        """Yield the event with the usage, if it waits."""
        event, self._delta = self._delta, None
        if event is None:
            return
        self._has_delta = True
        payload = orjson.loads(event.data)
        original = payload.get("usage")
        usage = without_nulls(original)
        if cost is not None:
            usage = {**(usage or {}), "cost": cost}
        if usage and usage == original:
            yield event
        else:
            yield {**payload, "usage": usage or {"output_tokens": 0}}
