"""A running Gradio app as the tests see it: what happens in it, and other visitors."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import define

API = "/gradio_api"
SCRIPT = Path(__file__).parent / "gradio_app.py"
# The first function of the app, and the arguments of a small image.
INFER = 0
SMALL = [1, False, 32, 32, 1]


@define
class Space:
    """An app at *url*; *events* are what it tells, from the test's begin on."""

    url: str
    session: aiohttp.ClientSession
    events: aiohttp.StreamReader

    async def until(self, kind: str, **wanted: Any) -> Any:
        """Wait for the next event of a kind that has the *wanted* values; return it."""
        async with asyncio.timeout(20):
            while True:
                told = json.loads(await self.events.readline()).get(kind)
                if told is not None and wanted.items() <= dict(told).items():
                    return told

    async def sent(self, message: str) -> None:
        """Wait until somebody who listens to the queue has been sent a message."""
        await self.until("sent", msg=message)

    async def left(self) -> None:
        """Wait until somebody does not listen to the queue any more."""
        await self.until("end", path=f"{API}/queue/data")

    async def waiting(self) -> int:
        """Return how many jobs the app has in its queue."""
        async with self.session.get(f"{self.url}{API}/queue/status") as answer:
            return int((await answer.json())["queue_size"])

    async def release(self) -> None:
        """Let a job go on that is held, or the next that will be."""
        async with self.session.post(f"{self.url}/release") as answer:
            assert answer.status == 200

    async def join(self, prompt: str) -> str:
        """Queue another visitor's job; return what its messages are asked for with."""
        visitor = secrets.token_hex(8)
        job = {
            "data": [prompt, *SMALL],
            "fn_index": INFER,
            "session_hash": visitor,
        }
        async with self.session.post(f"{self.url}{API}/queue/join", json=job) as answer:
            assert answer.status == 200, await answer.text()
        return visitor

    @asynccontextmanager
    async def held(self, *waiting: str) -> AsyncIterator[None]:
        """
        Have a visitor's job keep the app busy, and others wait for it; leave it idle.
        """
        await self.join("hold for a visitor")
        await self.until("ran", prompt="hold for a visitor")
        for prompt in waiting:
            await self.join(prompt)
        try:
            yield
        finally:
            await self.release()
            for prompt in waiting:
                await self.until("ran", prompt=prompt)
            await self.idle()

    async def idle(self) -> None:
        """Wait until all jobs are done: one that comes last is done last."""
        query = {"session_hash": await self.join("the last one")}
        data = f"{self.url}{API}/queue/data"
        async with self.session.get(data, params=query) as answer:
            assert b"process_completed" in await answer.read()


@asynccontextmanager
async def visited(url: str) -> AsyncIterator[Space]:
    """Watch the app at *url*."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{url}/watch") as watching,
    ):
        assert await watching.content.readline() == b"{}\n"
        yield Space(url, session, watching.content)
        watching.close()


@contextmanager
def running(directory: Path) -> Iterator[str]:
    """Start the app on a free port, with its files in *directory*; yield its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = directory / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(port)],
            env=_environ(directory),
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert b"ready\n" in iter(process.stdout.readline, b""), log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _environ(directory: Path) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    return {
        **kept,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(directory),
        "HF_HUB_OFFLINE": "1",
    }
