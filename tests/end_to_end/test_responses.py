"""The Responses API with the official openai package, over racers of each dialect."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.client import Client
from tests.rig.client import client as open_client
from tests.rig.response_events import read, whole
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    Received,
    Step,
    answers,
    chunked,
    delta,
    event,
    says,
)

MODEL = "gpt-4o-mini"
PATH = "/v1/responses"
ONE = {"provider": "One"}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
ARGUMENTS = '{"city":"Paris"}'


class City(BaseModel):
    name: Literal["Paris", "Rome"]


@asynccontextmanager
async def package(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{client.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def sync(embedded_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{embedded_url}/v1", api_key="none") as made:
        yield made


def asked(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": "hello", **ONE, **more}


# With the embedded model


def test_sync_create_and_stream(sync: openai.OpenAI) -> None:
    """A whole response, and the helper's, with usage; too short, so incomplete."""
    options: Any = {"model": MODEL, "input": "Say hello.", "max_output_tokens": 8}
    named = {"provider": "SmolLM2"}

    made = sync.responses.create(**options, extra_body=named)
    with sync.responses.stream(
        model=MODEL, input="Say one word.", extra_body={**named, "stop": [" "]}
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert made.output_text
    assert (made.model_extra or {})["provider"] == "SmolLM2"
    assert made.usage is not None
    assert 0 < made.usage.output_tokens <= 8
    assert (made.status, bool(made.incomplete_details)) in {
        ("incomplete", True),
        ("completed", False),
    }
    assert final.output_text
    assert kinds[-1] == "response.completed"


async def test_async_structured_output(embedded: Client) -> None:
    """`parse` and the helper return the model's answer as the schema's object."""
    options: Any = {"model": MODEL, "text_format": City}
    options["input"] = "Name the capital of France."
    options["extra_body"] = {"provider": "SmolLM2"}

    async with package(embedded) as it:
        made = await it.responses.parse(**options)
        async with it.responses.stream(**options) as stream:
            final = await stream.get_final_response()

    assert isinstance(made.output_parsed, City)
    assert isinstance(final.output_parsed, City)


async def test_raced_stream_is_strictly_the_api(embedded: Client) -> None:
    """Two embedded engines race; each event is one that the API knows, in its place."""
    body = {"input": "Say hello.", "max_output_tokens": 8, "stream": True}
    body |= {"model": MODEL, "provider": "SmolLM2 Second"}

    answer = await embedded.request("POST", PATH, json=body)

    events = read(answer.body)
    final = events[-1].response
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["X-Provider"] == final.provider
    assert final.provider in ("SmolLM2", "Second")
    assert final.output_text
    assert final.usage.output_tokens
    assert all(each.response.provider == final.provider for each in events[:2])


# Over each dialect


def openai_script(*, calls: bool) -> list[Step]:
    if not calls:
        return says("It", " rains.")
    call = {"index": 0, "id": "call_1", "type": "function"}
    return [
        HEAD,
        delta(role="assistant", content=""),
        delta(reasoning_content="Weather? "),
        delta(reasoning_content="A tool."),
        delta(content="Let me see."),
        delta(tool_calls=[call | {"function": {"name": "get_weather"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"Paris"}'}}]),
        delta("tool_calls"),
        DONE,
        END,
    ]


def anthropic_events(*payloads: dict[str, Any]) -> list[Step]:
    frames = [f"event: {p['type']}\ndata: {json.dumps(p)}\n\n" for p in payloads]
    return [HEAD, *(chunked(frame.encode()) for frame in frames), END]


def block(index: int, start: Any, *deltas: Any) -> list[Any]:
    of = {"index": index}
    return [
        {"type": "content_block_start", **of, "content_block": start},
        *({"type": "content_block_delta", **of, "delta": each} for each in deltas),
        {"type": "content_block_stop", **of},
    ]


def anthropic_script(*, calls: bool) -> list[Step]:
    message: Any = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
    }
    message |= {"model": "claude", "stop_reason": None}
    message["usage"] = {"input_tokens": 9, "output_tokens": 1}
    text = {"type": "text", "text": ""}
    blocks = block(0, text, {"type": "text_delta", "text": "It rains."})
    if calls:
        use = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}
        blocks = [
            *block(
                0,
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": "Weather? A tool."},
                {"type": "signature_delta", "signature": "c2lnbmVk"},
            ),
            *block(1, text, {"type": "text_delta", "text": "Let me see."}),
            *block(2, use, {"type": "input_json_delta", "partial_json": ARGUMENTS}),
        ]
    reason = "tool_use" if calls else "end_turn"
    return anthropic_events(
        {"type": "message_start", "message": message},
        *blocks,
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 12},
        },
        {"type": "message_stop"},
    )


