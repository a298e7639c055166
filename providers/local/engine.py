"""An embedded engine: a llama.cpp child process, afterwards an ordinary upstream."""

import asyncio
import contextlib
import json
import os
import random
import secrets
import socket
import sys
from pathlib import Path
from typing import ClassVar

import structlog
from attrs import define, evolve, field, frozen

from providers.settings import ProviderSettings

from .files import NoModelFile, model_file

log = structlog.get_logger(__name__)

CHILD = Path(__file__).with_name("child.py")
# Below the range that Linux gives to outgoing connections, so that a restarted engine
# finds its port free.
PORTS = range(20_000, 32_768)
START_TIMEOUT = 300.0
STOP_TIMEOUT = 2.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
# Up to so many cores, each is taken for a real one.
SMALL = 4
# An engine that ran for so long had started well: its next failure is a new one.
STEADY = 60.0


@frozen
class EngineAddress:
    """Where an engine listens and with which key: the same for all of its life."""

    port: int
    api_key: str = field(repr=False)
    problem: ClassVar[str] = ""  # whoever has no more than the address sees none

    @classmethod
    def new(cls) -> "EngineAddress":
        return cls(_free_port(), secrets.token_urlsafe(24))

    def upstream(self, settings: ProviderSettings) -> ProviderSettings:
        """Return the settings of the ordinary upstream that the engine is."""
        rules, engine = settings.rules, settings.engine
        own_rules = evolve(
            rules,
            completions=True,
            # It knows both names, and must not be sent its default beside the other.
            rename_fields={
                "max_completion_tokens": "max_tokens",
                **rules.rename_fields,
            },
            default_fields={
                "max_tokens": engine.max_tokens,
                "temperature": engine.temperature,
                "top_p": engine.top_p,
                **rules.default_fields,
            },
            # It takes one, and does as if there were none.
            unsupported_fields=(*rules.unsupported_fields, "suffix"),
        )
        return evolve(
            settings,
            kind="openai",
            rules=own_rules,
            base_url=f"http://127.0.0.1:{self.port}/v1",
            api_key=self.api_key,
            # It announces keep-alive, and closes after every streamed answer.
            headers={"Connection": "close", **settings.headers},
        )


@define
class Engine:
    """One model's child process, restarted with a growing delay if it dies."""

    settings: ProviderSettings
    endpoint: EngineAddress = field(factory=EngineAddress.new)
    problem: str = "its engine is starting"
    settled: asyncio.Event = field(factory=asyncio.Event)

    def upstream(self, settings: ProviderSettings) -> ProviderSettings:
        return self.endpoint.upstream(settings)

    async def keep_running(self) -> None:
        """Run the engine for ever; cancelled, it is gone with its process."""
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY
        while True:
            started = loop.time()
            self.problem = await self._run()
            self.settled.set()
            if loop.time() - started > STEADY:
                delay = FIRST_DELAY
            log.error(
                "engine stopped",
                provider=self.settings.id,
                reason=self.problem,
                restart_in=delay,
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _run(self) -> str:
        """Start the process, wait for its end, and return why it ended."""
        try:
            options = json.dumps(self._options()).encode() + b"\n"
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",  # nothing of the user's environment but its packages
                str(CHILD),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the server, which drains first
            )
        except NoModelFile as exc:
            return str(exc)
        except OSError as exc:
            return f"its engine can't be started: {exc.strerror}"
        try:
            report = await self._ready(process, options)
            if error := report.get("error"):
                return (
                    f"its engine can't load {self.settings.engine.model_file}: {error}"
                )
            if "address" in report:
                self.problem = ""
                self.settled.set()
                log.info("engine ready", provider=self.settings.id, pid=process.pid)
            return f"its engine ended with status {await process.wait()}"
        finally:
            await _stop(process)

    async def _ready(
        self, process: asyncio.subprocess.Process, options: bytes
    ) -> dict[str, str]:
        """Tell the process what to serve; return what it says when it is ready."""
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process was started with pipes")
        try:
            process.stdin.write(options)
            async with asyncio.timeout(START_TIMEOUT):
                line = await process.stdout.readline()
            report: dict[str, str] = json.loads(line) if line else {}
        except TimeoutError:
            return {"error": f"not ready after {START_TIMEOUT:g} s"}
        except ValueError:
            return {"error": "it says what can't be understood"}
        return report

    def _options(self) -> dict[str, object]:
        own = self.settings.engine
        return {
            "model_file": str(model_file(own.model_file)),
            "alias": self.settings.default_model,
            # llama.cpp shares it out among the answers.
            "context": own.context * own.parallel,
            "parallel": own.parallel,
            "threads": own.threads or threads_for(len(os.sched_getaffinity(0))),
            "port": self.endpoint.port,
            "api_key": self.endpoint.api_key,
            "parent": os.getpid(),
        }


def threads_for(cores: int) -> int:
    """
    Return how many threads generate best: one on a small machine.

    Threads wait for each other by spinning, so that two on two cores fall to a tenth
    of their speed as soon as the server itself needs one; hence one core is left free.
    """
    # Beyond a few, half of the cores are threads of the other half.
    physical = cores if cores <= SMALL else max(cores // 2, SMALL)
    return max(physical - 1, 1)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the process: kindly, by the end of its input, then by force."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        log.warning("engine killed", pid=process.pid)
    finally:
        # Also where whoever waits is told not to wait any longer.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port for an embedded engine")
