"""Clients of the Responses API before upstreams that speak it themselves."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

import aiohttp
import openai
import pytest

from providers import Engine
from server.config.tables import vendor_settings
from tests.conftest import MakeUpstream, Serve
from tests.rig import dialects
from tests.rig.client import CHAT, Client, hello
from tests.rig.parts import Call, City, Text, Thought
from tests.rig.provider_settings import changed
from tests.rig.response_events import read
from tests.rig.responses_upstream import SEAL, CustomCall, responses
from tests.rig.upstream import (
    END,
    HEAD,
    Received,
    Script,
    Step,
    Upstream,
    answers,
    chunked,
    says,
)

PATH = "/v1/responses"
LIFE = ("response.created", "response.in_progress", "response.completed")
TOOLS: list[Any] = [
    {"type": "function", "name": "read_file", "parameters": {"type": "object"}},
    {"type": "custom", "name": "apply_patch"},
    {"type": "web_search"},
    {"type": "namespace", "name": "mail", "tools": [{"type": "function", "name": "x"}]},
]
SAID = (Thought("Hm."), Text("Fi"), Text("ne."))


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "input": "hello", "provider": "Up", **more}


def sent_by(script: list[Step]) -> bytes:
    """Return the body of a scripted answer, less HTTP's chunks."""
    body, rest = b"", b"".join(s for s in script[1:-1] if isinstance(s, bytes))
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def events(body: bytes) -> list[tuple[str, bytes]]:
    """Return the names of events and their JSON."""
    frames = (f.split(b"\n") for f in body.split(b"\n\n") if f.startswith(b"event: "))
    return [(name[7:].decode(), data[6:]) for name, data in frames]


def shared(events: list[tuple[str, bytes]]) -> list[tuple[str, Any]]:
    """Return events as they came, but for what of a response object is ours."""
    found: list[tuple[str, Any]] = []
    for name, data in events:
        if name not in LIFE:
            found.append((name, data))
            continue
        payload = json.loads(data)
        for ours in ("id", "provider", "store", "previous_response_id"):
            payload["response"].pop(ours, None)
        found.append((name, payload))
    return found


@pytest.fixture
async def native(serve: Serve, make_upstream: MakeUpstream) -> tuple[Client, Upstream]:
    """Return a client of a server whose one upstream speaks both APIs."""
    upstream = await make_upstream(responses(*SAID))
    return await serve(upstream.table("Up", responses="native")), upstream


@pytest.mark.parametrize(
    "parts",
    [
        SAID,
        (
            Call("call_1", "read_file", {"name": "n"}),
            Call("call_2", "read_file", {"name": "m"}),
        ),
        (CustomCall("call_1", "apply_patch", {"input": "*** Begin Patch"}),),
    ],
    ids=["text", "calls", "custom"],
)
async def test_events_pass_as_they_came(
    native: tuple[Client, Upstream], parts: tuple[Any, ...]
) -> None:
    """What a client sees is what the upstream sent, byte by byte, with its winner."""
    client, upstream = native
    upstream.script = responses(*parts)

    answer = await client.request("POST", PATH, json=asked(stream=True, tools=TOOLS))

    shown = events(answer.body)
    assert shared(shown) == shared(events(sent_by(upstream.script)))
    last = json.loads(shown[-1][1])["response"]
    assert last["provider"] == "Up"
    assert answer.headers["X-Provider"] == "Up"
    if not isinstance(parts[0], CustomCall):
        read(answer.body)


