"""Rests of providers, and who tries them after that, shared by all processes."""

import orjson

from server.racing.health import Health
from server.racing.resting import Rest

from .channel import RESTS, Channel


def share_rests(health: Health, channel: Channel) -> None:
    """Have a provider that one process has found failing rest for all."""

    def tell(provider: str, rest: Rest) -> None:
        if channel.wanted(RESTS):
            # The clock is the same in all processes of a machine.
            channel.publish(RESTS, orjson.dumps((provider, *rest.state())), provider)

    def hear(payload: bytes) -> None:
        provider, until, rests, tried_until = orjson.loads(payload)
        health.of(provider).rest.adopt(until, rests, tried_until)

    health.on_rest = tell
    channel.listen(RESTS, hear)
