"""
Ollama's own API, through the server: a mock's, and a scripted one where the mock
differs from Ollama, which is in thoughts, in calls' ids and in the shape of errors.
"""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from providers import Limits, Provider, ProviderSettings, open_session
from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client, frames
from tests.rig.upstream import END, HEAD, Step, Upstream, answers, chunked, says

NAMED = {"provider": "Llama"}
PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": SCHEMA,
    },
}
QUESTION: Any = {"role": "user", "content": "What is the weather in Paris and Lyon?"}
PARIS, LYON = ({"city": city} for city in ("Paris", "Lyon"))
FIXTURES = [
    {
        "match": {"userMessage": "weather", "hasToolResult": True},
        "response": {"content": "21 degrees in Paris, and 18 in Lyon."},
    },
    {
        "match": {"userMessage": "weather"},
        "response": {
            "toolCalls": [
                {"name": "get_weather", "arguments": json.dumps(city)}
                for city in (PARIS, LYON)
            ]
        },
    },
    {"match": {"userMessage": "hello"}, "response": {"content": "Grüß dich, Ada 👋"}},
]


@pytest.fixture(scope="session")
def aimock_url(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the mock on a free port, and say where."""
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    cli = node / "node_modules/@copilotkit/aimock/dist/cli.js"
    with subprocess.Popen(
        ["node", cli, "-p", "0", "-f", fixtures, "-c", "6"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"listening on (http://\S+)", line):
                break
        else:
            pytest.fail(f"{cli} does not start:\n{''.join(lines)}")
        draining = threading.Thread(target=process.stdout.read)
        draining.start()
        yield found[1]
        process.terminate()
        process.wait(30)
        draining.join()


def llama(url: str, name: str = "Llama", **keys: str) -> str:
    """Return the configuration of the Ollama at *url*."""
    given = {
        "kind": "ollama",
        "base_url": f"{url}/api",
        "default_model": "llama3.2",
        "unknown_model": "default",
        **keys,
    }
    lines = (f"{key} = {json.dumps(value)}" for key, value in given.items())
    return "\n".join([f"[providers.{name}]", *lines])


def scripted(upstream: Upstream, name: str = "Llama", **keys: str) -> str:
    return llama(upstream.url.removesuffix("/v1"), name, **keys)


def lines(*payloads: dict[str, Any], end: bytes = END) -> list[Step]:
    """Return the script of a stream of these lines."""
    head = HEAD.replace(b"text/event-stream", b"application/x-ndjson")
    return [head, *(chunked(json.dumps(p).encode() + b"\n") for p in payloads), end]


def line(**message: Any) -> dict[str, Any]:
    return {
        "model": "llama3.2:3b",
        "created_at": "2026-11-22T00:54:05.772841Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": False,
    }


LAST = line() | {
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 26,
    "eval_count": 9,
}


def package(client: Client) -> openai.AsyncOpenAI:
    url = f"{client.url}/v1"
    return openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)


async def ask(client: Client, *, streamed: bool, **more: Any) -> Any:
    """Ask it; of a stream, return what the package puts together from it."""
    more = {"model": "gpt-4o-mini", "extra_body": NAMED, **more}
    async with package(client) as asking:
        if not streamed:
            return await asking.chat.completions.create(**more)
        more["stream_options"] = {"include_usage": True}
        async with asking.chat.completions.stream(**more) as stream:
            return await stream.get_final_completion()


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_round_trip(
    aimock_url: str, serve: Serve, *, streamed: bool
) -> None:
    """Two calls at once, told apart by ids that the mock has not; then the answer."""
    client = await serve(llama(aimock_url))
    asked: Any = {"messages": [QUESTION], "tools": [WEATHER]}

    called = (await ask(client, streamed=streamed, **asked)).choices[0]
    asked["messages"].append(called.message.model_dump(exclude_none=True))
    asked["messages"] += [
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
        for call in called.message.tool_calls
    ]
    answer = (await ask(client, streamed=streamed, **asked)).choices[0]

    assert called.finish_reason == "tool_calls"
    calls = [call.function for call in called.message.tool_calls]
    assert [call.name for call in calls] == ["get_weather", "get_weather"]
    assert [json.loads(call.arguments) for call in calls] == [PARIS, LYON]
    assert len({call.id for call in called.message.tool_calls}) == 2
    assert answer.finish_reason == "stop"
    assert answer.message.content == "21 degrees in Paris, and 18 in Lyon."


async def test_text(aimock_url: str, serve: Serve) -> None:
    """The mock's words, in the pieces that it sends them in, with its usage."""
    client = await serve(llama(aimock_url))

    whole = await client.chat("Llama")
    streamed = await client.chat(
        "Llama", stream=True, stream_options={"include_usage": True}
    )

    assert whole.said == streamed.said == "Grüß dich, Ada 👋"
    assert whole.json["model"] == "llama3.2"
    assert whole.json["choices"][0]["finish_reason"] == "stop"
    assert len(streamed.frames) > 4
    assert streamed.frames[-2]["usage"] == whole.json["usage"]
    assert whole.json["usage"]["completion_tokens"] == 0


async def test_unknown_words_are_refused(aimock_url: str, serve: Serve) -> None:
    """The mock's 404 is told as what it is: the request's fault, in its words."""
    client = await serve(llama(aimock_url))

    with pytest.raises(openai.NotFoundError, match="No fixture matched"):
        await ask(
            client, streamed=True, messages=[{"role": "user", "content": "Nothing."}]
        )


async def test_models_of_the_mock(aimock_url: str) -> None:
    """Its list of models is read."""
    settings = ProviderSettings(id="Llama", kind="ollama", base_url=f"{aimock_url}/api")
    async with (
        aiohttp.ClientSession() as asking,
        asking.get(f"{aimock_url}/api/tags") as answer,
    ):
        expected = [row["name"] for row in (await answer.json())["models"]]
    async with open_session() as session:
        models = (await Provider(settings, Limits(), session).list_models()).names

    assert list(models) == expected
    assert models


@pytest.mark.parametrize("streamed", [False, True])
async def test_thoughts_and_calls_round_trip(
    make_upstream: MakeUpstream, serve: Serve, *, streamed: bool
) -> None:
    """
    Thoughts, calls one a line and counts come out as OpenAI has them; sent back by the
    client as they came, they are Ollama's again, and each result names its function.
    """
    upstream = await make_upstream(lines(line(content="21 and 18."), LAST))

    def calls(id_: str, city: dict[str, str]) -> dict[str, Any]:
        function = {"index": 0, "name": "get_weather", "arguments": city}
        return line(tool_calls=[{"id": id_, "function": function}])

    upstream.scripts = [
        lines(
            line(thinking="Both "),
            line(thinking="cities."),
            calls("call_1", PARIS),
            calls("call_2", LYON),
            LAST,
        )
    ]
    client = await serve(scripted(upstream, api_key="ollama-secret"))
    asked: Any = {
        "messages": [{"role": "developer", "content": "Be brief."}, QUESTION],
        "tools": [WEATHER],
        "reasoning_effort": "high",
    }

    called = await ask(client, streamed=streamed, **asked)
    message = called.choices[0].message
    asked["messages"].append(message.model_dump(exclude_none=True))
    asked["messages"] += [
        {"role": "tool", "tool_call_id": call.id, "content": call.id}
        for call in message.tool_calls
    ]
    answer = await ask(client, streamed=streamed, **asked)

    assert called.choices[0].finish_reason == "tool_calls"
    assert message.reasoning_content == "Both cities."
    assert [call.function.arguments for call in message.tool_calls] == [
        '{"city":"Paris"}',
        '{"city":"Lyon"}',
    ]
    assert called.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 26,
        "completion_tokens": 9,
        "total_tokens": 35,
    }
    assert answer.choices[0].message.content == "21 and 18."
    assert answer.model == "llama3.2:3b"
    received = upstream.requests[1]
    assert received.path == "/api/chat"
    assert received.headers["authorization"] == "Bearer ollama-secret"
    assert received.json == {
        "model": "llama3.2",
        "stream": True,
        "truncate": False,
        "think": "high",
        "tools": [WEATHER],
        "messages": [
            {"role": "system", "content": "Be brief."},
            QUESTION,
            {
                "role": "assistant",
                "content": "",
                "thinking": "Both cities.",
                "tool_calls": [
                    {"id": i, "function": {"name": "get_weather", "arguments": city}}
                    for i, city in (("call_1", PARIS), ("call_2", LYON))
                ],
            },
            *(
                {
                    "role": "tool",
                    "content": i,
                    "tool_name": "get_weather",
                    "tool_call_id": i,
                }
                for i in ("call_1", "call_2")
            ),
        ],
    }