def gemini_script(*, calls: bool) -> list[Step]:
    def part(finish: str | None, *parts: Any) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        candidate |= {"finishReason": finish} if finish else {}
        return event({"candidates": [{**candidate, "index": 0}]})

    if not calls:
        return [HEAD, part(None, {"text": "It rains."}), part("STOP"), END]
    call = {"id": "call_1", "name": "get_weather", "args": {"city": "Paris"}}
    return [
        HEAD,
        part(None, {"text": "Weather? A tool.", "thought": True}),
        part(None, {"text": "Let me see."}),
        part(None, {"functionCall": call, "thoughtSignature": "c2lnbmVk"}),
        part("STOP"),
        END,
    ]


SCRIPTS = {
    "openai": openai_script,
    "anthropic": anthropic_script,
    "gemini": gemini_script,
}


def table(kind: str, url: str) -> str:
    keys = {"kind": kind, "base_url": url, "api_key": "sk-test-1234"}
    keys["default_model"] = {"gemini": "gemini-3-flash"}.get(kind, "m")
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[providers.One]", *lines])


def spoken(items: list[Any]) -> list[Any]:
    """Return the items less those that only carry what the upstream wants back."""
    return [i for i in items if i.type != "reasoning" or i.content or i.summary]


def signatures(kind: str, sent: Any) -> list[str]:
    """Return what an upstream was given back of its own thoughts."""
    if kind == "anthropic":
        blocks = [block for turn in sent["messages"] for block in turn["content"]]
        return [b["signature"] for b in blocks if b["type"] == "thinking"]
    if kind == "gemini":
        parts = [part for turn in sent["contents"] for part in turn["parts"]]
        return [p["thoughtSignature"] for p in parts if "thoughtSignature" in p]
    return []


@pytest.mark.parametrize("kind", SCRIPTS)
async def test_tool_loop(serve: Serve, make_upstream: MakeUpstream, kind: str) -> None:
    """
    Call, result, answer, by the stored response and by items sent back, which may lack
    what is stored; the upstream gets the call's id, the result, and its own signature.
    """
    upstream = await make_upstream(SCRIPTS[kind](calls=False))
    upstream.scripts = [SCRIPTS[kind](calls=True)]
    client = await serve(table(kind, upstream.url))
    options: Any = {"model": MODEL, "tools": [WEATHER], "extra_body": ONE}
    options["include"] = ["reasoning.encrypted_content"]
    question: Any = {"role": "user", "content": "What is the weather in Paris?"}

    async with package(client) as it:
        first = await it.responses.create(input=[question], **options)
        call: Any = first.output[-1]
        result = {"type": "function_call_output", "output": '{"sky":"rain"}'}
        result["call_id"] = call.call_id
        own = [item.to_dict() for item in first.output]
        bare = [{n: v for n, v in i.items() if n != "encrypted_content"} for i in own]
        ways: list[Any] = [
            {"input": [result], "previous_response_id": first.id},
            {"input": [question, *own, result], "store": False},
            {"input": [question, *bare, result]},
        ]
        answers = [await it.responses.create(**way, **options) for way in ways]

    assert (call.name, call.arguments) == ("get_weather", ARGUMENTS)
    assert [i.type for i in spoken(first.output)] == [
        "reasoning",
        "message",
        "function_call",
    ]
    assert [answer.output_text for answer in answers] == ["It rains."] * 3
    sent, *others = (request.json for request in upstream.requests[1:])
    assert others == [sent, sent]
    assert "call_1" in json.dumps(sent)
    assert "rain" in json.dumps(sent)
    expected = [] if kind == "openai" else ["c2lnbmVk"]
    assert signatures(kind, sent) == expected


