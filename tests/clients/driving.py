"""Drives one client against one server, as a person would."""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter

from attrs import frozen

from . import rig
from .catalogue import NOTE, Client
from .installing import FOLDER, HERE
from .nginx import nginx
from .recording import Asked, relay
from .scripted import Turn, model, settings
from .snippets import SERVER, Snippet, snippets

SECONDS = 60.0
SHOWN = 400
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

    client: str
    target: str
    error: str | None
    seconds: float
    expected: bool = False
    asked: tuple[Asked, ...] = ()

    @property
    def failed(self) -> bool:
        return self.error is not None and not self.expected


async def drive(client: Client, target: Target, folder: Path) -> Outcome:
    """Let *client* take its turn at a server of *target*, all below *folder*."""
    began = perf_counter()
    error: str | None
    asked: list[Asked] = []
    try:
        async with serving(client.turn, target, folder) as (url, asked):
            error = await _take_turn(client, url, folder)
    except (OSError, AssertionError) as exc:
        said = str(exc).removesuffix(END_OF_LOG).strip().replace("\n", "; ")
        error = _shortened(f"no server of that kind: {said}")
    return Outcome(
        client=client.name,
        target=target.name,
        error=error,
        seconds=perf_counter() - began,
        expected=client.refusals.get(target.name, "\0") in (error or ""),
        asked=tuple(asked),
    )


@asynccontextmanager
async def serving(
    turn: Turn, target: Target, folder: Path
) -> AsyncIterator[tuple[str, list[Asked]]]:
    """
    Start scripted upstreams, a server that races them by default, and what is before
    it; yield the URL to ask, and the requests that came to it.
    """
    async with AsyncExitStack() as stack:
        open_ = stack.enter_async_context
        upstreams = {kind: await open_(model(kind, turn)) for kind in target.kinds}
        if target.itself:
            [url] = (each.url.removesuffix("/v1") for each in upstreams.values())
        else:
            config = folder / "config.toml"
            server = await open_(rig.running(config, settings(upstreams)))
            stack.callback(_check_log, server.log)
            url = server.url
        if target.front:
            url = await open_(nginx(url, target.front, folder))
        before = await open_(relay(url))
        yield before.url, before.asked


def _check_log(log: list[str]) -> None:
    """Raise AssertionError if a server had troubles that nobody was told of."""
    assert not any("Traceback" in line for line in log), "\n".join(log)


async def _take_turn(client: Client, url: str, folder: Path) -> str | None:
    """Return what the person sees in place of an answer, or None if all is well."""
    work = folder / "work"
    await asyncio.to_thread(_prepare, client, url, folder)
    status, output = await run(
        ("sh", "-e", "-c", _commands(client, url)), work, _environ(client, folder)
    )
    note = await asyncio.to_thread((work / "note.txt").read_text)
    if status == 0 and client.shows in output and note == client.note:
        return None
    return _last_words(output) or f"exit status {status}"


def _prepare(client: Client, url: str, folder: Path) -> None:
    """Write the files that the page tells a person to write."""
    for name in ("home", "work"):
        (folder / name).mkdir()
    # Coding agents want to be in a repository, and Codex will not start elsewhere.
    init = ("git", "init", "--quiet", folder / "work")
    subprocess.run(init, check=True, env={"PATH": os.environ["PATH"]})
    (folder / "work/note.txt").write_text(NOTE, encoding="utf-8")
    for snippet in _typed(client, url):
        if path := _files(client).get(snippet.language):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = client.before.get(snippet.language, "") + snippet.text
            file.write_text(text, encoding="utf-8")


def _files(client: Client) -> Mapping[str, str]:
    return {"python": "snippet.py", **client.files}


def _typed(client: Client, url: str) -> Iterable[Snippet]:
    """Yield the page's snippets, with this server's address and a variant's changes."""
    for snippet in snippets(client.section):
        text = snippet.text
        for old, new in {**client.swaps, SERVER: url}.items():
            assert old in text or old == SERVER or snippet.language == "sh", old
            text = text.replace(old, new)
        yield Snippet(snippet.language, text)


def _commands(client: Client, url: str) -> str:
    """Return what is typed into a shell, line by line."""
    typed = list(_typed(client, url))
    lines = [snippet.text for snippet in typed if snippet.language == "sh"]
    if client.script:
        name, *arguments = client.script
        words = [str(HERE / "scripts" / name), *arguments]
        line = shlex.join(["python", *words]).replace(SERVER, url)
        lines.append(line)
    elif any(snippet.language == "python" for snippet in typed):
        lines.append("python ../snippet.py")
    return "\n".join(lines)


def _environ(client: Client, folder: Path) -> dict[str, str]:
    """Return an environment without a key or a setting of whoever runs the tests."""
    path = os.pathsep.join([str(FOLDER / client.commands), os.environ["PATH"]])
    home = {"HOME": str(folder / "home"), "TMPDIR": str(folder), "TERM": "dumb"}
    return {"PATH": path, "LANG": "C.UTF-8", "NO_COLOR": "1", **home, **client.environ}


async def run(
    command: Iterable[str],
    folder: Path,
    environ: Mapping[str, str],
    seconds: float = SECONDS,
) -> tuple[int | None, str]:
    """
    Run *command* in *folder* for so many *seconds* at most, and return its exit status,
    None if it had to be ended, and its output. Nothing that it has started is left.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while read := await process.stdout.read(2**16):
                output += read
            await process.wait()
        return process.returncode, output.decode(errors="replace")
    except TimeoutError:
        said = output.decode(errors="replace")
        return None, f"{said}\nstill running after {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_words(output: str) -> str:
    """Return the line that tells best what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return _shortened((telling or lines or [""])[-1])


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
