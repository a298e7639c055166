"""Every fault of a provider, in every shape of race, on real sockets: the matrix."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter

import pytest

from tests.conftest import MakeUpstream, StartServer
from tests.faults.matrix import Matrix, matrix
from tests.faults.table import http_errors, named
from tests.rig.client import Answer, Client, client, frames, text
from tests.rig.resources import calm
from tests.rig.upstream import Upstream, says

NAMES = dict.fromkeys(fault.name for fault in [*named(), *http_errors()])
STREAMS = 50
WHOLES = 25


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Play all faults on one server, once."""

    async def play() -> Matrix:
        async with matrix(tmp_path_factory.mktemp("matrix")) as made:
            await made.play([*named(), *http_errors()])
            return made

    return asyncio.run(play())


@pytest.mark.parametrize("name", NAMES)
def test_fault(name: str, played: Matrix) -> None:
    """
    Where one racer is at fault, the client gets the other's answer, to the byte, or one
    clean error with the status that section 5 of the contract has for it; a stream that
    breaks ends with an error frame; and no key is told to anybody.
    """
    findings = [each for each in played.findings if each.cell.fault.name == name]

    assert findings
    assert not [problem for each in findings for problem in each.problems]


def test_faults_leave_nothing_behind(played: Matrix) -> None:
    """
    After each batch of faults the server has the tasks and descriptors that it had
    before, and no connection to an upstream; none of them was asked again and again,
    and no key is in the log.
    """
    assert not played.left


@asynccontextmanager
async def doomed() -> AsyncIterator[tuple[asyncio.subprocess.Process, Upstream]]:
    """Start an upstream in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.rig.killable_upstream"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process, Upstream(port=int(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask_and_kill(
    url: str, kill: Callable[[], None]
) -> tuple[list[tuple[bytes, float]], list[Answer]]:
    """
    Ask for streams and whole answers, and *kill* when all streams have begun. Return
    each stream with the seconds from then to its end, and the answers.
    """
    begun = asyncio.Barrier(STREAMS + 1)

    async def stream(asking: Client) -> tuple[bytes, float]:
        async with asking.open_chat("Doomed Other") as answer:
            first = await answer.content.readuntil(b"\n\n")
            await begun.wait()
            return first + await answer.read(), perf_counter()

    async with client(url) as me, asyncio.TaskGroup() as group:
        wholes = [group.create_task(me.chat("Doomed Other")) for _ in range(WHOLES)]
        streams = [group.create_task(stream(me)) for _ in range(STREAMS)]
        await begun.wait()
        at = perf_counter()
        kill()
    ended = [(body, end - at) for body, end in (task.result() for task in streams)]
    return ended, [task.result() for task in wholes]


async def test_upstream_that_is_killed(
    start_server: StartServer, make_upstream: MakeUpstream, stack: AsyncExitStack
) -> None:
    """
    When an upstream is killed in the midst of its answers, each stream ends with the
    error frame within a second, and whoever wanted a whole answer gets the other's.
    """
    process, dying = await stack.enter_async_context(doomed())
    killed = asyncio.Event()
    other = await make_upstream([killed, *says("Good")])
    tables = dying.table("Doomed"), other.table("Other")
    server = await start_server(*tables, module="tests.rig.leak_watch")

    def kill() -> None:
        process.kill()
        killed.set()

    streams, wholes = await ask_and_kill(server.url, kill)

    for body, seconds in streams:
        *said, error = frames(body)
        assert (text(said), error["error"]["code"]) == ("Hel", "stream_interrupted")
        assert b'"finish_reason":"' not in body
        assert seconds < 1
    for answer in wholes:
        assert (answer.status, answer.said) == (200, "Good")
        assert 'desc="failed: unreachable"' in answer.headers["Server-Timing"]
    await other.stop()
    await calm(server)
