"""The official anthropic package against this server, over racers of every dialect."""

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import anthropic
import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig import anthropic_events
from tests.rig.anthropic_events import BEGUN, THEIRS, block, blocks, script
from tests.rig.client import Answer, Client
from tests.rig.dialects import CALLS, DIALECTS, FINE, PARIS, table
from tests.rig.upstream import END, HEAD, Step, answers, delta, says

MESSAGES = "/v1/messages"
COUNT = f"{MESSAGES}/count_tokens"
HELLO: Any = {"role": "user", "content": "Say hello."}
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 16, "messages": [HELLO]}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL: Any = {"name": "weather", "description": "Tell.", "input_schema": SCHEMA}
JSON = ("Content-Type: application/json",)


def package(client: Client, path: str = "", **more: Any) -> anthropic.AsyncAnthropic:
    options: Any = {"api_key": "none", "max_retries": 0, **more}
    return anthropic.AsyncAnthropic(base_url=client.url + path, **options)


async def post(client: Client, path: str = MESSAGES, **fields: Any) -> Answer:
    return await client.request("POST", path, json=ASKED | fields)


async def message(client: Client, **fields: Any) -> dict[str, Any]:
    """Return a whole message, checked."""
    answer = await post(client, **fields)
    assert answer.status == 200, answer.body
    return anthropic_events.message(answer.body)


