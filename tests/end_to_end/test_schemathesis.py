"""Requests that nobody would think of, derived from the OpenAPI document."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.web.openapi import document
from tests.conftest import MakeUpstream, StartServer
from tests.rig import dialects
from tests.rig.client import CHAT, Client, hello
from tests.rig.client import client as connect
from tests.rig.document import operation
from tests.rig.pictures import generated, picture
from tests.rig.upstream import Received, Step, answers

CONFIG = Path(__file__).parent.parent / "schemathesis.toml"
TYPED = ["Content-Type: application/json"]
EMBEDDED = {
    "object": "list",
    "model": "upstream-embedder",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
}
SCRIPTS: dict[str, list[Step]] = {
    "chat/completions": dialects.openai(*dialects.FINE),
    "messages": dialects.anthropic(*dialects.FINE),
    "messages/count_tokens": answers(200, {"input_tokens": 3}, TYPED),
    "embeddings": answers(200, EMBEDDED, TYPED),
    "images/generations": answers(200, generated(picture()), TYPED),
    "audio/speech": answers(200, raw=b"ID3", headers=["Content-Type: audio/mpeg"]),
    "audio/transcriptions": answers(200, {"text": "hello"}, TYPED),
}
CHATS = ["chat", "tools", "vision", "json"]
OTHERS = ["embeddings", "speech", "transcription", "images"]
# Of vendors that the document's examples name, and that can do less by themselves.
BOTH: dict[str, Any] = {"api_key": "k", "rename_fields": {}, "unsupported_fields": []}
OURS = {"X-Request-ID": "known"}
# The second for a stream without an end, whose client has had enough.
ANSWERED = (200, 499)
# Probes, of which the log tells only for debugging.
UNLOGGED = {"isAlive", "isReady", "scrapeMetrics"}
# What only an administrator may do, and a server without keys has none: each of them is
# refused here, and tried in test_keys.py.
REFUSED = {"listKeys", "createKey", "deleteKey"}


def script(request: Received) -> list[Step]:
    return SCRIPTS[request.path.removeprefix("/v1/")]


async def test_answers_are_those_of_the_document(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """
    Whatever is asked, right or wrong, the answer is in the document, and the server
    has not failed; each operation is answered, and so are most of the requests.
    """
    upstream = await make_upstream(models=("m",))
    upstream.choose = script
    server = await start_server(
        f'[media]\ndirectory = "{tmp_path}/media"',
        '[race]\ndefault_providers = ["HuggingChat", "Groq"]',
        dialects.table(
            "openai", "HuggingChat", upstream, capabilities=CHATS + OTHERS, **BOTH
        ),
        dialects.table("anthropic", "Groq", upstream, capabilities=CHATS, **BOTH),
        arguments=["--log-format", "json"],
    )
    async with connect(server.url) as client, asyncio.TaskGroup() as group:
        racing = group.create_task(keep_racing(client))
        status, said = await schemathesis(
            server.url,
            tmp_path,
            STORED=await store(client),
            DOOMED=await store(client),
            DOOMED_TOO=await store(client),
            KEPT=await paint(client),
        )
        racing.cancel()
    assert await server.stop() == 0
    await server.logged(r"\(end of log\)")

    assert status == 0, said
    requests = list(logged(server.log))
    statuses = Counter(status for _, status in requests)
    assert statuses.keys().isdisjoint({500, 502, 503, 529}), statuses
    # Many of them are wrong on purpose, and many find no such thing.
    assert sum(statuses[each] for each in ANSWERED) > len(requests) * 0.4, statuses
    answered = {name for name, status in requests if status in ANSWERED}
    assert answered == set(names()) - UNLOGGED - REFUSED


def logged(log: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the operation and the status of each request that schemathesis made."""
    for line in log:
        told = json.loads(line) if line.startswith("{") else {}
        if (
            told.get("event") == "request"
            and told["request_id"] != OURS["X-Request-ID"]
        ):
            asked = operation(told["method"], told["path"])
            yield asked["operationId"] if asked else "", told["status"]


def names() -> Iterator[str]:
    """Yield the name of each operation of the document."""
    for item in document()["paths"].values():
        for method in item.keys() - {"parameters"}:
            yield item[method]["operationId"]


async def store(client: Client) -> str:
    body = {"model": "m", "input": "hello"}
    made = await client.request("POST", "/v1/responses", json=body, headers=OURS)
    return str(made.json["id"])


async def paint(client: Client) -> str:
    body = {"model": "m", "prompt": "x"}
    made = await client.request("POST", "/v1/images/generate", json=body, headers=OURS)
    return str(made.json["data"][0]["url"].rpartition("/")[2])


async def keep_racing(client: Client) -> None:
    """Let something happen to who asks for the live races, or for one by its id."""
    while True:
        await client.request("POST", CHAT, json=hello(), headers=OURS)
        await asyncio.sleep(0.1)


async def schemathesis(url: str, folder: Path, **environ: str) -> tuple[int, str]:
    """Run it against a server; return its exit status, and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{url}/openapi.json", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, **environ},
    )
    try:
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return await process.wait(), said.decode()
