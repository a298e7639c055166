"""What real clients once sent, at upstreams of every dialect, without the clients."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from .driving import Job, Target
from .recorded_requests import recorded
from .rig import Upstream, running
from .scripted import SPEAKS, Racer, Turn, model, settings
from .sessions import Breaking, every_job
from .shapes import filled

# What a stream of each API ends with.
ENDS = {
    "/v1/chat/completions": b"data: [DONE]\n\n",
    "/v1/messages": b"event: message_stop\n",
    "/v1/responses": b"event: response.completed\n",
}
# These can't be answered yet. Whoever changes that takes them out of here.
JOBS = every_job()
NAMES = [job.name for job in JOBS]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spoken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, str, Upstream]]:
    """Start a server whose only provider speaks one dialect: its URL, and both."""
    kind = request.param
    config = tmp_path_factory.mktemp(kind) / "config.toml"
    async with AsyncExitStack() as stack:
        racer = Racer(f"Speaks-{kind}", kind, Turn(answer="Fine."))
        upstream = await stack.enter_async_context(model(racer))
        text = settings([(racer, upstream)])
        server = await stack.enter_async_context(running(config, text))
        yield server.url, kind, upstream


@pytest.mark.parametrize("job", JOBS, ids=NAMES)
@pytest.mark.parametrize("spoken", SPEAKS, indirect=True)
async def test_recorded_requests(spoken: tuple[str, str, Upstream], job: Job) -> None:
    """
    Every request of a client's turn is answered 200, and a stream has its end; or it is
    refused with the words that the client's row has for this upstream.
    """
    url, kind, upstream = spoken
    racer = job.racers(Target(name=kind, kinds=(kind,)))[0]
    # That a provider breaks off is no affair of the request's.
    plays = racer.plays.model if isinstance(racer.plays, Breaking) else racer.plays
    upstream.choose = lambda asked: plays.script(kind, asked)
    async with aiohttp.ClientSession() as session:
        for each in recorded(job.name):
            if each["body"] is not None:
                await check(session, url, each, job.client.refusals.get(kind))


async def check(
    session: aiohttp.ClientSession, url: str, each: Any, refusal: str | None
) -> None:
    path, body = each["path"], filled(each["body"])
    headers = {"Accept": "*/*", **filled(each["headers"]), "Accept-Encoding": "gzip"}
    async with session.post(url + path, json=body, headers=headers) as answer:
        sent = await answer.read()
    if refusal is not None:
        assert answer.status == 400
        assert refusal in sent.decode()
        return
    assert answer.status == 200, sent
    if body.get("stream"):
        assert ENDS[path.partition("?")[0]] in sent