async def test_request_passes_less_what_is_ours(
    native: tuple[Client, Upstream],
) -> None:
    """Tools that no chat has go up; nothing is to be kept there."""
    client, upstream = native
    own = {"tools": TOOLS, "truncation": "auto", "text": {"verbosity": "low"}}
    more = {"race": {"strategy": "fallback"}, "store": True}

    await client.request("POST", PATH, json=asked(stream=True, **own, **more))

    (request,) = upstream.requests
    assert request.path == "/v1/responses"
    assert request.json == {
        "model": "m",
        "input": "hello",
        **own,
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


async def test_whole_and_going_on(native: tuple[Client, Upstream]) -> None:
    """
    A whole response is the upstream's; the next one goes on from what was stored here,
    with the reasoning that only its maker can read.
    """
    client, upstream = native
    first = await client.request("POST", PATH, json=asked())
    upstream.script = responses(Text("Yes."))
    previous = first.json["id"]
    options = {"input": "sure?", "previous_response_id": previous}
    second = await client.request("POST", PATH, json=asked(**options))

    assert first.json["output"][1]["content"][0]["text"] == "Fine."
    assert second.json["previous_response_id"] == previous
    body = upstream.requests[1].json
    assert "previous_response_id" not in body
    assert body["input"] == [
        {
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "hello"}],
        },
        {
            "type": "reasoning",
            "status": "completed",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": SEAL,
        },
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": first.json["output"][1]["content"],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "sure?"}],
        },
    ]
    stored = await client.get(f"{PATH}/{previous}")
    assert stored.json["provider"] == "Up"
    assert "encrypted_content" not in stored.json["output"][0]


async def test_numbers_have_no_gaps(native: tuple[Client, Upstream]) -> None:
    """None is missing for a keep-alive left out, or where an upstream has none."""
    client, upstream = native
    script = responses(*SAID)
    keepalive = {"type": "keepalive", "sequence_number": 9}
    beat = chunked(b"data: %b\n\n" % json.dumps(keepalive).encode())
    upstream.scripts = [[*script[:9], beat, *script[9:]], unnumbered(script)]

    for _ in range(2):
        answer = await client.request("POST", PATH, json=asked(stream=True))
        read(answer.body)


def unnumbered(script: list[Step]) -> list[Step]:
    frames = []
    for name, data in events(sent_by(script)):
        payload = json.loads(data)
        del payload["sequence_number"]
        frame = f"event: {name}\ndata: {json.dumps(payload)}\n\n"
        frames.append(chunked(frame.encode()))
    return [HEAD, *frames, END]


async def test_what_breaks_off_ends_in_order(native: tuple[Client, Upstream]) -> None:
    """A failure after the first token is told in events of ours, numbered on."""
    client, upstream = native
    failed = b'data: {"type":"response.failed","response":{"status":"failed","error":'
    failed += b'{"code":"server_error","message":"Sorry."}}}\n\n'
    upstream.script = [*responses(*SAID)[:8], 0.1, chunked(failed), END]

    answer = await client.request("POST", PATH, json=asked(stream=True))

    shown = [(name, json.loads(data)) for name, data in events(answer.body)]
    assert [name for name, _ in shown][-2:] == ["response.failed", "error"]
    numbers = [payload["sequence_number"] for _, payload in shown]
    assert numbers == list(range(len(shown)))
    assert "Sorry." in shown[-1][1]["message"]
    assert shown[-2][1]["response"]["id"] == shown[0][1]["response"]["id"]


async def test_package_parses_and_streams(native: tuple[Client, Upstream]) -> None:
    """OpenAI's own package: `parse` and `stream` over an upstream that is passed."""
    client, upstream = native
    upstream.script = responses(*dialects.OBJECT)
    options: Any = {"model": "m", "input": "Paris?", "text_format": City}
    options["extra_body"] = {"provider": "Up"}
    url = f"{client.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as it:
        parsed = await it.responses.parse(**options)
        async with it.responses.stream(**options) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()

    assert parsed.output_parsed == final.output_parsed == dialects.CITY
    assert [k for k in kinds if k in LIFE] == list(LIFE)


