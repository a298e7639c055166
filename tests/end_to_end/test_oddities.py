"""What odd upstreams send, as clients of every surface see it."""

import json
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.upstream import DONE, END, HEAD, Step, answers, delta, event

A, B = '{"w":1}', '{"c":2}'


def tool(index: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": call_id, "function": function}


CALLS = [tool(0, "k1", "look_up", A), tool(0, "k2", "weather", B)]
TEXTS: dict[str, list[bytes]] = {
    "early reason": [
        delta("stop", content="Red "),
        delta("stop", content="green"),
    ],
    "message beside the pieces": [
        delta(content="Red "),
        delta(content="green"),
        event(
            {
                "choices": [
                    {
                        "delta": {},
                        "message": {"content": "Red green"},
                        "finish_reason": "stop",
                    }
                ]
            }
        ),
    ],
}
SURFACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 99,
    },
    "/v1/responses": {"input": "hi"},
    "/v1/completions": {"prompt": "hi"},
}


async def ask(client: Any, path: str, stream: bool) -> tuple[int, str]:
    """Return the status and the whole body of an answer."""
    body = {"model": "m", "provider": "Odd", "stream": stream, **SURFACES[path]}
    async with client.session.post(client.url + path, json=body) as response:
        return response.status, await response.text()


def said(text: str) -> str:
    """Return all texts of a body, streamed or not, whatever surface it is of."""
    found: list[str] = []
    if not text.lstrip().startswith("{"):
        lines = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
        events = [json.loads(line) for line in lines]
        for each in events:
            if each.get("type") == "response.output_text.delta":
                found.append(each["delta"])
            elif each.get("type") == "content_block_delta":
                found.append(each["delta"].get("text", ""))
            for choice in each.get("choices", ()):
                found.append(choice.get("delta", choice).get("content") or "")
                found.append(choice.get("text") or "")
        return "".join(found)
    body = json.loads(text)
    choices = body.get("choices", ())
    found += [each.get("text") or each["message"]["content"] for each in choices]
    found += [part.get("text", "") for part in body.get("content", ())]
    for item in body.get("output", ()):
        found += [part.get("text", "") for part in item.get("content", ())]
    return "".join(found)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("odd", TEXTS.values(), ids=TEXTS)
async def test_texts(
    serve: Serve, make_upstream: MakeUpstream, odd: list[bytes], path: str, stream: bool
) -> None:
    """All of an odd but sound answer's text comes through, once."""
    script: list[Step] = [HEAD, *odd, DONE, END]
    client = await serve((await make_upstream(script)).table("Odd"))
    status, text = await ask(client, path, stream)

    assert (status, said(text)) == (200, "Red green")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [*SURFACES][:3])
async def test_calls(
    serve: Serve, make_upstream: MakeUpstream, path: str, stream: bool
) -> None:
    """Two calls under one index are two calls, in order, on every surface."""
    pieces = [delta(tool_calls=[call]) for call in CALLS]
    script: list[Step] = [HEAD, *pieces, delta("tool_calls"), DONE, END]
    client = await serve((await make_upstream(script)).table("Odd"))
    status, text = await ask(client, path, stream)

    assert status == 200
    assert text.index("look_up") < text.index("weather")
    assert text.count('"k1"') >= 1 <= text.count('"k2"')


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("word", ["insufficient_system_resource", "error"])
async def test_broken_off(
    serve: Serve, make_upstream: MakeUpstream, path: str, word: str
) -> None:
    """A word for a vendor that broke off is an error: HTTP's, or an event."""
    script: list[Step] = [HEAD, delta(content="Once"), 0.05, delta(word), DONE, END]
    client = await serve((await make_upstream(script)).table("Odd"))
    status, _ = await ask(client, path, stream=False)
    assert status >= 500
    _, text = await ask(client, path, stream=True)

    assert "error" in text
    assert "[DONE]" not in text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", SURFACES)
async def test_inner_reason(
    serve: Serve, make_upstream: MakeUpstream, path: str, stream: bool
) -> None:
    """The client is told why, in the words of who knows."""
    metadata = {"raw": "model x is rate-limited"}
    body = {"error": {"message": "Provider returned error", "metadata": metadata}}
    client = await serve((await make_upstream(answers(429, body))).table("Odd"))
    _, text = await ask(client, path, stream)

    assert "model x is rate-limited" in text
