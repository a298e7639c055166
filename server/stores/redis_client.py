"""Connects to a Redis: one alone, a cluster, or what Sentinels watch."""

from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Reply = object


class Pipe(Protocol):
    def execute_command(self, *arguments: object) -> object: ...

    async def execute(self, *, raise_on_error: bool) -> list[Reply]: ...


class Client(Protocol):
    """What is used of redis-py's clients, whose types differ."""

    def pipeline(self, *, transaction: bool) -> Pipe: ...

    async def ping(self) -> object: ...

    async def publish(self, channel: str, message: bytes) -> object: ...

    async def aclose(self) -> None: ...


def connect(url: str, patience: float) -> Client:
    """
    Return a client of the Redis at *url*; it connects when it is first used, and waits
    *patience* seconds for an answer.

    `redis://`, `rediss://` (TLS) and `unix://` as redis-py has them; a cluster is
    `redis+cluster://` or `rediss+cluster://`, and what Sentinels watch
    `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE`. Raises ValueError.
    """
    options: dict[str, Any] = {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
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