async def test_chat_racers_are_out_where_only_the_api_itself_has_words(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A tool of OpenAI's: the racer that speaks Responses answers, if there is one."""
    native, chat = await make_upstream(responses(*SAID)), await make_upstream(says("a"))
    client = await serve(
        native.table("Up", responses="native"), chat.table("Chat", default_model="c")
    )
    tools = [{"type": "web_search"}]

    one = await client.request("POST", PATH, json=asked(provider="Chat", tools=tools))
    both = await client.request(
        "POST", PATH, json=asked(provider="Chat Up", tools=tools)
    )

    assert one.status == 400
    assert "web_search" in one.error["message"]
    assert (both.status, both.headers["X-Provider"]) == (200, "Up")
    assert native.requests[0].json["tools"] == tools
    assert not chat.requests


REFUSALS = [
    (
        404,
        "This model is only supported in v1/responses and not in v1/chat/completions",
    ),
    (
        404,
        (
            "This is not a chat model and thus not supported in the v1/chat/completions"
            " endpoint. Did you mean to use v1/completions?"
        ),
    ),
    (
        400,
        (
            "The model is not supported in the v1/chat/completions endpoint. Use the"
            " v1/responses endpoint instead"
        ),
    ),
    (
        400,
        (
            "Function tools with reasoning_effort are not supported for gpt-5.5 in"
            " /v1/chat/completions. Please use /v1/responses instead."
        ),
    ),
    (
        400,
        (
            "Function tools with reasoning_effort are not supported for gpt-5.4 in"
            " /v1/chat/completions: use /v1/responses or set reasoning_effort to 'none'"
        ),
    ),
    (400, 'model "gpt-5-codex" is not accessible via the /chat/completions endpoint'),
    (400, "The model does not support the '/v1/chat/completions' API"),
]


def refusal(status: int, text: str, code: str | None = None) -> list[Step]:
    error = {"message": text, "type": "invalid_request_error", "code": code}
    return answers(status, {"error": error})


def two_apis(chat: Script, by_responses: Script) -> Any:
    """Return what chooses the script by the API that is asked."""

    def choose(request: Received) -> Script:
        return by_responses if request.path.endswith("/responses") else chat

    return choose


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("status", "text"), REFUSALS)
async def test_refused_by_chat_and_asked_by_responses(
    native: tuple[Client, Upstream], status: int, text: str, *, stream: bool
) -> None:
    """The client never notices, and the second request goes the right way at once."""
    client, upstream = native
    code = "unsupported_api_for_model" if "not accessible" in text else None
    call = Call("call_1", "weather", {"city": "Paris"})
    upstream.choose = two_apis(refusal(status, text, code), responses(call))
    tool = {"type": "function", "function": {"name": "weather"}}
    body = hello("Up", stream=stream, tools=[tool])

    first = await client.request("POST", CHAT, json=body)
    second = await client.request("POST", CHAT, json=body)

    assert (first.status, second.status) == (200, 200)
    assert b'"weather"' in first.body
    paths = [request.path for request in upstream.requests]
    assert paths == ["/v1/chat/completions", "/v1/responses", "/v1/responses"]
    told = (await client.race(first))["racers"][0]
    assert told["notes"] == ["sent again by the Responses API"]
    assert told["outcome"] == "won"
    assert (await client.stats("Up"))["failures"] == 0


async def test_what_is_learned_of_tools_holds_for_tools(
    native: tuple[Client, Upstream],
) -> None:
    """A chat without tools still goes by chat, unless it was refused, too."""
    client, upstream = native
    tool = {"type": "function", "function": {"name": "weather"}}

    def choose(request: Received) -> Script:
        if request.path.endswith("/responses"):
            return responses(Text("Fine."))
        tools_or_codex = "tools" in request.json or request.json["model"] == "codex"
        return refusal(*REFUSALS[0]) if tools_or_codex else says("Fine.")

    upstream.choose = choose
    for more in ({"tools": [tool]}, {}, {"model": "codex"}, {"model": "codex"}):
        assert (await client.chat("Up", **more)).said == "Fine."
    await client.chat("Up", model="codex", tools=[tool])

    paths = [request.path.removeprefix("/v1/") for request in upstream.requests]
    chat, new = "chat/completions", "responses"
    assert paths == [chat, new, chat, chat, new, new, new]