async def events(client: Client, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a stream, checked."""
    answer = await post(client, stream=True, **fields)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return anthropic_events.events(answer.body)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def key(name: str, **more: str) -> str:
    digest = sha256(f"{name}-key".encode()).hexdigest()
    lines = ["[[auth.keys]]", f'name = "{name}"', f'sha256 = "{digest}"']
    return "\n".join([*lines, *(f"{k} = {v}" for k, v in more.items())])


# The embedded model


@pytest.fixture
def sync(embedded_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=embedded_url, api_key="none") as made:
        yield made


def test_sync_message_stream_and_count(sync: anthropic.Anthropic) -> None:
    """The synchronous client gets messages, streams and counts of tokens."""
    named = {"provider": "SmolLM2"}
    whole = sync.messages.create(**ASKED, extra_body=named)
    with sync.messages.stream(**ASKED, system="Be brief.", extra_body=named) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    count = sync.messages.count_tokens(model="m", messages=[HELLO], extra_body=named)
    beta = sync.beta.messages.create(**ASKED, betas=["a"], extra_body=named)

    assert whole.content[0].type == "text"
    assert whole.content[0].text
    assert whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0) > 10
    assert whole.usage.output_tokens > 0
    assert whole.model_extra == {"provider": "SmolLM2"}
    assert final.content[0].type == "text"
    assert final.content[0].text == said != ""
    assert final.stop_reason in ("end_turn", "max_tokens")
    assert final.usage.output_tokens > 0
    assert count.input_tokens > 0
    assert beta.content[0].type == "text"


async def test_async_message_and_stream(embedded: Client) -> None:
    """The asynchronous client likewise, with the racers in its base URL."""
    async with package(embedded, "/api/SmolLM2+Second") as client:
        whole = await client.messages.create(**ASKED)
        async with client.messages.stream(**ASKED) as stream:
            said = "".join([piece async for piece in stream.text_stream])
        raw = await client.messages.create(**ASKED, stream=True)
        kinds = [event.type async for event in raw]

    assert whole.content[0].type == "text"
    assert (whole.model_extra or {})["provider"] in ("SmolLM2", "Second")
    assert said
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


async def test_embedded_answers_are_as_they_must_be(embedded: Client) -> None:
    """Event by event, and the whole message; the headers tell of the race."""
    raced = await events(embedded, provider="SmolLM2 Second", stop_sequences=["zzz"])
    whole = await post(embedded, provider="SmolLM2", temperature=0)

    assert blocks(raced)[0]["text"]
    assert raced[0]["message"]["provider"] in ("SmolLM2", "Second")
    assert anthropic_events.message(whole.body)["provider"] == "SmolLM2"
    assert whole.headers["X-Provider"] == "SmolLM2"
    assert "SmolLM2;dur=" in whole.headers["Server-Timing"]
    assert whole.headers["Request-ID"] == whole.headers["X-Request-ID"]


# Racers of all dialects


@pytest.mark.parametrize("kind", DIALECTS)
async def test_tool_round_trip(
    serve: Serve, make_upstream: MakeUpstream, kind: str
) -> None:
    """
    Thought, call, result and answer, as the package's helper has them: the same from
    every dialect, and the result reaches the upstream.
    """
    calls, fine = (DIALECTS[kind](*parts) for parts in (CALLS, FINE))
    upstream = await make_upstream(fine)
    upstream.scripts = [calls]
    client = await serve(table(kind, "One", upstream))

    async with package(client, "/api/One") as asking:
        options: Any = {**ASKED, "tools": [TOOL]}
        async with asking.messages.stream(**options) as stream:
            called = await stream.get_final_message()
        thought, *_, call = called.content
        assert call.type == "tool_use"
        told = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
        turn = {"role": "assistant", "content": called.content}
        options["messages"] = [HELLO, turn, {"role": "user", "content": [told]}]
        answer = await asking.messages.create(**options)

    assert thought.type == "thinking"
    assert thought.thinking == "Hm."
    assert (call.name, call.input) == ("weather", PARIS)
    assert called.stop_reason == "tool_use"
    assert answer.content[0].to_dict()["text"] == "Fine."
    assert answer.stop_reason == "end_turn"
    sent = upstream.requests[-1].body
    assert all(said in sent for said in (call.id.encode(), b"rain", b'"city"'))


@pytest.mark.parametrize("kind", DIALECTS)
async def test_streams_of_every_dialect(
    serve: Serve, make_upstream: MakeUpstream, kind: str
) -> None:
    """Event by event, each stream is as it must be, and the message comes to it."""
    calls, fine = (DIALECTS[kind](*parts) for parts in (CALLS, FINE))
    upstream = await make_upstream()
    upstream.scripts = [calls, calls, fine, fine]
    client = await serve(table(kind, "One", upstream))

    for _ in range(2):
        streamed = await events(client, provider="One", tools=[TOOL])
        whole = await message(client, provider="One", tools=[TOOL])
        shown, told = blocks(streamed), whole["content"]
        for each in (*shown, *told):
            each.pop("id", None)  # made up anew where the upstream has none
        assert shown == told
        assert streamed[-2]["delta"]["stop_reason"] == whole["stop_reason"]
        assert streamed[0]["message"]["provider"] == whole["provider"] == "One"


def less_nulls(event: Any) -> Any:
    """Return an event without nulls in its usage, which no client is shown."""
    if isinstance(event.get("message"), dict):
        return {**event, "message": less_nulls(event["message"])}
    if isinstance(event.get("usage"), dict):
        usage = {n: value for n, value in event["usage"].items() if value is not None}
        return {**event, "usage": usage}
    return event


async def test_upstream_of_the_same_api_passes(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """What the API alone has goes up and comes down as it is, through the race."""
    other = await make_upstream([HEAD, ...])
    claude = await make_upstream([other.asked, *script(THEIRS)])
    client = await serve(
        table("anthropic", "Claude", claude, api_key="sk-claude-1234"),
        other.table("Other"),
    )
    asked: dict[str, Any] = {
        "system": [{**text("x"), "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "adaptive"},
        "top_k": 5,
        "made_up": {"a": None},
    }
    headers = {
        "anthropic-beta": "context-1m",
        "anthropic-version": "2026-10-21",
        "x-api-key": "ours",
    }

    body = ASKED | asked | {"provider": "Claude Other", "stream": True}
    answer = await client.request("POST", MESSAGES, json=body, headers=headers)

    found = anthropic_events.events(answer.body)
    started = {**BEGUN, "message": {**BEGUN["message"], "provider": "Claude"}}
    assert found == [less_nulls(event) for event in (started, *THEIRS[1:])]
    sent = claude.requests[0]
    assert sent.json == ASKED | asked | {"model": "Claude-model", "stream": True}
    assert sent.headers["anthropic-beta"] == "context-1m"
    assert sent.headers["anthropic-version"] == "2026-10-21"
    assert sent.headers["x-api-key"] == "sk-claude-1234"
    translated = other.requests[0].json
    assert translated["messages"][0] == {"role": "system", "content": "x"}
    assert "made_up" not in translated
    async with asyncio.timeout(5):
        await other.hung_up.get()


async def test_head_of_a_loser_is_not_shown(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who has only begun its message has said nothing: the first token still wins."""
    begun = script([BEGUN, *block(0, text(""))[:1], {"type": "ping"}])[:-1]
    claude = await make_upstream([*begun, ...])
    other = await make_upstream([HEAD, claude.played, 0.1, *says("Hi")[1:]])
    client = await serve(table("anthropic", "Claude", claude), other.table("Other"))

    found = await events(client, provider="Claude Other")

    assert found[0]["message"]["provider"] == "Other"
    assert blocks(found) == [text("Hi")]
    async with asyncio.timeout(5):
        await claude.hung_up.get()


async def test_server_tools_are_for_those_who_have_them(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A racer of another API can't run Anthropic's tools: it is out, and says why."""
    claude = await make_upstream([HEAD, 0.1, *DIALECTS["anthropic"](*FINE)[1:]])
    other = await make_upstream(says("Hi"))
    client = await serve(table("anthropic", "Claude", claude), other.table("Other"))
    search = {"type": "web_search_20250305", "name": "web_search"}

    raced = await post(client, provider="Claude Other", tools=[search])
    alone = await post(client, provider="Other", tools=[search])

    assert raced.json["provider"] == "Claude"
    assert 'desc="failed: request_refused"' in raced.headers["Server-Timing"]
    assert alone.status == 400
    assert "web_search_20250305" in alone.error["message"]
    assert other.requests == []


async def test_broken_calls_are_no_answer(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """A message whose call can't be shown is given up for another racer's."""
    bad = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": "{"}}
    broken = await make_upstream([HEAD, delta(tool_calls=[bad]), delta("stop"), END])
    fine = await make_upstream(says("Fine."))
    client = await serve(
        broken.table("Broken"), fine.table("Fine"), '[race]\nstrategy = "fallback"'
    )

    found = await message(client, provider="Broken Fine")

    assert (found["provider"], found["content"]) == ("Fine", [text("Fine.")])


async def test_early_break_hangs_up_on_the_provider(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who leaves the stream stops the upstream's generation."""
    upstream = await make_upstream([HEAD, delta(content="word"), ...])
    client = await serve(upstream.table("One"))

    async with package(client, "/api/One") as asking:
        async with asking.messages.stream(**ASKED) as stream:
            async for _ in stream.text_stream:
                break
        async with asyncio.timeout(5):
            await upstream.hung_up.get()


# Errors


async def test_errors_are_of_the_right_class(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """The package raises what it has for each status, with our message and request."""
    busy = answers(429, {"error": {"message": "busy"}}, ("Retry-After: 7",))
    wrong = answers(422, {"error": {"message": "no such thing"}})
    client = await serve(
        (await make_upstream(answers(500, {"error": {"message": "x"}}))).table(
            "Broken"
        ),
        (await make_upstream(busy)).table("Busy"),
        (await make_upstream(wrong)).table("Wrong"),
    )
    cases: list[tuple[dict[str, Any], type[anthropic.APIStatusError], str]] = [
        ({"max_tokens": "x"}, anthropic.BadRequestError, "invalid_request_error"),
        ({"provider": "Wrong"}, anthropic.BadRequestError, "invalid_request_error"),
        ({"provider": "Nobody"}, anthropic.NotFoundError, "not_found_error"),
        ({"provider": "Busy"}, anthropic.RateLimitError, "rate_limit_error"),
        ({"provider": "Broken"}, anthropic.InternalServerError, "api_error"),
    ]

    async with package(client) as asking:
        for fields, error, kind in cases:
            for streamed in (False, True):
                body = {**fields, "stream": streamed}
                with pytest.raises(error) as caught:
                    await asking.messages.create(**ASKED, extra_body=body)
                assert caught.value.type == kind
                assert caught.value.request_id
                assert caught.value.api_message
                told: Any = caught.value.body
                assert told["request_id"] == caught.value.request_id
                if kind == "rate_limit_error":
                    assert caught.value.response.headers["retry-after"] == "7"
                    assert told["error"]["providers"][0]["id"] == "Busy"


async def test_keys(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A key in either header opens the door; a wrong one, or none, does not."""
    upstream = await make_upstream(says("Hi"))
    mine = key("mine", providers='["mine"]')
    client = await serve(mine, upstream.table("Mine"), upstream.table("Other"))

    for given in ({"api_key": "mine-key"}, {"api_key": None, "auth_token": "mine-key"}):
        async with package(client, "/api/Mine", **given) as asking:
            assert (await asking.messages.create(**ASKED)).content
    old = {"x-api-key": "mine-key"}
    sent = await client.request("POST", "/api/Mine/messages", json=ASKED, headers=old)
    assert sent.status == 200
    async with package(client, "/api/Other", api_key="mine-key") as asking:
        with pytest.raises(anthropic.PermissionDeniedError) as denied:
            await asking.messages.create(**ASKED)
        assert denied.value.type == "permission_error"
    async with package(client, "/api/Mine", api_key="wrong") as asking:
        with pytest.raises(anthropic.AuthenticationError) as refused:
            await asking.messages.create(**ASKED)
        with pytest.raises(anthropic.AuthenticationError):
            await asking.messages.count_tokens(model="m", messages=[HELLO])
        assert refused.value.type == "authentication_error"


async def test_wrong_paths_methods_and_sizes(serve: Serve) -> None:
    """What no route takes is told in the API's shape too, wherever the API is."""
    client = await serve("[server]\nmax_body_bytes = 1000")

    for method, path, status, kind in (
        ("GET", MESSAGES, 405, "invalid_request_error"),
        ("GET", "/api/A/v1/messages", 405, "invalid_request_error"),
        ("POST", f"{MESSAGES}/batches", 404, "not_found_error"),
        ("POST", MESSAGES, 413, "request_too_large"),
        ("POST", f"/api/A{COUNT}", 413, "request_too_large"),
        ("POST", "/api/A/messages", 413, "request_too_large"),
    ):
        answer = await client.request(method, path, data=b"x" * 1001)
        assert answer.status == status
        assert set(answer.json) == {"type", "error", "request_id"}
        assert answer.json["type"] == "error"
        assert answer.json["error"]["type"] == kind
        assert answer.json["request_id"] == answer.headers["Request-ID"]
    other = await client.get("/v1/nothing/messages")
    assert "request_id" not in other.json
    assert "Request-ID" not in other.headers


async def test_foreign_pages_are_told_so(serve: Serve) -> None:
    """What keeps web pages out speaks the API's shape, and lets ours read its ids."""
    client = await serve("[server]\ncors_origins = ['https://app.test']")

    foreign = await client.request(
        "OPTIONS",
        MESSAGES,
        headers={
            "Origin": "https://evil.test",
            "Access-Control-Request-Method": "POST",
        },
    )
    ours = await post(client, max_tokens=0)

    assert foreign.status == 403
    assert foreign.json["error"]["type"] == "permission_error"
    assert ours.status == 400
    page = {"Origin": "https://app.test"}
    seen = await client.request("POST", MESSAGES, json={}, headers=page)
    assert "Request-ID" in seen.headers["Access-Control-Expose-Headers"].split(", ")


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_interrupted_stream_raises(
    serve: Serve, make_upstream: MakeUpstream, kind: str
) -> None:
    """
    A stream that breaks off is an error of the package's, with the type that the API
    would have given it, and not an answer that looks whole; then the connection closes.
    """
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Late"}}
    begun = [BEGUN, *block(0, text(""), {"type": "text_delta", "text": "Hel"})[:2]]
    scripts: dict[str, list[Step]] = {
        "openai": [HEAD, delta(content="Hel"), b""],
        # Apart, or the token and the error would be one failure.
        "anthropic": [*script(begun)[:-1], 0.1, *script([error])[1:]],
    }
    upstream = await make_upstream(scripts[kind])
    client = await serve(table(kind, "One", upstream))

    async with (
        package(client, "/api/One") as asking,
        asking.messages.stream(**ASKED) as stream,
    ):
        with pytest.raises(anthropic.APIStatusError, match="middle of its") as caught:
            await stream.get_final_message()
        assert stream.current_message_snapshot.content[0].to_dict() == text("Hel")
    expected = "overloaded_error" if kind == "anthropic" else "api_error"
    assert caught.value.type == expected

    raw = await post(client, provider="One", stream=True)
    found = anthropic_events.named(raw.body)
    assert [event["type"] for event in found if event["type"] != "ping"] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "error",
    ]
    assert raw.headers["Content-Type"].startswith("text/event-stream")


async def test_what_can_not_be_rendered_is_a_failure(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    Text waits for the call before it to be complete, but no endless one: the stream
    ends with an error, and the upstream is to blame.
    """
    piece = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    large = delta(content="x" * 2**22)
    upstream = await make_upstream(
        [HEAD, delta(tool_calls=[piece]), *[large] * 17, ...]
    )
    client = await serve(upstream.table("One"))

    answer = await post(client, provider="One", stream=True)

    *_, last = anthropic_events.named(answer.body)
    assert last["type"] == "error"
    assert "larger than" in last["error"]["message"]
    async with asyncio.timeout(5):
        await upstream.hung_up.get()
    assert (await client.get("/v1/providers/One")).json["stats"]["failures"] == 1


async def test_late_failure_comes_in_the_stream(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """After the headers are sent, a failure is an event, with comments before it."""
    upstream = await make_upstream([0.5, *answers(500, {"error": {"message": "x"}})])
    server = "[server]\nheader_hold = 0.05\nping_interval = 0.1"
    client = await serve(server, upstream.table("One"))

    answer = await post(client, provider="One", stream=True)

    assert answer.status == 200
    comment, *_, last = answer.body.split(b"\n\n")[:-1]
    assert comment.startswith(b":")
    (found,) = anthropic_events.named(last + b"\n\n")
    assert found["error"]["code"] == "all_providers_failed"


# Counts

COUNTED = {"model": "m", "messages": [HELLO], "tools": [TOOL]}


async def count(client: Client, provider: str) -> Answer:
    body = {**COUNTED, "provider": provider}
    answer = await client.request("POST", COUNT, json=body)
    assert answer.status == 200
    return answer


async def test_counts(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Those racers that can count are asked; it changes nobody's record."""
    claude = await make_upstream(answers(200, {"input_tokens": 14}, JSON))
    google = await make_upstream(answers(200, {"totalTokens": 15}, JSON))
    gone = await make_upstream(answers(404, {"error": {"message": "no such path"}}))
    other = await make_upstream(says("Hi"))
    client = await serve(
        table("anthropic", "Claude", claude),
        table("gemini", "Google", google),
        table("anthropic", "Gone", gone),
        other.table("Other"),
    )

    for named, winner, tokens in (
        ("Claude Other", "Claude", 14),
        ("Google", "Google", 15),
        ("Gone Claude", "Claude", 14),
    ):
        counted = await count(client, named)
        assert counted.json == {"input_tokens": tokens, "provider": winner}
        assert counted.headers["X-Provider"] == winner
        assert "X-Token-Count" not in counted.headers
    assert claude.requests[0].json == COUNTED | {"model": "Claude-model"}
    assert other.requests == []
    async with package(client, "/api/Google") as asking:
        options: Any = COUNTED
        assert (await asking.messages.count_tokens(**options)).input_tokens == 15
    record = (await client.get("/v1/providers/Claude")).json["stats"]
    assert (record["requests"], record["ttft_ms"]["p50"]) == (0, None)


async def test_estimates(serve: Serve, make_upstream: MakeUpstream) -> None:
    """
    Where nobody can count, or whoever can does not, it is an estimate, and says so;
    what is wrong with the request itself is still an error.
    """
    gone = await make_upstream(answers(404, {"error": {"message": "no such path"}}))
    other = await make_upstream(says("Hi"))
    client = await serve(table("anthropic", "Gone", gone), other.table("Other"))

    for named in ("Other", "Gone", "Gone Other"):
        estimated = await count(client, named)
        assert estimated.json.keys() == {"input_tokens"}
        assert 30 < estimated.json["input_tokens"] < 80
        assert estimated.headers["X-Token-Count"] == "estimate"
        assert ("Server-Timing" in estimated.headers) == ("Gone" in named)

    nobody = await client.request("POST", COUNT, json=COUNTED | {"provider": "Nobody"})
    assert nobody.status == 404
    assert nobody.json["error"]["type"] == "not_found_error"
    empty = await client.request("POST", COUNT, json=COUNTED | {"messages": []})
    assert (empty.status, empty.error["param"]) == (400, "messages")
