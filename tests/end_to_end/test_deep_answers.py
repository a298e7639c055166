"""JSON from upstreams that can be read, and not written again."""

import json
from typing import Any

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import CHAT
from tests.rig.upstream import DONE, END, HEAD, ROLE, Step, answers, delta, says

JSON = ["Content-Type: application/json"]
DEEP = "[" * 300 + "]" * 300
ARGUMENTS = f'{{"a":{DEEP}}}'
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def calls(arguments: str) -> list[Step]:
    function = {"name": "f", "arguments": arguments}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return [HEAD, ROLE, delta(tool_calls=[call]), delta("tool_calls"), DONE, END]


def vectors(**more: Any) -> list[Step]:
    row = {"object": "embedding", "index": 0, "embedding": [0.5]}
    return answers(200, {"object": "list", "data": [row], "model": "m", **more}, JSON)


async def test_embeddings(serve: Serve, make_upstream: MakeUpstream) -> None:
    """That racer is out, and the other one's vectors are the answer."""
    deep = await make_upstream(vectors(more=json.loads(DEEP)))
    sound = await make_upstream(vectors())
    client = await serve(deep.table("Deep"), sound.table("Sound"))

    for _ in range(4):
        body = {"model": "m", "input": "a", "provider": "Deep Sound"}
        answer = await client.request("POST", "/v1/embeddings", json=body)
        assert (answer.status, answer.headers["X-Provider"]) == (200, "Sound")


@pytest.mark.parametrize("stream", [False, True])
async def test_arguments_of_a_call(
    serve: Serve, make_upstream: MakeUpstream, *, stream: bool
) -> None:
    """They are a text that may be anything: it is no error of ours, on any route."""
    deep = await make_upstream(calls(ARGUMENTS))
    client = await serve(deep.table("Deep"))
    body = {"model": "m", "messages": HELLO, "stream": stream, "provider": "Deep"}

    chat = await client.request("POST", CHAT, json=body)
    more = {"max_tokens": 9, "tools": [TOOL]}
    message = await client.request("POST", "/v1/messages", json=body | more)
    asked = {"model": "m", "input": "hello", "stream": stream, "provider": "Deep"}
    response = await client.request("POST", "/v1/responses", json=asked)

    assert chat.status == response.status == 200
    for answer in (chat, message, response):
        assert b"internal_error" not in answer.body
        assert b"The server failed" not in answer.body


async def test_arguments_that_one_api_can_not_show(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """The others have another try, as after any answer that breaks."""
    deep = await make_upstream(calls(ARGUMENTS))
    sound = await make_upstream([0.3, *says("Hi")])
    client = await serve(deep.table("Deep"), sound.table("Sound"))

    body = {"model": "m", "messages": HELLO, "max_tokens": 9, "provider": "Deep Sound"}
    answer = await client.request("POST", "/v1/messages", json=body | {"tools": [TOOL]})

    assert (answer.status, answer.headers["X-Provider"]) == (200, "Sound")
