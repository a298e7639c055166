"""Proxies in front: what they say of clients is believed of those that are named."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from hashlib import sha256

import aiohttp

from server.web.wrong_keys import AT_ONCE
from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, client, hello
from tests.rig.pictures import generated, picture
from tests.rig.raw_client import raw_client
from tests.rig.upstream import HEAD, answers, delta

KEYS = f"[[auth.keys]]\nname = 'k'\nsha256 = '{sha256(b'k').hexdigest()}'"
GOOD = {"Authorization": "Bearer k"}
LOOPBACK = "[server]\ntrusted_proxies = ['127.0.0.0/8', '10.0.0.0/8']"


def behind(*hops: str, **more: str) -> dict[str, str]:
    return {"X-Forwarded-For": ", ".join(hops), **more}


CLIENTS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "a proxy": (behind("203.0.113.9"), "203.0.113.9"),
    "a chain of them": (behind("203.0.113.9", "10.1.2.3"), "203.0.113.9"),
    "what a client made up": (
        behind("10.9.9.9", "198.51.100.1", "203.0.113.9"),
        "203.0.113.9",
    ),
    "all are ours": (behind("10.0.0.7", "10.0.0.8"), "10.0.0.7"),
    "no address": (behind("unknown"), "127.0.0.1"),
    "with a port": (behind("203.0.113.9:4711"), "203.0.113.9"),
    "IPv6": (behind("[2001:db8::9]:4711"), "2001:db8::9"),
    "IPv4 in IPv6": (behind("::ffff:203.0.113.9"), "203.0.113.9"),
    "no header": ({}, "127.0.0.1"),
}


async def test_log_tells_the_client(start_server: StartServer) -> None:
    """It is the last hop, seen from here, that is no proxy which is named."""
    server = await start_server(LOOPBACK)

    async with client(server.url) as me:
        for case, (headers, expected) in CLIENTS.items():
            seen = len(server.log)
            await me.get("/v1/nothing", headers=dict(headers))
            line = await server.logged("/v1/nothing.*client=([0-9a-f.:]+)", seen)
            assert line[1] == expected, case
    async with raw_client(server.url) as raw:
        head = "GET /v1/models HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nA\x00: b"
        await raw.send(f"{head}\r\n\r\n".encode())
        assert (await raw.to_the_end()).startswith(b"HTTP/1.1 400")
    await server.logged("/v1/models.*client=203.0.113.9")


async def test_urls_have_the_scheme_of_the_client(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Those of images and those that clients are told, where the proxy is named."""
    painter = await make_upstream(answers(200, generated(picture())))
    server = await start_server(LOOPBACK, painter.table("Painter"))
    body = {"prompt": "a cat", "model": "m", "provider": "Painter"}

    async def scheme(said: str) -> str:
        headers = behind("203.0.113.9", **{"X-Forwarded-Proto": said})
        root = await me.get("/v1", headers=headers)
        made = await me.request(
            "POST", "/v1/images/generations", json=body, headers=headers
        )
        url = str(made.json["data"][0]["url"])
        assert url.partition("/")[0] == root.json["openai_base_url"].partition("/")[0]
        return url.partition(":")[0]

    async with client(server.url) as me:
        for said in ("https", "HTTPS", "javascript, https"):
            assert await scheme(said) == "https"
        assert await scheme("gopher") == "http"
        server.reload(
            f"[server]\ntrusted_proxies = ['192.0.2.1']\n{painter.table('Painter')}"
        )
        await server.logged("reloaded")
        assert await scheme("https") == "http"


async def test_wrong_keys_slow_their_client_alone(start_server: StartServer) -> None:
    """Who guesses behind a proxy is answered late, and its neighbours are not."""
    server = await start_server(LOOPBACK, KEYS)
    loop = asyncio.get_running_loop()

    async def guess(address: str) -> float:
        began = loop.time()
        headers = behind(address, Authorization="Bearer wrong")
        assert (await me.get("/v1/models", headers=headers)).status == 401
        return loop.time() - began

    async with client(server.url) as me:
        last = [await guess("203.0.113.9") for _ in range(AT_ONCE + 5)][-1]
        neighbour = await guess("203.0.113.10")

    assert last > 0.3 > neighbour


async def test_connections_are_counted_for_the_client(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """
    A proxy may have any number of connections; a client behind it has its share, and
    one that it can't have is refused, until another ends.
    """
    upstream = await make_upstream([HEAD, delta(content="Hi"), ...])
    limits = f"{LOOPBACK}\nmax_connections_per_address = 2"
    server = await start_server(limits, upstream.table("One"))

    async def ask(address: str) -> aiohttp.ClientResponse:
        asked = session.post(
            server.url + CHAT, json=hello("One", stream=True), headers=behind(address)
        )
        return await answers.enter_async_context(asked)

    async with aiohttp.ClientSession() as session, AsyncExitStack() as answers:
        first, _ = [await ask("203.0.113.9") for _ in range(2)]
        refused = await ask("203.0.113.9")
        assert refused.status == 503
        assert re.search("too many connections", await refused.text())
        assert (await ask("203.0.113.10")).status == 200
        first.close()
        async with asyncio.timeout(5):
            while (await ask("203.0.113.9")).status != 200:
                pass  # the server has not seen it yet


async def test_a_reload_names_other_proxies(start_server: StartServer) -> None:
    """Who is believed changes for the next request, on connections that are open."""
    server = await start_server("")
    async with client(server.url) as me:
        await me.get("/v1/nothing", headers=behind("203.0.113.9"))
        await server.logged("client=127.0.0.1")
        server.reload(LOOPBACK)
        await server.logged("reloaded")
        await me.get("/v1/nothing", headers=behind("203.0.113.9"))
        await server.logged("client=203.0.113.9")
        server.reload("")
        await server.logged("reloaded", times=2)
        await me.get("/v1/nothing", headers=behind("203.0.113.11"))

    await server.logged("client=127.0.0.1", times=2)