@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize("kind", SCRIPTS)
async def test_streams_are_strictly_the_api(
    serve: Serve, make_upstream: MakeUpstream, kind: str, summary: str | None
) -> None:
    """Thoughts, text and a call: the same events whatever the upstream speaks."""
    upstream = await make_upstream(SCRIPTS[kind](calls=True))
    client = await serve(table(kind, upstream.url))
    body = asked(stream=True, tools=[WEATHER], reasoning={"summary": summary})

    answer = await client.request("POST", PATH, json=body)

    final = read(answer.body)[-1].response
    thought, said, call = spoken(final.output)
    shown = thought.summary if summary else thought.content
    assert [part.text for part in shown] == ["Weather? A tool."]
    assert said.content[0].text == "Let me see."
    assert (call.call_id, call.arguments) == ("call_1", ARGUMENTS)


# The store


async def test_chain(serve: Serve, make_upstream: MakeUpstream) -> None:
    """
    A response goes on from another one, and from the one before that, but not with its
    instructions.
    """
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    options: Any = {"model": MODEL, "extra_body": ONE}

    async with package(client) as it:
        first = await it.responses.create(
            input="I am Ann.", instructions="Be brief.", **options
        )
        stream = it.responses.stream(
            input="Who am I?", previous_response_id=first.id, **options
        )
        async with stream as events:
            second = await events.get_final_response()
        await it.responses.create(
            input="Sure?", previous_response_id=second.id, **options
        )

    assert upstream.requests[0].json["messages"][0]["role"] == "system"
    sent = [(m["role"], m["content"]) for m in upstream.requests[2].json["messages"]]
    assert sent == [
        ("user", "I am Ann."),
        ("assistant", "Hi."),
        ("user", "Who am I?"),
        ("assistant", "Hi."),
        ("user", "Sure?"),
    ]