async def test_refused_by_responses_and_asked_by_chat(
    native: tuple[Client, Upstream],
) -> None:
    """The other direction: a model that is served in chats alone."""
    client, upstream = native
    text = "The requested model 'm' is not supported with the Responses API."
    upstream.choose = two_apis(says("Fi", "ne."), refusal(400, text))

    for _ in range(2):
        answer = await client.request("POST", PATH, json=asked(stream=True))
        assert read(answer.body)[-1].response.output_text == "Fine."

    paths = [request.path.removeprefix("/v1/") for request in upstream.requests]
    assert paths == ["responses", "chat/completions", "chat/completions"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("late", [True, False])
async def test_anothers_reasoning_is_left_out(
    native: tuple[Client, Upstream], *, late: bool, stream: bool
) -> None:
    """A seal that the upstream can't read: it is asked again without reasoning."""
    client, upstream = native
    text = "The encrypted content could not be verified."
    error = {"type": "error", "code": "invalid_encrypted_content", "message": text}
    told = chunked(b"data: %b\n\n" % json.dumps(error).encode())
    frame: list[Step] = [HEAD, told, END]
    refused = frame if late else refusal(400, text, "invalid_encrypted_content")
    upstream.scripts.append(refused)
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "eHh4"}
    said = [thought, {"role": "user", "content": "hello"}]

    answer = await client.request("POST", PATH, json=asked(input=said, stream=stream))

    assert answer.status == 200
    assert [r.json["input"] for r in upstream.requests] == [said, said[1:]]
    lane = (await client.race(answer))["racers"][0]
    assert lane["notes"] == ["sent again without reasoning that is sealed for others"]


async def test_other_refusals_stand(native: tuple[Client, Upstream]) -> None:
    """What no other way would mend is refused, after one call."""
    client, upstream = native
    upstream.script = refusal(400, "Unknown parameter: 'x'.")

    answer = await client.request("POST", PATH, json=asked())

    assert (answer.status, len(upstream.requests)) == (400, 1)
    assert "Unknown parameter" in answer.error["message"]


async def test_always_asks_everybody_by_responses(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Perplexity has nothing else: chats and messages go there too, and its models."""
    upstream = await make_upstream(responses(*SAID))
    upstream.models = ("sonar", "gpt-5-codex")
    client = await serve(upstream.table("Up", responses="always"))

    assert (await client.chat("Up")).said == "Fine."
    assert [request.path for request in upstream.requests] == ["/v1/responses"]
    listed = (await client.get("/v1/models")).json["data"]
    assert {"sonar", "gpt-5-codex"} <= {model["id"] for model in listed}


async def test_sealed_reasoning_travels_with_messages(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A Messages client carries the seal to who has made it, and to nobody else."""
    upstream = await make_upstream(responses(*SAID))
    claude = await make_upstream(dialects.DIALECTS["anthropic"](Text("Yes.")))
    client = await serve(
        upstream.table("Up", responses="always", default_model="m"),
        dialects.table("anthropic", "Claude", claude),
    )
    hello_ = {"role": "user", "content": "hello"}
    body: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": [hello_]}

    async def ask(provider: str, **more: Any) -> Any:
        made = {**body, "provider": provider, **more}
        return (await client.request("POST", "/v1/messages", json=made)).json

    said = (await ask("Up"))["content"]
    body["messages"] = [hello_, {"role": "assistant", "content": said}, hello_]
    await ask("Up")
    await ask("Claude")

    assert [block["type"] for block in said] == [
        "thinking",
        "redacted_thinking",
        "text",
    ]
    items = upstream.requests[1].json["input"]
    assert items[1] == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": SEAL,
    }
    (sent,) = claude.requests
    turn = sent.json["messages"][1]["content"]
    assert "redacted_thinking" not in [block["type"] for block in turn]


