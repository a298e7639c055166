"""The file of races, and that neither it nor any other place has a word of them."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from attrs import define

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import CHAT, Client, client, hello
from tests.rig.race_listener import AUTH, heard, key_of, listening
from tests.rig.server_process import Server
from tests.rig.upstream import HEAD, answers, delta, says

WORD = "hushhush"


async def test_no_word_of_what_was_said(
    serve: Serve, stack: AsyncExitStack, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """Neither prompts nor answers, no key, no upstream's message, wherever it is."""
    scripts = {
        "Refusing": answers(400, {"error": {"message": WORD, "code": f"bad_{WORD}"}}),
        "Failing": answers(500, {"error": {"message": WORD}}),
        "Dying": [HEAD, delta(content=WORD), b""],
        "Good": says(WORD),
    }
    tables = [
        (await make_upstream(script)).table(name, api_key=f"sk-{WORD}")
        for name, script in scripts.items()
    ]
    file = tmp_path / "races.jsonl"
    me = await serve(f"[log]\nraces_file = '{file}'", AUTH, *tables)
    events = await stack.enter_async_context(listening(me, "admin"))

    told = []
    for name in scripts:
        said = [{"role": "user", "content": WORD}]
        body = hello(name, messages=said, user=WORD, stream=True)
        headers = {**key_of("mine"), "X-Other": WORD}
        async with client(me.url) as alone:  # a broken stream ends its connection
            path = f"{CHAT}?key={WORD}"
            await alone.request("POST", path, json=body, headers=headers)
        told.append(await heard(events))
    listed = await me.get("/v1/races", headers=key_of("admin"))

    refused, failed, died, won = (story["code"] for story in told)
    assert (refused, failed) == ("request_refused", "all_providers_failed")
    assert (died, won) == ("stream_interrupted", None)
    assert listed.json["data"] == told[::-1]
    assert WORD not in json.dumps(told)


@define
class Writing:
    """A server, and where it has been told to write races to."""

    server: Server
    client: Client
    good: str

    async def to(self, file: Path, **settings: Any) -> str:
        """Have races written to *file* from now on; ask, and return the race's id."""
        lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
        seen = len(self.server.log)
        self.server.reload(f"[log]\nraces_file = '{file}'\n{lines}\n{self.good}")
        await self.server.logged("reloaded", since=seen)
        answer = await self.client.chat("Good")
        assert answer.status == 200
        return str(answer.headers["X-Request-ID"])


async def test_file_of_races(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """
    Each race is a line of JSON. A reload opens the file again, so that it may be moved
    away, or elsewhere; if it can't be opened that is logged, and nothing else suffers.
    """
    good = (await make_upstream(says("Good"))).table("Good")
    server = await start_server(good)
    me = await stack.enter_async_context(client(server.url))
    writing, folder = Writing(server, me, good), server.config.parent
    file, moved, blocked = (folder / name for name in ("races", "moved", "blocked"))

    first = await writing.to(file)
    file.rename(moved)
    second = await writing.to(file)
    blocked.mkdir()
    await writing.to(blocked)
    await server.logged("races are not written")
    blocked.rmdir()
    third = await writing.to(blocked)
    fourth = await writing.to(blocked, races_max_bytes=10)
    assert await server.stop() == 0

    assert [ids(moved), ids(file)] == [[first], [second]]
    # The race before may be there, too, if it ended when the place was free again.
    assert ids(folder / "blocked.1")[-1] == third
    assert ids(blocked) == [fourth]


def ids(file: Path) -> list[str]:
    return [json.loads(line)["id"] for line in file.read_bytes().splitlines()]


async def test_file_of_each_worker(
    start_server: StartServer, stack: AsyncExitStack, make_upstream: MakeUpstream
) -> None:
    """Two processes do not write to one file: each has its own, by its number."""
    good = (await make_upstream(says("Good"))).table("Good")
    server = await start_server(arguments=["--workers", "2"])
    await server.logged("serving", times=2)
    file = server.config.parent / "races.jsonl"
    server.reload(f"[log]\nraces_file = '{file}'\n{good}")
    await server.logged("reloaded", times=3)

    asked = []
    for _ in range(12):  # connections of their own, so that both workers have some
        async with client(server.url) as me:
            asked.append((await me.chat("Good")).headers["X-Request-ID"])
    assert await server.stop() == 0

    found = [ids(file.with_name(f"races-{number}.jsonl")) for number in (1, 2)]
    assert sorted(found[0] + found[1]) == sorted(asked)
    assert not file.exists()
