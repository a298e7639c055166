"""Conversations that real vendors would refuse, and what of clients nobody is sent."""

import json
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig import dialects
from tests.rig.client import CHAT
from tests.rig.conversations import SURFACES, conversation
from tests.rig.upstream import Upstream, says
from tests.rig.validators import VALIDATORS

PATHS = {"chat": CHAT, "messages": "/v1/messages", "responses": "/v1/responses"}
JUDGED = {
    "Mistral": "mistral",
    "DeepSeek": "deepseek",
    "Groq": "groq",
    "Cerebras": "cerebras",
    "OpenAI": "openai",
    "Anthropic": "anthropic copy",
}
# Of a conversation with calls of several vendors.
SEEDS = (3, 8, 21)


def row(name: str, upstream: Upstream) -> str:
    """Return the table of a built-in provider that is asked at *upstream*, by chat."""
    asked = f'base_url = "{upstream.url}"\napi_key = "k"\nresponses = "off"'
    return f"[providers.{name}]\n{asked}"


@pytest.mark.parametrize("surface", PATHS)
async def test_vendors_that_refuse_take_what_they_are_sent(
    serve: Serve, make_upstream: MakeUpstream, surface: str
) -> None:
    """Each answers 400 as the real one would, and finds no reason to."""
    upstreams = {name: await make_upstream() for name in JUDGED}
    for name, upstream in upstreams.items():
        kind = "anthropic" if name == "Anthropic" else "openai"
        upstream.script = dialects.DIALECTS[kind](dialects.Text("Fine."))
        upstream.refuses = VALIDATORS[JUDGED[name]]
    client = await serve(*(row(*each) for each in upstreams.items()))

    for seed in SEEDS:
        body = SURFACES[surface](conversation(seed))
        for name in JUDGED:
            answer = await client.request(
                "POST", PATHS[surface], json={**body, "provider": name}
            )
            assert answer.status == 200, (name, seed, answer.error)


async def test_an_upstream_may_refuse_as_its_vendor_does(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """The rig's own promise: what a validator says is the error of a 400."""
    upstream = await make_upstream(says("Fine."))
    upstream.refuses = VALIDATORS["mistral"]
    client = await serve(upstream.table("Lax"))

    message = {"role": "developer", "content": "Be brief."}
    answer = await client.chat("Lax", messages=[message])

    assert answer.status == 400
    assert "developer" in answer.error["message"]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HELLO = {"role": "user", "content": "Hi"}
DEEP: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [HELLO]},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/messages": {"messages": [HELLO], "max_tokens": 9},
    "/v1/responses": {"input": "Hi"},
    "/v1/embeddings": {"input": [nested(300)]},
    "/v1/images/generations": {"prompt": "Hi"},
    "/v1/audio/speech": {"input": "Hi", "voice": "v"},
}


async def test_what_can_be_read_and_not_written(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """It is the client's fault, said with its reason; nobody is asked, nor rests."""
    upstream = await make_upstream(says("Fine."))
    client = await serve(upstream.table("Up", default_model="m"))

    for levels in (240, 300, 600):
        deep = {"metadata": {"a": nested(levels)}}
        for path, asked in DEEP.items():
            body = {"model": "m", "provider": "Up", **asked, **deep}
            answer = await client.request("POST", path, json=body)
            assert answer.status == 400, (path, levels)
            assert "within each other" in json.dumps(answer.error)

    stats = (await client.get("/v1/providers/Up")).json["stats"]
    assert (stats["status"], stats["failures"]) == ("ready", 0)
    assert not upstream.requests
    assert (await client.chat("Up")).status == 200


async def test_fields_of_responses_that_no_chat_has(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What Codex sends with each turn goes to nobody."""
    upstream = await make_upstream(says("Fine."))
    client = await serve(upstream.table("Up"))
    more = {"client_metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"]}

    body = {"model": "m", "input": "Hi", "provider": "Up", **more}
    answer = await client.request("POST", "/v1/responses", json=body)

    assert answer.status == 200
    assert not more.keys() & upstream.requests[0].json.keys()


async def test_messages_clients_are_given_ids_that_go_back(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Whichever vendor has made an id, Anthropic would take what the client gets."""
    call = dialects.Call("functions.do:0", "do", {})
    upstream = await make_upstream(dialects.openai(call))
    client = await serve(upstream.table("Up"))
    body = {"model": "m", "max_tokens": 9, "messages": [HELLO], "provider": "Up"}

    answer = await client.request("POST", "/v1/messages", json=body)

    (block,) = answer.json["content"]
    assert block["id"].replace("_", "").replace("-", "").isalnum()
    assert block["id"] != call.id
