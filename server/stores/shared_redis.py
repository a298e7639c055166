"""A Redis (or Valkey) that several machines share: one connection a worker, in batches.

Nothing waits longer than `PATIENCE` for it. What is sent while a batch is under way
goes with the next one, so that a busy worker pays for few round trips.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import structlog
from attrs import define, field
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

log = structlog.get_logger(__name__)

PATIENCE = 0.05  # s that a request waits for Redis, at most
# Turns of the loop that it waits besides, in which what has come already is read: on a
# busy loop, an answer in time may have to wait for its turn.
TURNS = 10
BATCH_PATIENCE = 4 * PATIENCE  # s for a batch, whoever still waits for it
PROBE_EVERY = 1.0  # s between two tries to reach a Redis that is away
AT_ONCE = 100  # commands of a batch, at most
# Batches in a row that fail until Redis counts as away: a busy loop alone can make one.
FAILURES = 3

Reply = object


class Away(Exception):
    """Redis can't be reached, or does not answer in time."""


@define(eq=False)
class Script:
    """A Lua script, known to Redis by the SHA-1 of its text."""

    text: str
    digest: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


@define(eq=False)
class Call:
    """A script with what it is given, and who waits for its reply."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]
    reply: asyncio.Future[Reply]


class Pipe(Protocol):
    def execute_command(self, *arguments: object) -> object: ...

    async def execute(self, *, raise_on_error: bool) -> list[Reply]: ...


class Client(Protocol):
    """What is used of redis-py's clients, whose types differ."""

    def pipeline(self, *, transaction: bool) -> Pipe: ...

    async def ping(self) -> object: ...

    async def publish(self, channel: str, message: bytes) -> object: ...

    async def aclose(self) -> None: ...


