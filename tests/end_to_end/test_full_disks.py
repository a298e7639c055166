"""Storage that fails, on a real server process: what was paid for is delivered."""

import sqlite3
import sys
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import Client, client, frames
from tests.rig.pictures import noise
from tests.rig.upstream import says

from .test_images import makes, paint, painter

RESPONSES = "/v1/responses"
# No file may grow past so many KiB: as on a full disk, for root as well.
FULL = 256
TOLD = {"model": "m", "input": "hello", "provider": "One"}


def limited(kib: int) -> tuple[str, ...]:
    """Return a command that runs the server so that its files stay small."""
    run = f'ulimit -f {kib * 2}; exec "$0" -m server "$@"'
    return ("sh", "-c", run, sys.executable)


async def not_kept(asked: Client) -> dict[str, str]:
    """Return what /readyz says that nobody keeps."""
    ready = await asked.get("/readyz")
    assert ready.status == 200
    return dict(ready.json.get("not_kept", {}))


@pytest.mark.parametrize("stream", [False, True])
async def test_response_that_can_not_be_kept_is_delivered(
    start_server: StartServer,
    make_upstream: MakeUpstream,
    tmp_path: Path,
    *,
    stream: bool,
) -> None:
    """The disk is full: the answer comes, and says that it is not stored."""
    upstream = await make_upstream(says("x" * 400_000))
    path = tmp_path / "r.sqlite"
    server = await start_server(
        upstream.table("One"),
        f'[responses]\npath = "{path}"',
        command=limited(FULL),
    )

    async with client(server.url) as asked:
        got = await asked.request("POST", RESPONSES, json=TOLD | {"stream": stream})
        response = frames_end(got.body) if stream else got.json
        missing = await asked.get(f"{RESPONSES}/{response['id']}")
        assert "responses" in await not_kept(asked)

        upstream.script = says("small")
        kept = await asked.request("POST", RESPONSES, json=TOLD)
        assert (await asked.get(f"{RESPONSES}/{kept.json['id']}")).status == 200
        assert await not_kept(asked) == {}

    assert got.status == 200
    assert response["store"] is False
    assert response["output"][0]["content"][0]["text"] == "x" * 400_000
    assert stream or got.headers["X-Stored"] == "false"
    assert missing.status == 404
    await server.logged("a response can't be kept")
    assert "Traceback" not in "\n".join(server.log)


def frames_end(body: bytes) -> dict[str, Any]:
    """Return the response object of a stream's last event."""
    data = body.rpartition(b"\ndata: ")[2]
    return dict(frames(b"data: " + data)[0]["response"])


async def test_locked_store_holds_up_nobody(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """
    While another process has it locked, answers come, a second later at most; what is
    stored is read; what can't be done now is told.
    """
    upstream = await make_upstream(says("Hi"))
    path = tmp_path / "r.sqlite"
    server = await start_server(upstream.table("One"), f'[responses]\npath = "{path}"')

    async with client(server.url) as asked:
        kept = (await asked.request("POST", RESPONSES, json=TOLD)).json
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for _ in range(3):
                got = await asked.request("POST", RESPONSES, json=TOLD)
                assert (got.status, got.json["store"]) == (200, False)
            read = await asked.get(f"{RESPONSES}/{kept['id']}")
            turn = TOLD | {"previous_response_id": kept["id"]}
            follows = await asked.request("POST", RESPONSES, json=turn)
            deleted = await asked.request("DELETE", f"{RESPONSES}/{kept['id']}")
            assert "responses" in await not_kept(asked)
            other.execute("ROLLBACK")
        again = await asked.request("POST", RESPONSES, json=TOLD)

    assert read.json["id"] == kept["id"]
    assert follows.status == 200
    assert (deleted.status, deleted.error["code"]) == (503, "storage_failed")
    assert "store" not in again.json


async def test_races_that_can_not_be_written_are_told(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """Answers come all the same, /readyz is degraded, and not for good."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        upstream.table("One"), "[log]\nraces_file = '/dev/full'"
    )

    async with client(server.url) as asked:
        assert await not_kept(asked) == {}
        assert (await asked.chat("One")).said == "Hi"
        await server.logged("a race can't be written to its file")
        assert "No space left" in (await not_kept(asked))["races"]
        file = server.config.with_name("races.jsonl")
        server.reload(f"{upstream.table('One')}\n[log]\nraces_file = '{file}'")
        await server.logged("reloaded")
        assert await not_kept(asked) == {}


async def test_image_that_can_not_be_kept_is_in_the_answer(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """And no part of it is left over in the folder."""
    image = noise(400)
    upstream = await make_upstream(makes(image))
    folder = tmp_path / "media"
    server = await start_server(
        painter(upstream, "One"),
        f'[media]\ndirectory = "{folder}"',
        command=limited(FULL),
    )

    async with client(server.url) as asked:
        got = await paint(asked, model="flux", provider="One")
        assert "images" in await not_kept(asked)

    assert got.status == 200
    assert got.headers["X-Stored"] == "false"
    assert b64decode(got.json["data"][0]["b64_json"]) == image
    assert list(folder.rglob("*")) == []
