"""Opens what the limits of keys are counted in, as the configuration says."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager

from server.config.store_settings import StateSettings
from server.record.channel import Channel, OnlyProcess

from .channel_store import ChannelStore
from .limiter import Limiter
from .store import MemoryStore


@asynccontextmanager
async def open_limiter(
    settings: StateSettings, channel: Channel
) -> AsyncIterator[Limiter]:
    """
    Yield the limiter. It counts in a Redis if *settings* name one, else in the process
    that keeps *channel*.
    """
    if settings.url:
        async with _counting_in_redis(settings) as limiter:
            yield limiter
    elif isinstance(channel, OnlyProcess):
        yield Limiter(MemoryStore())
    else:
        store = ChannelStore(channel)
        with _running(store.keep_renewing()):
            yield Limiter(store)


@asynccontextmanager
async def _counting_in_redis(settings: StateSettings) -> AsyncIterator[Limiter]:
    from server.stores.shared_redis import open_redis

    from .redis_store import RedisStore

    async with open_redis(settings.url) as redis:
        store = RedisStore(redis, settings.on_failure)
        with _running(store.keep_renewing()):
            yield Limiter(store)
        await store.aclose()


@contextmanager
def _running(work: Coroutine[None, None, None]) -> Iterator[None]:
    task = asyncio.create_task(work, name="limits")
    try:
        yield
    finally:
        task.cancel()