async def test_stored_response(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A response is found, its input listed; deleted, it is not there any more."""
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    options: Any = {"model": MODEL, "input": "hello", "extra_body": ONE}

    async with package(client) as it:
        made = await it.responses.create(metadata={"a": "b"}, **options)
        found = await it.responses.retrieve(made.id)
        (item,) = [i async for i in it.responses.input_items.list(made.id)]
        await it.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as unknown:
            await it.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await it.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError) as broken:
            await it.responses.create(previous_response_id=made.id, **options)

    assert found == made
    assert found.metadata == {"a": "b"}
    assert item.type == "message"
    assert item.content[0].to_dict() == {"type": "input_text", "text": "hello"}
    assert unknown.value.body["type"] == "invalid_request_error"  # type: ignore[index]
    assert broken.value.code == "previous_response_not_found"
    assert broken.value.param == "previous_response_id"


async def test_raw_answers_of_the_store(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What a stored response looks like on the wire, in /v1 and in /api/{providers}."""
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    path = "/api/One/responses"

    made = await client.request("POST", path, json={"model": "m", "input": "hello"})
    name = whole(made.json).id
    found = await client.get(f"{PATH}/{name}")
    replayed = await client.get(f"{PATH}/{name}?stream=true")
    items = await client.get(f"{path}/{name}/input_items?limit=1&order=asc")
    limit = await client.get(f"{path}/{name}/input_items?limit=0")
    deleted = await client.request("DELETE", f"{path}/{name}")
    gone = await client.get(f"{path}/{name}/input_items")

    assert made.headers["X-Provider"] == made.json["provider"] == "One"
    assert "One;dur=" in made.headers["Server-Timing"]
    assert found.json == made.json
    assert replayed.error["param"] == "stream"
    assert items.json["data"][0]["id"] == items.json["first_id"]
    assert items.json["has_more"] is False
    assert limit.error["param"] == "limit"
    expected = {"id": name, "object": "response.deleted", "deleted": True}
    assert deleted.json == expected
    assert (gone.status, gone.error["code"]) == (404, "response_not_found")


async def test_not_stored(serve: Serve, make_upstream: MakeUpstream) -> None:
    """With `store: false` nothing is kept; nor is a response that broke off."""
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    cut: list[Step] = [HEAD, delta(content="Hel"), b""]

    kept_not = await client.request("POST", PATH, json=asked(store=False))
    upstream.script = cut
    broken = await client.request("POST", PATH, json=asked(stream=True))
    names = [kept_not.json["id"], read(broken.body)[0].response.id]
    found = [await client.get(f"{PATH}/{name}") for name in names]

    assert [answer.status for answer in found] == [404, 404]


async def test_item_references(serve: Serve, make_upstream: MakeUpstream) -> None:
    """An item of a stored response can be named by its id; an unknown one is told."""
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    first = await client.request("POST", PATH, json=asked())
    item = first.json["output"][0]["id"]
    after = {"role": "user", "content": "And?"}

    named = asked(input=[{"type": "item_reference", "id": item}, after])
    await client.request("POST", PATH, json=named)
    missing = asked(input=[{"type": "item_reference", "id": "msg_0"}, after])
    unknown = await client.request("POST", PATH, json=missing)

    assert upstream.requests[1].json["messages"] == [
        {"role": "assistant", "content": "Hi."},
        after,
    ]
    assert (unknown.status, unknown.error["code"]) == (404, "item_not_found")
    assert "msg_0" in unknown.error["message"]


KEYS = """
[[auth.keys]]
name = "ann"
sha256 = "{ann}"
[[auth.keys]]
name = "bob"
sha256 = "{bob}"
"""


async def test_a_key_sees_its_own_responses_only(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What one key has stored can't be read, continued or deleted with another."""
    digests = {n: sha256(n.encode()).hexdigest() for n in ("ann", "bob")}
    upstream = await make_upstream(says("Hi."))
    client = await serve(KEYS.format(**digests), upstream.table("One"))
    ann, bob = ({"Authorization": f"Bearer {name}"} for name in ("ann", "bob"))

    made = await client.request("POST", PATH, json=asked(), headers=ann)
    path = f"{PATH}/{made.json['id']}"
    item = {"type": "item_reference", "id": made.json["output"][0]["id"]}
    foreign = [
        await client.request("GET", path, headers=bob),
        await client.request("GET", f"{path}/input_items", headers=bob),
        await client.request("DELETE", path, headers=bob),
        await client.request("POST", PATH, json=asked(input=[item]), headers=bob),
        await client.request(
            "POST",
            PATH,
            json=asked(previous_response_id=made.json["id"]),
            headers=bob,
        ),
    ]
    own = await client.request("GET", path, headers=ann)

    assert [answer.status for answer in foreign] == [404, 404, 404, 404, 400]
    assert own.json == made.json


async def test_workers_share_what_is_stored(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """Whichever process answers goes on from a response; their file ends with them."""
    upstream = await make_upstream(says("Hi."))
    workers = "[server]\nworkers = 3"
    folder = tmp_path / "temporary"
    folder.mkdir()
    environ = {"TMPDIR": str(folder)}
    server = await start_server(workers, upstream.table("One"), environ=environ)
    previous = None

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k") as it:
        for _ in range(8):
            made = await it.responses.create(
                model="m",
                input="hello",
                previous_response_id=previous,
                extra_body=ONE,
                extra_headers={"Connection": "close"},
            )
            previous = made.id
    kept = list(folder.rglob("responses.sqlite"))
    await server.stop()

    assert len(upstream.requests[-1].json["messages"]) == 15
    assert len(kept) == 1
    assert list(folder.iterdir()) == []


async def test_file_outlives_the_server(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """With `[responses] path`, responses outlive a restart; the file is private."""
    upstream = await make_upstream(says("Hi."))
    path = tmp_path / "new" / "responses.sqlite"
    toml = f'[responses]\npath = "{path}"\n{upstream.table("One")}'

    async def ask(**more: Any) -> Any:
        server = await start_server(toml)
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k") as it:
            made = await it.responses.create(
                model="m", input="hello", extra_body=ONE, **more
            )
        assert await server.stop() == 0
        return made

    first = await ask()
    await ask(previous_response_id=first.id)

    assert len(upstream.requests[1].json["messages"]) == 3
    assert path.stat().st_mode & 0o077 == 0


async def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """The server does not start, and says which file it can't have."""
    config = tmp_path / "config.toml"
    config.write_text(f'[responses]\npath = "{tmp_path}"')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--config", str(config), "--port", "0"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()

    assert process.returncode == 1
    assert told.decode().startswith(f"can't keep responses in {tmp_path}: ")
    assert "Traceback" not in told.decode()


async def test_reload_changes_the_bounds(
    start_server: StartServer, make_upstream: MakeUpstream, stack: AsyncExitStack
) -> None:
    """New bounds hold from now on; where responses are kept can't change by then."""
    upstream = await make_upstream(says("Hi."))
    server = await start_server(upstream.table("One"))
    client = await stack.enter_async_context(open_client(server.url))

    keys = '[responses]\nmax_entries = 1\npath = "elsewhere"\n'
    server.reload(keys + upstream.table("One"))
    await server.logged("needs a restart to change.*responses.path")
    await server.logged("reloaded")
    names = [
        (await client.request("POST", PATH, json=asked())).json["id"] for _ in range(2)
    ]
    found = [(await client.get(f"{PATH}/{name}")).status for name in names]

    assert found == [404, 200]


# Failures


async def test_broken_stream_fails_and_raises(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    A winner that breaks off: `response.failed` with what there was, then `error`, at
    which the package raises; the connection closes.
    """
    upstream = await make_upstream([HEAD, delta(content="Hel"), b""])
    client = await serve(upstream.table("One"))

    answer = await client.request("POST", PATH, json=asked(stream=True))
    async with package(client) as it:
        stream = await it.responses.create(
            model="m", input="hello", stream=True, extra_body=ONE
        )
        with pytest.raises(openai.APIError, match="middle of its answer"):
            [each async for each in stream]
        helper = it.responses.stream(model="m", input="hello", extra_body=ONE)
        async with helper as events:
            with pytest.raises(openai.APIError, match="middle of its answer"):
                await events.get_final_response()

    *_, failed, error = read(answer.body)
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.error.code == "server_error"
    assert failed.response.output[0].status == "incomplete"
    assert failed.response.output_text == "Hel"
    assert (error.type, error.code) == ("error", "stream_interrupted")


async def test_endless_stream_is_the_winners_fault(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """One that does not end is given up, and told as a winner that failed."""
    piece = delta(content="x" * 4_000_000)
    upstream = await make_upstream([HEAD, *[piece] * 17, ...])
    client = await serve(upstream.table("One"))

    answer = await client.request("POST", PATH, json=asked(stream=True))

    assert b"the answer is larger than" in answer.body[-2000:]
    assert b"stream_interrupted" in answer.body[-2000:]
    async with asyncio.timeout(5):
        await upstream.hung_up.get()


async def test_failure_after_the_headers_is_a_stream_too(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """With the headers out and no winner, the response begins, and fails."""
    release = asyncio.Event()
    upstream = await make_upstream([release, b"HTTP/1.1 500 No\r\n\r\n"])
    client = await serve("[server]\nheader_hold = 0.0", upstream.table("One"))

    asking = client.request("POST", PATH, json=asked(stream=True))
    task = asyncio.create_task(asking)
    await upstream.arrived.get()
    release.set()
    answer = await task

    kinds = [each.type for each in read(answer.body)]
    assert kinds[2:] == ["response.failed", "error"]


TOO_LONG = [
    {"message": "Shorter, please.", "code": "context_length_exceeded"},
    {"message": "it exceeds the available context size (9 tokens)", "code": 400},
    {"message": "prompt is too long: 9 tokens > 8 maximum"},
    {"message": "The input token count (9) exceeds the maximum allowed (8)."},
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("error", TOO_LONG, ids=["openai", "llama", "claude", "gemini"])
async def test_truncation(
    serve: Serve, make_upstream: MakeUpstream, error: dict[str, Any], stream: bool
) -> None:
    """
    With `truncation: auto`, what is too long loses its oldest turns until it fits;
    instructions and tool calls stay whole. Without, it is refused.
    """
    upstream = await make_upstream()

    def fit(received: Received) -> list[Step]:
        if len(received.json["messages"]) > 4:
            return answers(400, {"error": error})
        return says("Hi.")

    upstream.choose = fit
    client = await serve(upstream.table("One"))
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    turns = [{"role": "user", "content": str(number)} for number in range(6)]
    sent = asked(
        input=[*turns[:5], call, output, turns[5]],
        instructions="Be brief.",
        stream=stream,
    )

    refused = await client.request("POST", PATH, json=sent)
    answer = await client.request("POST", PATH, json={**sent, "truncation": "auto"})

    assert (refused.status, answer.status) == (400, 200)
    fitting = upstream.requests[-1].json["messages"]
    assert [message["content"] for message in fitting] == ["Be brief.", "5"]
    assert [len(r.json["messages"]) for r in upstream.requests] == [9, 9, 6, 5, 2]


async def test_one_turn_is_not_truncated(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Where there is nothing to leave out, the refusal is passed on at once."""
    upstream = await make_upstream(answers(400, {"error": TOO_LONG[0]}))
    client = await serve(upstream.table("One"))

    answer = await client.request("POST", PATH, json=asked(truncation="auto"))

    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert len(upstream.requests) == 1


async def test_errors_before_the_stream(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What can't be done is refused, with the field to blame; nobody is asked."""
    upstream = await make_upstream(says("Hi."))
    client = await serve(upstream.table("One"))
    image = {"type": "input_image", "file_id": "file-1"}
    refused: dict[str, Any] = {
        "background": {"background": True},
        "conversation": {"conversation": "conv_1"},
        "prompt": {"prompt": {"id": "pmpt_1"}},
        "tools[0].type": {"tools": [{"name": "web_search"}]},
        "tools[0].name": {"tools": [{"type": "function"}]},
        "input[0].type": {"input": [{"type": 5}]},
        "input[0].role": {"input": [{"role": "x", "content": ""}]},
        "input[0].content": {"input": [{"role": "user", "content": [image]}]},
        "input": {"input": []},
        "max_output_tokens": {"max_output_tokens": 0},
        "truncation": {"truncation": "sometimes"},
        "text.format": {"text": {"format": {"type": "json_schema"}}},
        "text.format.type": {"text": {"format": {"type": "xml"}}},
        "previous_response_id": {"previous_response_id": "resp_0"},
    }

    for param, more in refused.items():
        answer = await client.request("POST", PATH, json=asked(**more))
        assert (answer.status, answer.error["param"]) == (400, param)
    nothing = await client.request("POST", PATH, json={"model": "m", **ONE})

    assert nothing.error["message"] == "'input' is missing."
    assert not upstream.requests


async def test_leaving_hangs_up(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A client that goes away stops the upstream, streamed or not."""
    upstream = await make_upstream([HEAD, delta(content="word"), ...])
    client = await serve(upstream.table("One"))

    for stream in (True, False):
        body = asked(stream=stream)
        task = asyncio.create_task(client.request("POST", PATH, json=body))
        await upstream.arrived.get()
        await upstream.played.wait()
        task.cancel()
        async with asyncio.timeout(5):
            await upstream.hung_up.get()
