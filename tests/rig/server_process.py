"""The server as users run it: a real `python -m server` process."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

from providers import vendors
from tests.rig.canary import assert_no_canary

READY = re.compile(r"serving(?: url=|.*\"url\":\")((?:https?|unix):[\w./:~-]+)")
# Off, unless a test says otherwise: it names what it needs.
BUILT_IN = tuple(vendors())


def alone(text: str) -> str:
    """Return *text* with the built-in providers off that it does not mention."""
    off = [n for n in BUILT_IN if f"[providers.{n}]" not in text]
    tables = (f'[providers."{n}"]\nenabled = false' for n in off)
    return "\n".join([text, *tables])


@define(eq=False)
class Server:
    """A running server; *log* is its standard error so far."""

    process: asyncio.subprocess.Process
    config: Path
    log: list[str] = field(factory=list)
    url: str = ""
    _told_to_stop: bool = False
    _changed: asyncio.Condition = field(factory=asyncio.Condition)

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._changed:
                self.log.append(line.decode().rstrip())
                self._changed.notify_all()
        async with self._changed:
            self.log.append("(end of log)")
            self._changed.notify_all()

    async def logged(
        self, pattern: str, since: int = 0, times: int = 1
    ) -> re.Match[str]:
        """Wait for *times* lines of the log that match; return the last match."""

        def found() -> list[re.Match[str]]:
            matches = (re.search(pattern, line) for line in self.log[since:])
            return list(filter(None, matches))

        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(
                lambda: len(found()) >= times or "(end of log)" in self.log
            )
        matches = found()
        assert len(matches) >= times, "\n".join(self.log)
        return matches[-1]

    def reload(self, text: str) -> None:
        """Change the configuration, and tell the server."""
        self.config.write_text(alone(text))
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        self._told_to_stop |= number == signal.SIGTERM
        self.process.send_signal(number)

    async def stop(self) -> int:
        """Stop it as an operator would, and return its exit status."""
        # A signal that comes after the last of its handlers is gone would kill it.
        if self.process.returncode is None and not self._told_to_stop:
            self.signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def running(
    config: Path,
    text: str,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    module: str = "server",
    command: Sequence[str] = (),
) -> AsyncIterator[Server]:
    """
    Start a server on a free port with *text* as its configuration file *config*; by
    another *module*, to watch it, or by another *command* altogether.
    """
    config.write_text(alone(text))  # noqa: ASYNC240 - small, and nothing else runs yet
    process = await asyncio.create_subprocess_exec(
        *(command or (sys.executable, "-m", module)),
        *("--config", str(config), "--port", "0", *arguments),
        env={**without_keys(), **(environ or {})},
        stderr=asyncio.subprocess.PIPE,
    )
    server = Server(process, config)
    reading = asyncio.create_task(server.read_log())
    try:
        server.url = (await server.logged(READY.pattern))[1]
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
        await reading
        assert_no_canary("\n".join(server.log), "the log")


def without_keys() -> dict[str, str]:
    """Return this process's environment, less what would turn providers on."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_TOKEN", "_API_KEY")) and name != "INTERFERENCE_CONFIG"
    }
