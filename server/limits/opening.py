"""Opens what the limits of keys are counted in, as the configuration says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.config.settings import StateSettings

from .limiter import Limiter


@asynccontextmanager
async def open_limiter(settings: StateSettings) -> AsyncIterator[Limiter]:
    """Yield the limiter, which counts in a Redis if *settings* name one."""
    if not settings.url:
        yield Limiter()
        return
    from server.stores.shared_redis import open_redis  # noqa: PLC0415 - it is an extra

    from .redis_store import RedisStore  # noqa: PLC0415 - likewise

    async with open_redis(settings.url) as redis:
        store = RedisStore(redis, settings.on_failure)
        renewing = asyncio.create_task(store.keep_renewing(), name="limits")
        try:
            yield Limiter(store)
        finally:
            renewing.cancel()
            await store.aclose()


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