def connect(url: str) -> Client:
    """
    Return a client of the Redis at *url*; it connects when it is first used.

    `redis://`, `rediss://` (TLS) and `unix://` as redis-py has them; a cluster is
    `redis+cluster://` or `rediss+cluster://`, and what Sentinels watch
    `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE`. Raises ValueError.
    """
    options: dict[str, Any] = {
        "socket_timeout": BATCH_PATIENCE,
        "socket_connect_timeout": BATCH_PATIENCE,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme, _, rest = url.partition("://")
    plain, _, kind = scheme.partition("+")
    if kind == "cluster":
        return cast(Client, RedisCluster.from_url(f"{plain}://{rest}", **options))
    if kind == "sentinel":
        return _watched_by_sentinels(rest, options | {"ssl": plain == "rediss"})
    if kind:
        raise ValueError(f"{kind!r} is no way to run Redis: cluster or sentinel is")
    return cast(Client, Redis.from_url(url, **options))


def _watched_by_sentinels(rest: str, options: dict[str, Any]) -> Client:
    parts = urlsplit(f"//{rest}")
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    sentinels = [_address(host) for host in hosts.split(",")]
    watched = Sentinel(  # type: ignore[no-untyped-call]
        sentinels, sentinel_kwargs=options, **options
    )
    service = parts.path.strip("/") or "mymaster"
    return cast(
        Client,
        watched.master_for(service, username=user or None, password=password or None),
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else (text, 26379)


@define(eq=False)
class SharedRedis:
    """
    Runs scripts in batches, and knows whether Redis is there.

    *on_return* is called each time that it can be reached after it was away, and *up*
    only once that is done: what was counted elsewhere meanwhile comes first. It may
    raise Away.
    """

    _client: Client
    _waiting: deque[Call] = field(factory=deque, init=False)
    _wake: asyncio.Event = field(factory=asyncio.Event, init=False)
    _failures: int = field(default=0, init=False)
    up: bool = field(default=True, init=False)
    _returning: asyncio.Task[None] | None = field(default=None, init=False)
    on_return: list[Callable[[], Awaitable[None]]] = field(factory=list, init=False)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        *arguments: str | bytes | int,
        patience: float = PATIENCE,
    ) -> Reply:
        """
        Return what *script* answers. Raises Away, after *patience* seconds at most.

        While Redis is coming back, that is for `on_return` alone.
        """
        if not self.up and asyncio.current_task() is not self._returning:
            raise Away
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(Call(script, keys, arguments, reply))
        self._wake.set()
        await asyncio.wait((reply,), timeout=patience)
        for _ in range(TURNS):
            if reply.done():
                return reply.result()
            await asyncio.sleep(0)
        reply.cancel()
        raise Away

    async def keep_running(self) -> None:
        """Send what waits, and look for Redis while it is away, until cancelled."""
        while True:
            try:
                sends = self.up or self._returning is not None
                await (self._send() if sends else self._look_again())
            except Exception as exc:
                log.exception("Redis is not used as it should be", reason=repr(exc))
                await asyncio.sleep(PROBE_EVERY)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self) -> None:
        if self._failures:  # is it away, or was it but a busy moment?
            await self._ping()
            return
        await self._wake.wait()
        self._wake.clear()
        while self._waiting:
            await self._send_batch()

    async def _send_batch(self) -> None:
        number = min(len(self._waiting), AT_ONCE)
        calls = [self._waiting.popleft() for _ in range(number)]
        calls = [call for call in calls if not call.reply.done()]
        try:
            replies = await self._execute(calls)
        except (RedisError, OSError, TimeoutError) as exc:
            self._failed(str(exc) or type(exc).__name__)
            for call in calls:
                if not call.reply.done():
                    call.reply.set_exception(Away())
                    call.reply.exception()  # whoever waited may have gone
            return
        self._failures = 0
        for call, reply in zip(calls, replies, strict=True):
            if call.reply.done():
                continue
            if isinstance(reply, Exception):
                log.error("Redis refuses a script", why=str(reply))
                call.reply.set_exception(Away())
                call.reply.exception()
            else:
                call.reply.set_result(reply)

    async def _execute(self, calls: Sequence[Call]) -> list[Reply]:
        replies = await self._try(calls, by_digest=True)
        unknown = [i for i, reply in enumerate(replies) if _is_unknown(reply)]
        if unknown:
            again = await self._try([calls[i] for i in unknown], by_digest=False)
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return replies

    async def _try(self, calls: Sequence[Call], *, by_digest: bool) -> list[Reply]:
        pipe = self._client.pipeline(transaction=False)
        for call in calls:
            command = "EVALSHA" if by_digest else "EVAL"
            script = call.script.digest if by_digest else call.script.text
            pipe.execute_command(
                command, script, len(call.keys), *call.keys, *call.arguments
            )
        async with asyncio.timeout(BATCH_PATIENCE):
            return await pipe.execute(raise_on_error=False)

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self.up and self._failures >= FAILURES:
            self.up = False
            log.warning("Redis is away", why=why)
            self._wake.set()

    async def _ping(self) -> bool:
        """Say whether Redis answers, which ends a row of failures."""
        try:
            async with asyncio.timeout(BATCH_PATIENCE):
                await self._client.ping()
        except (RedisError, OSError, TimeoutError) as exc:
            self._failed(str(exc) or type(exc).__name__)
            return False
        self._failures = 0
        return True

    async def _look_again(self) -> None:
        await asyncio.sleep(PROBE_EVERY)
        if not await self._ping():
            return
        log.info("Redis is back")
        self._returning = asyncio.create_task(self._return(), name="redis:return")

    async def _return(self) -> None:
        try:
            for each in self.on_return:
                await each()
            self.up = True
        except Away:
            pass  # again, so that it is looked for again
        finally:
            self._returning = None
            self._wake.set()


def _is_unknown(reply: Reply) -> bool:
    return isinstance(reply, NoScriptError)


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[SharedRedis]:
    """Yield the Redis at *url*, which need not be there. Raises ValueError."""
    redis = SharedRedis(connect(url))
    running = asyncio.create_task(redis.keep_running(), name="redis")
    try:
        yield redis
    finally:
        running.cancel()
        await redis.aclose()
