"""Tools that a racer's upstream can't run: left out, and told; or refused."""

import asyncio
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig import anthropic_events
from tests.rig.client import Client
from tests.rig.dialects import DIALECTS, Call, Text, speaker, table
from tests.rig.response_events import read, whole
from tests.rig.upstream import Upstream

KINDS = ("openai", "anthropic", "gemini", "ollama")
QUESTION = {"role": "user", "content": "Hi."}
SCHEMA = {"type": "object", "properties": {}}
RESPONSES: dict[str, Any] = {
    "path": "/v1/responses",
    "own": {"type": "function", "name": "f", "parameters": SCHEMA},
    "body": {"model": "m", "input": "Hi."},
    "hosted": {"type": "web_search"},
    "forced": {"type": "web_search"},
}
MESSAGES: dict[str, Any] = {
    "path": "/v1/messages",
    "own": {"name": "f", "input_schema": SCHEMA},
    "body": {"model": "m", "max_tokens": 50, "messages": [QUESTION]},
    "hosted": {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    "forced": {"type": "tool", "name": "web_search"},
}
CHATS: dict[str, Any] = {
    "path": "/v1/chat/completions",
    "own": {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
    "body": {"model": "m", "messages": [QUESTION]},
    "hosted": {"type": "web_search"},
    "forced": {"type": "web_search"},
}
CASES = [
    pytest.param(api, kind, id=f"{api['path'].rpartition('/')[2]}-{kind}")
    for api in (RESPONSES, MESSAGES, CHATS)
    for kind in KINDS
    # What speaks the client's own API is sent all of it, as it came.
    if (api["path"], kind)
    not in (("/v1/messages", "anthropic"), ("/v1/chat/completions", "openai"))
]


def sent_tools(upstream: Upstream) -> str:
    body = upstream.requests[-1].json
    return json.dumps([body.get("tools"), body.get("tool_choice")])


@pytest.fixture
async def racing(serve: Serve, make_upstream: MakeUpstream) -> Callable[..., Any]:
    async def start(kind: str, *answers: Any) -> tuple[Client, Upstream]:
        scripts = [DIALECTS[kind](*parts) for parts in answers]
        upstream = await make_upstream(*scripts)
        return await serve(table(kind, speaker(kind), upstream)), upstream

    return start


@pytest.mark.parametrize(("api", "kind"), CASES)
async def test_left_out_and_told(
    racing: Callable[..., Any], api: dict[str, Any], kind: str
) -> None:
    """
    A hosted tool is not sent; the header and the race's story name its type, and the
    client's own tool is sent. Two hosted ones alone leave no word of tools.
    """
    client, upstream = await racing(kind, [Text("Fine.")], [Text("Fine.")])
    body = {**api["body"], "provider": speaker(kind)}
    name = f"tools.{api['hosted']['type']}"

    first = await client.request(
        "POST", api["path"], json={**body, "tools": [api["hosted"], api["own"]]}
    )
    with_own = sent_tools(upstream)
    second = await client.request(
        "POST",
        api["path"],
        json={**body, "tools": [api["hosted"]] * 2, "stream": True},
    )

    for answer in (first, second):
        assert answer.status == 200, answer.body
        assert answer.headers["X-Dropped"] == name
        (lane,) = (await client.race(answer))["racers"]
        assert lane["dropped"] == [name]
    assert '"f"' in with_own
    assert "web_search" not in with_own
    assert sent_tools(upstream) == "[null, null]"


@pytest.mark.parametrize(("api", "kind"), CASES)
async def test_refused_where_it_can_not_be_missed(
    racing: Callable[..., Any], api: dict[str, Any], kind: str
) -> None:
    """A hosted tool that is forced, or is the only one, is refused by its name."""
    client, upstream = await racing(kind)
    hosted, own = api["hosted"], api["own"]
    must = {"type": "any"} if api is MESSAGES else "required"
    refused: list[dict[str, Any]] = [
        {"tools": [hosted]},
        {"tools": [hosted, hosted], "tool_choice": must},
        {"tools": [own, hosted], "tool_choice": api["forced"]},
    ]

    for fields in refused:
        body = {**api["body"], "provider": speaker(kind), **fields}
        answer = await client.request("POST", api["path"], json=body)
        assert answer.status == 400
        assert hosted["type"] in answer.error["message"]
    assert not upstream.requests


async def test_refusal_is_that_racers_alone(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who speaks the client's API runs its hosted tools, and answers."""
    theirs = await make_upstream(anthropic_events.script(anthropic_events.THEIRS))
    other = await make_upstream()
    client = await serve(
        table("anthropic", "Claude", theirs) + "\n" + table("openai", "Other", other)
    )
    body = {**MESSAGES["body"], "provider": "Claude Other"}

    answer = await client.request(
        "POST", "/v1/messages", json={**body, "tools": [MESSAGES["hosted"]]}
    )

    assert answer.status == 200, answer.body
    assert answer.headers["X-Provider"] == "Claude"
    assert "X-Dropped" not in answer.headers
    assert theirs.requests[-1].json["tools"] == [MESSAGES["hosted"]]


@pytest.mark.parametrize("kind", KINDS)
async def test_custom_tools(racing: Callable[..., Any], kind: str) -> None:
    """A custom tool's call comes back as one, streamed and whole, at every dialect."""
    called = [Call("call_1", "patch", {"input": "*** Begin"})]
    client, upstream = await racing(kind, called, called)
    body = {**RESPONSES["body"], "provider": speaker(kind)}
    body["tools"] = [{"type": "custom", "name": "patch"}]

    streamed = await client.request(
        "POST", "/v1/responses", json={**body, "stream": True}
    )
    answer = await client.request("POST", "/v1/responses", json=body)

    assert '"input"' in sent_tools(upstream)
    outputs: list[Any] = [
        read(streamed.body)[-1].response.output,
        whole(answer.json).output,
    ]
    for output in outputs:
        (item,) = (each for each in output if each.type == "custom_tool_call")
        assert (item.name, item.input) == ("patch", "*** Begin")


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "ollama"])
async def test_custom_tools_of_chats(racing: Callable[..., Any], kind: str) -> None:
    """They are functions for these dialects, and their calls are custom ones again."""
    called = [Call("call_1", "patch", {"input": "*** Begin"})]
    client, upstream = await racing(kind, called)
    tool = {"type": "custom", "custom": {"name": "patch"}}
    # Ollama can't be made to call a tool.
    choice = "auto" if kind == "ollama" else tool
    body = {**CHATS["body"], "provider": speaker(kind), "tools": [tool]}

    answer = await client.request(
        "POST", CHATS["path"], json={**body, "tool_choice": choice}
    )

    assert '"input"' in sent_tools(upstream)
    (made,) = answer.json["choices"][0]["message"]["tool_calls"]
    assert made["type"] == "custom"
    assert made["custom"] == {"name": "patch", "input": "*** Begin"}


async def test_many_items_hold_up_nobody(racing: Callable[..., Any]) -> None:
    """
    100,000 small items are taken, translated and stored, and other requests are
    answered meanwhile.
    """
    client, upstream = await racing("anthropic", [Text("Fine.")])
    asks, says = ({"role": each, "content": "a"} for each in ("user", "assistant"))
    body = {**RESPONSES["body"], "provider": speaker("anthropic")}
    body["input"] = [asks, says] * 50_000
    sent = io.BytesIO(json.dumps(body).encode())
    waited = 0.0

    large = asyncio.create_task(client.request("POST", "/v1/responses", data=sent))
    while not large.done():
        begun = time.perf_counter()
        await client.request("GET", "/healthz")
        waited = max(waited, time.perf_counter() - begun)
        await asyncio.sleep(0.01)

    assert large.result().status == 200
    assert len(upstream.requests[-1].json["messages"]) == 100_000
    assert waited < 0.5
