"""What a server process holds: its tasks, its descriptors, its memory."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from .client import client
from .server_process import Server
from .upstream import Upstream

# Seconds until what is left of a request must be gone: a connection may linger for one,
# and one that was opened ahead for the next race is kept for 15.
SETTLING = 20.0
# Nothing tells of a descriptor's end: it has to be looked for.
GLANCE = 0.1
CONNECTION = "connection"
# What aiohttp runs for each connection of a client.
CLIENT = "RequestHandler.start"
OK = 200
TCP_LISTEN = "0A"


@frozen
class Footprint:
    """
    *tasks* by what they run, *objects* of requests by class, *descriptors* by what they
    are, resident memory in KiB, bytes that are *allocated* (of a server that runs with
    PYTHONMALLOC=malloc), and the number of all objects that are *tracked*.
    """

    tasks: Counter[str]
    objects: Counter[str]
    descriptors: Counter[str]
    rss: int = field(eq=False)
    allocated: int = field(eq=False)
    tracked: int = field(eq=False)

    def beyond(self, before: "Footprint") -> str:
        """Say what there is more of, or less of, than *before*; "" if nothing."""
        pairs = (
            (before.tasks, self.tasks),
            (before.objects, self.objects),
            (before.descriptors, self.descriptors),
        )
        return ", ".join(
            f"{now[what] - then[what]:+d} {what}"
            for then, now in pairs
            for what in then | now
            if now[what] != then[what]
        )


async def footprint(server: Server) -> Footprint:
    """Return what *server*, run by `tests.rig.leak_watch`, holds now."""
    seen = len(server.log)
    server.signal(signal.SIGUSR1)
    told = await server.logged(r"^alive (.*)", since=seen)
    pid = server.process.pid
    alive = json.loads(told[1])
    return Footprint(
        tasks=Counter(alive["tasks"]),
        objects=Counter(alive["objects"]),
        descriptors=_descriptors(pid),
        rss=rss(pid),
        allocated=alive["allocated"],
        tracked=alive["tracked"],
    )


async def used(server: Server, *upstreams: Upstream) -> Footprint:
    """
    Return what *server*, whose providers are *upstreams*, holds after some use, once
    nobody wants anything of it. One of the providers is called Warm, and answers.
    """
    for upstream in upstreams:
        await upstream.listed.wait()
    async with client(server.url) as me:
        assert (await me.chat("Warm", stream=True)).status == OK
        assert (await me.chat("Warm")).status == OK
    for upstream in upstreams:
        await upstream.stop()  # hangs up on kept connections
    return await calm(server)


async def calm(server: Server) -> Footprint:
    """Wait until *server* has nothing of a request or a connection; fail if never."""

    def without(now: Footprint) -> bool:
        return not (now.descriptors[CONNECTION] or now.tasks[CLIENT] or now.objects)

    return await _once(server, without, str)


async def settled(server: Server, before: Footprint) -> Footprint:
    """Wait until *server* holds what it held before, but for memory; fail if never."""
    return await _once(server, before.__eq__, lambda now: now.beyond(before))


async def connected(server: Server, times: int) -> None:
    """Wait until *server* has so many connections, made or in the making."""
    async with asyncio.timeout(SETTLING):
        while _descriptors(server.process.pid)[CONNECTION] < times:  # noqa: ASYNC110
            await asyncio.sleep(GLANCE)


async def _once(
    server: Server,
    good: Callable[[Footprint], bool],
    fault: Callable[[Footprint], str],
) -> Footprint:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLING
    while not good(now := await footprint(server)):
        assert loop.time() < deadline, f"unsettled: {fault(now)}"
        await asyncio.sleep(GLANCE)
    return now


def rss(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def _descriptors(pid: int) -> Counter[str]:
    """Count the open descriptors by what they are."""
    tcp = _tcp_states()
    found: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind, _, inode = str(descriptor.readlink()).partition(":[")
        except FileNotFoundError:
            continue  # closed since it was listed
        state = tcp.get(inode.removesuffix("]")) if kind == "socket" else None
        if state is not None:
            kind = "listening" if state == TCP_LISTEN else CONNECTION
        found[kind] += 1
    return found


def _tcp_states() -> dict[str, str]:
    """Return the state of each TCP socket of this machine, by its inode."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            found[words[9]] = words[3]
    return found
