"""Drives one client against one server, as a person would."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Protocol

from attrs import frozen

from .catalogue import Client
from .nginx import nginx
from .processes import last_words, run, shortened
from .recording import Asked, relay
from .rig import running
from .scripted import Racer, model, settings
from .workplace import commands, environ, prepare

# What the log of a server that did not start ends with.
END_OF_LOG = "(end of log)"


@frozen(kw_only=True)
class Target:
    """
    Who answers: providers by their dialects, raced, and nginx before the server; or the
    one provider itself, without a server.
    """

    name: str
    kinds: tuple[str, ...]
    front: str | None = None
    itself: bool = False


TARGETS = (
    *(
        Target(name=kind, kinds=(kind,))
        for kind in ("openai", "anthropic", "gemini", "ollama", "responses")
    ),
    Target(name="race of two", kinds=("openai", "anthropic")),
    Target(name="nginx, HTTP/1.0", kinds=("openai",), front="HTTP/1.0"),
    Target(name="nginx, HTTP/1.1", kinds=("openai",), front="HTTP/1.1"),
)


@frozen(kw_only=True)
class Outcome:
    """
    What came of a turn: *error* is what the person sees, or None. It is *expected*
    where the page says that it can't be done.
    """

    name: str
    target: str
    error: str | None
    seconds: float
    expected: bool = False
    asked: tuple[Asked, ...] = ()

    @property
    def failed(self) -> bool:
        return self.error is not None and not self.expected


class Job(Protocol):
    """What is done with a client: *name* is its row, *play* all that a person does."""

    @property
    def name(self) -> str: ...

    @property
    def client(self) -> Client: ...

    def racers(self, target: Target) -> list[Racer]: ...

    async def play(self, url: str, folder: Path) -> str | None:
        """Return what the person sees in place of an answer, or None if all is well."""


@frozen
class OneTurn:
    """A turn, typed as the page says."""

    client: Client

    @property
    def name(self) -> str:
        return self.client.name

    def racers(self, target: Target) -> list[Racer]:
        return [Racer(f"Speaks-{k}", k, self.client.turn) for k in target.kinds]

    async def play(self, url: str, folder: Path) -> str | None:
        client, work = self.client, folder / "work"
        command = ("sh", "-e", "-c", commands(client, url))
        status, output = await run(command, work, environ(client, folder))
        note = await asyncio.to_thread((work / "note.txt").read_text)
        if status == 0 and client.shows in output and note == client.note:
            return None
        return last_words(output) or f"exit status {status}"


async def drive(job: Job, target: Target, folder: Path) -> Outcome:
    """Do *job* at a server of *target*, all below *folder*."""
    began = perf_counter()
    error: str | None
    asked: list[Asked] = []
    try:
        async with serving(job.racers(target), target, folder) as (url, asked):
            await asyncio.to_thread(prepare, job.client, url, folder)
            error = await job.play(url, folder)
    except (OSError, AssertionError) as exc:
        said = str(exc).removesuffix(END_OF_LOG).strip().replace("\n", "; ")
        error = shortened(f"no server of that kind: {said}")
    return Outcome(
        name=job.name,
        target=target.name,
        error=error,
        seconds=perf_counter() - began,
        expected=job.client.refusals.get(target.name, "\0") in (error or ""),
        asked=tuple(asked),
    )


@asynccontextmanager
async def serving(
    racers: Iterable[Racer], target: Target, folder: Path
) -> AsyncIterator[tuple[str, list[Asked]]]:
    """
    Start scripted upstreams, a server that races them by default, and what is before
    it; yield the URL to ask, and the requests that came to it.
    """
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        upstreams = [(racer, await open_(model(racer))) for racer in racers]
        if target.itself:
            url = upstreams[0][1].url.removesuffix("/v1")
        else:
            config = folder / "config.toml"
            server = await open_(running(config, settings(upstreams)))
            stack.callback(_check_log, server.log)
            url = server.url
        if target.front:
            url = await open_(nginx(url, target.front, folder))
        before = await open_(relay(url))
        yield before.url, before.asked


def _check_log(log: list[str]) -> None:
    """Raise AssertionError if a server had troubles that nobody was told of."""
    assert not any("Traceback" in line for line in log), "\n".join(log)