async def test_images_schemas_and_options(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """An image, a schema and the sampling arrive in Ollama's places for them."""
    upstream = await make_upstream(lines(line(content='{"city":"Paris"}'), LAST))
    client = await serve(scripted(upstream))
    image = {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}
    text = {"type": "text", "text": "Where is this?"}
    parts = [text, {"type": "image_url", "image_url": image}]

    answer = await ask(
        client,
        streamed=False,
        messages=[{"role": "user", "content": parts}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": SCHEMA},
        },
        max_completion_tokens=64,
        stop=["END"],
        seed=7,
    )

    assert json.loads(answer.choices[0].message.content) == PARIS
    (received,) = upstream.requests
    assert received.json["messages"] == [
        {"role": "user", "content": "Where is this?", "images": [PIXEL]}
    ]
    assert received.json["format"] == SCHEMA
    assert received.json["options"] == {"num_predict": 64, "stop": ["END"], "seed": 7}


async def test_installed_models_are_served(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """Ollama's models are listed and asked for by name; for others its default is."""
    upstream = await make_upstream(lines(line(content="Hi"), LAST))
    rows = [{"name": name, "model": name} for name in ("qwen3:latest", "llama3.2:3b")]
    upstream.listing = answers(200, {"models": rows})
    client = await serve(scripted(upstream))
    await upstream.listed.wait()

    await client.chat("Llama", model="gpt-4o-mini")
    listed = (await client.get("/v1/providers/Llama")).json["models"]
    await client.chat("Llama", model="qwen3")

    assert listed == ["llama3.2", "qwen3:latest", "qwen3", "llama3.2:3b"]
    assert [r.json["model"] for r in upstream.requests] == ["llama3.2", "qwen3"]


BUSY = "server busy, please try again.  maximum pending requests exceeded"
ERRORS = {
    400: ('"llama3.2" does not support thinking', openai.BadRequestError),
    404: ("model 'llama3.2' not found", openai.NotFoundError),
    429: ("too many requests", openai.RateLimitError),
    503: (BUSY, openai.InternalServerError),
}


async def test_errors_before_the_stream(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """Ollama's error is one of the package's, in Ollama's words."""
    tables = [
        scripted(await make_upstream(answers(status, {"error": message})), f"L{status}")
        for status, (message, _) in ERRORS.items()
    ]
    client = await serve(*tables)

    for status, (message, error) in ERRORS.items():
        with pytest.raises(error, match=re.escape(message)):
            await ask(
                client,
                streamed=True,
                messages=[QUESTION],
                extra_body={"provider": f"L{status}"},
            )


async def test_error_line(make_upstream: MakeUpstream, serve: Serve) -> None:
    """An error after the first words is told in the stream, in Ollama's words."""
    failing = asyncio.Event()
    script = lines(line(content="21"), {"error": "the model runner has stopped"})
    script.insert(2, failing)
    client = await serve(scripted(await make_upstream(script)))

    async with client.open_chat("Llama") as answer:
        assert b'"21"' in await answer.content.readuntil(b"\n\n")
        failing.set()
        (frame,) = frames(await answer.read())

    assert frame["error"]["code"] == "stream_interrupted"
    assert "the model runner has stopped" in frame["error"]["message"]


async def test_cut_stream(make_upstream: MakeUpstream, serve: Serve) -> None:
    """An answer that ends without its last line, or in it, does not look whole."""
    half = chunked(b'{"message":{"cont') + END
    between = await make_upstream(lines(line(content="21")))
    inside = await make_upstream(lines(line(content="21"), end=half))
    client = await serve(scripted(between, "Between"), scripted(inside, "Inside"))

    for name in ("Between", "Inside"):
        with pytest.raises(openai.APIError, match="middle of its answer"):
            await ask(
                client,
                streamed=True,
                messages=[QUESTION],
                extra_body={"provider": name},
            )


async def test_full_queue_loses_the_race(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """Who has no place for a request, or fails at once, leaves it to others."""
    full = await make_upstream(answers(503, {"error": BUSY}))
    broken = await make_upstream(lines({"error": "out of memory"}))
    other = await make_upstream([0.05, *says("Hi")])
    client = await serve(
        scripted(full, "Full"), scripted(broken, "Broken"), other.table("Other")
    )

    answer = await client.chat("Full Broken Other")

    assert (answer.headers["X-Provider"], answer.said) == ("Other", "Hi")


async def test_first_thought_wins_and_the_loser_is_cut_off(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """
    A thought is a token, an empty line is none; a loser's connection is closed, which
    stops its generation.
    """
    script = lines(line(), line())[:-1]
    silent = await make_upstream([*script, ...])
    thinking = await make_upstream(
        [0.05, *lines(line(thinking="Hm"), line(content="Yes"), LAST)]
    )
    client = await serve(scripted(silent, "Silent"), scripted(thinking, "Thinking"))

    answer = await client.chat("Silent Thinking", stream=True)

    assert (answer.headers["X-Provider"], answer.said) == ("Thinking", "Yes")
    async with asyncio.timeout(5):
        await silent.hung_up.get()


async def test_what_it_cannot_be_asked_is_not_sent(
    make_upstream: MakeUpstream, serve: Serve
) -> None:
    """What Ollama has no words for is left to the other racers, or else refused."""
    upstream = await make_upstream(lines(line(content="No."), LAST))
    other = await make_upstream(says("Yes."))
    client = await serve(scripted(upstream), other.table("Other"))
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asks: dict[str, dict[str, Any]] = {
        "nothing for 'n'": {"n": 2},
        "can't be made to call": {"tools": [WEATHER], "tool_choice": "required"},
        "data: URLs only": {"messages": [{"role": "user", "content": [image]}]},
    }

    for reason, asked in asks.items():
        alone = await client.chat("Llama", **asked)
        raced = await client.chat("Llama Other", **asked)

        assert alone.status == 400
        assert reason in alone.error["message"]
        assert raced.said == "Yes."
    assert upstream.requests == []