async def test_input_is_counted_or_estimated(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """OpenAI counts what of the input it is sent; where nobody does, it is guessed."""
    native, chat = await make_upstream(), await make_upstream()
    counted = {"object": "response.input_tokens", "input_tokens": 7}
    native.script = answers(200, counted, ["Content-Type: application/json"])
    client = await serve(
        native.table("Up", responses="native"), chat.table("Chat", default_model="c")
    )
    path = f"{PATH}/input_tokens"
    url = f"{client.url}/v1"

    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as it:
        named = {"provider": "Up"}
        count = await it.responses.input_tokens.count(
            model="m", input="hello", tools=TOOLS[:1], extra_body=named
        )
    guess = await client.request("POST", path, json=asked(provider="Chat"))
    message = {"role": "user", "content": "hello"}
    body = {"model": "m", "provider": "Up", "messages": [message]}
    for_messages = await client.request("POST", "/v1/messages/count_tokens", json=body)

    assert count.input_tokens == for_messages.json["input_tokens"] == 7
    assert native.requests[0].path == "/v1/responses/input_tokens"
    assert native.requests[0].json == {
        "model": "m",
        "input": "hello",
        "tools": TOOLS[:1],
    }
    assert 0 < guess.json["input_tokens"] < 40
    assert guess.headers["X-Token-Count"] == "estimate"
    assert not chat.requests


async def test_first_token_wins_not_first_events(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    A begins its response and an item at once, and says its first word a second later; B
    speaks chat, after 200 ms: it wins all of a thousand races. And the other way round.
    """
    script = responses(Text("A"))
    eager = await make_upstream([*script[:5], 1.0, *script[5:]])
    steady = await make_upstream([0.2, *says("B")])
    late = await make_upstream([HEAD, 1.0, *says("C")[1:]])
    soon = await make_upstream([0.2, *responses(Text("D"))])
    client = await serve(
        eager.table("Eager", responses="native"),
        steady.table("Steady"),
        late.table("Late"),
        soon.table("Soon", responses="native"),
    )
    won = []

    async def one(names: list[str]) -> None:
        order = " ".join(random.sample(names, 2))
        answer = await client.request(
            "POST", PATH, json=asked(provider=order, stream=True, store=False)
        )
        said = read(answer.body)[-1].response.output_text
        won.append((answer.headers["X-Provider"], said))

    for names in (["Eager", "Steady"], ["Late", "Soon"]) * 13:
        await asyncio.gather(*(one(names) for _ in range(40)))

    assert sorted(set(won)) == [("Soon", "D"), ("Steady", "B")]
    assert len(won) == 1040


async def test_llama_cpps_own_events(serve: Serve) -> None:
    """
    The same request to llama.cpp itself and through here: the same events, but for ids
    and times, and numbers that it does not give.
    """
    engine = Engine(changed(vendor_settings("SmolLM2"), context=512))
    running = asyncio.create_task(engine.keep_running())
    await engine.settled.wait()
    own = engine.upstream(engine.settings)
    key = {"Authorization": f"Bearer {own.api_key}"}
    table = [
        "[providers.Up]",
        'kind = "openai"',
        f'base_url = "{own.base_url}"',
        f'api_key = "{own.api_key}"',
        'responses = "native"',
        'headers = { Connection = "close" }',
    ]
    client = await serve("\n".join(table))
    body: dict[str, Any] = {"model": "m", "stream": True, "input": "Say hello."}
    body |= {"temperature": 0, "max_output_tokens": 24, "store": False}
    try:
        async with (
            aiohttp.ClientSession(headers=key) as session,
            session.post(f"{own.base_url}/responses", json=body) as answer,
        ):
            theirs = await answer.read()
        passed = await client.request("POST", PATH, json={**body, "provider": "Up"})
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    assert likened(passed.body) == likened(theirs)
    assert b"response.output_text.delta" in theirs


# What differs from call to call, or is ours.
DIFFERS = (
    *("id", "item_id", "created_at", "completed_at", "sequence_number"),
    "input_tokens_details",  # the second prompt is cached
)
OURS = ("provider", "store", "previous_response_id", "timings")


def likened(body: bytes) -> list[Any]:
    """Return a stream's events without what differs from call to call."""

    def less(value: Any) -> Any:
        if isinstance(value, list):
            return [less(each) for each in value]
        if not isinstance(value, dict):
            return value
        names = value.keys() - {*DIFFERS, *OURS}
        return {name: less(value[name]) for name in sorted(names)}

    return [(name, less(json.loads(data))) for name, data in events(body)]
