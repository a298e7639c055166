"""What clients and operators are told when something is wrong, and that it helps."""

from typing import Any

import aiohttp
import pytest

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import client
from tests.rig.upstream import answers, says

PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9"}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "x"}]}
            | {"providers": ["A"]},
            "There is no field 'providers': name them in 'provider'",
        ),
        (
            "/v1/images/generate",
            {"prompt": "a city", "size": "large"},
            "'size' must be 'auto', or a width and a height in pixels as '1024x1024'.",
        ),
    ],
)
async def test_fields(serve: Serve, path: str, body: Any, told: str) -> None:
    """A wrong field is told in words, with the right one."""
    me = await serve("")

    answer = await me.request("POST", path, json=body)

    assert answer.status == 400
    assert told in answer.error["message"]


async def test_a_named_provider_that_rests(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """It stands among those that failed, with why it was not called."""
    bad = await make_upstream(answers(500, {"error": {"message": "broken"}}))
    worse = await make_upstream(answers(429, {"error": {"message": "slow down"}}))
    me = await serve(bad.table("Bad"), worse.table("Resting"))
    for _ in range(3):
        await me.chat("Resting")

    answer = await me.chat("Bad Resting")

    told = {each["id"]: each for each in answer.error["providers"]}
    assert told["Bad"]["message"] == "broken"
    assert told["Resting"]["code"] == "not_called"
    assert "resting" in told["Resting"]["message"]


async def test_a_page_for_browsers(serve: Serve) -> None:
    """A person who has mistyped a URL reads the reason; nothing of it is a script."""
    me = await serve("")

    url = f"{me.url}/<script>alert(1)</script>"
    async with (
        aiohttp.ClientSession() as session,  # the client expects what is documented
        session.get(url, headers=PAGE) as page,
    ):
        text = await page.text()
    told = await me.get("/nothing")

    assert (page.status, page.content_type) == (404, "text/html")
    assert "There is no GET" in text
    assert "<script>" not in text
    assert told.error["code"] == "not_found"


async def test_the_log_says_why(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """A refusal's line has its code, its reason, and whose it was; probes have none."""
    upstream = await make_upstream(says("hello"))
    server = await start_server(upstream.table("Good"))
    async with client(server.url) as me:
        await me.get("/healthz")
        await me.chat("Godo")
        origin = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        await me.request("POST", "/v1/chat/completions", data=b"{}", headers=origin)
        await me.chat("Good")

    await server.logged("winner=Good")
    await server.logged(
        "status=404 .*client=127.0.0.1 code=provider_not_found"
        r" error=.*There is no provider 'Godo'"
    )
    await server.logged("code=origin_not_allowed .*evil.example.*server.cors_origins")
    assert not any("healthz" in line for line in server.log)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_reload_says_what_has_changed(
    start_server: StartServer, workers: str
) -> None:
    """Keys and tables are named, without their values."""
    server = await start_server("", arguments=["--workers", workers])

    server.reload(
        "[race]\nmax_racers = 3\n[providers.Mine]\nkind = 'openai'\n"
        "base_url = 'http://127.0.0.1:9'\napi_key = 'a secret'\n"
    )

    await server.logged(r"reloaded changed='?race.max_racers, providers.Mine'?$")
    assert not any("a secret" in line for line in server.log)
