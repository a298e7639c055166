"""A prefix of all paths, for a server that is a part of another's site."""

import re
from html.parser import HTMLParser

import aiohttp
from yarl import URL

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, client, hello
from tests.rig.pictures import generated, picture
from tests.rig.raw_client import raw_client
from tests.rig.upstream import answers, says

PREFIX = "[server]\npath_prefix = '/llm/v0'"


class Links(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "script" and name in {"href", "src"} and value:
                self.found.append(value)


async def test_all_is_below_it(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Every route, the URLs that are made here, and what the two pages load."""
    upstream = await make_upstream(says("Hi"))
    painter = await make_upstream(answers(200, generated(picture())))
    server = await start_server(PREFIX, upstream.table("One"), painter.table("Painter"))
    assert server.url.endswith("/llm/v0")

    async with client(server.url) as me:
        assert (await me.chat("One")).said == "Hi"
        assert (await me.get("/v1/races?limit=1")).status == 200
        assert (await me.get("/healthz")).status == 200
        image = {"prompt": "a cat", "model": "m", "provider": "Painter"}
        made = await me.request("POST", "/v1/images/generations", json=image)
        url = made.json["data"][0]["url"]
        assert url.startswith(f"{server.url}/media/")
        assert (await me.get(url.removeprefix(server.url))).status == 200
        based = await me.get("/api/One")
        assert based.json["openai_base_url"] == f"{server.url}/api/One"
        wrong = await me.get("/v1/chat/nothing")
        assert f"{server.url}/v1" in wrong.json["error"]["message"]
        document = (await me.get("/openapi.json")).json
        assert document["servers"] == [{"url": "/llm/v0"}]
        for page in ("/", "/docs"):
            shown = await me.get(page, headers={"Accept": "text/html"})
            links = Links()
            links.feed(shown.body.decode())
            for link in links.found:
                assert (await me.get(f"/{link}")).status == 200, link


async def test_nothing_is_beside_it(start_server: StartServer) -> None:
    """
    Other paths are refused, the prefix itself leads on, and errors have the shape of
    the API that was meant, also of what HTTP refuses.
    """
    server = await start_server(PREFIX)
    root = str(URL(server.url).origin())

    async with aiohttp.ClientSession() as session:
        for path in ("/", "/healthz", CHAT, "/llm/v00/healthz", "/llm"):
            async with session.get(root + path) as answer:
                assert answer.status == 404
                told = (await answer.json())["error"]["message"]
                assert re.search("below /llm/v0/", told), path
        async with session.get(f"{root}/llm/v0", allow_redirects=False) as answer:
            assert answer.status == 308
            assert answer.headers["Location"] == "/llm/v0/"
        url = f"{server.url}/v1/messages"
        async with session.post(url, json=hello("Nobody")) as answer:
            assert (await answer.json())["type"] == "error"  # Anthropic's shape
    async with raw_client(root) as raw:
        await raw.send(b"POST /llm/v0/v1/messages HTTP/1.1\r\nA\x00: b\r\n\r\n")
        assert b'"type":"error"' in await raw.to_the_end()
