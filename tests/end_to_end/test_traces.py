"""Traces, as a collector gets them from a real server."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import CHAT, Client, client, hello
from tests.rig.collector import Collector, attributes, collecting
from tests.rig.race_listener import AUTH, key_of
from tests.rig.upstream import HEAD, answers, delta, says

ON = "[telemetry]\nenabled = true\ntrusted_keys = ['mine']\n"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
WORD = "hushhush"


@pytest.fixture
async def collector(stack: AsyncExitStack) -> Collector:
    return await stack.enter_async_context(collecting())


def sent_to(collector: Collector) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }


async def spans_of(
    me: Client, collector: Collector, name: str, racers: int
) -> list[Span]:
    """Return the spans of a request, by its id: its own first, then the racers'."""
    trace = (await me.race(name))["trace_id"]
    own, *others = await collector.of(trace, racers + 1)
    assert own.kind == Span.SPAN_KIND_SERVER
    for span in others:
        assert span.kind == Span.SPAN_KIND_CLIENT
        assert span.parent_span_id == own.span_id
        assert own.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= own.end_time_unix_nano
    return [own, *others]


async def test_a_race_is_a_tree(
    start_server: StartServer, make_upstream: MakeUpstream, collector: Collector
) -> None:
    """
    A hedged race of three: one fails, one wins, one is cut off; losers are no errors,
    and nothing says what was said.
    """
    failing = await make_upstream(answers(500, {"error": {"message": WORD}}))
    silent = await make_upstream([HEAD, ...])
    winning = await make_upstream(says(WORD))
    server = await start_server(
        ON,
        "[race]\nstrategy = 'hedge'\nhedge_delay = 0.2\nhedge_budget = 9.0",
        failing.table("Failing"),
        silent.table("Silent"),
        winning.table("Winning"),
        environ=sent_to(collector),
    )

    async with client(server.url) as me:
        got = await me.chat("Failing Silent Winning", stream=True, max_tokens=7)
        name = got.headers["X-Request-ID"]
        own, *racers = await spans_of(me, collector, name, 3)
    told = {attributes(span)["interference.provider"]: span for span in racers}

    check_request(own)
    check_racers(told)
    check_winner(told["Winning"], winning.port)
    assert WORD not in str(collector.spans)
    resource = collector.resources[0]
    assert resource["service.name"] == "interference"
    assert resource["deployment.environment.name"] == "test"
    await server.logged(f"trace_id={own.trace_id.hex()}")


def check_request(span: Span) -> None:
    assert span.name == "POST /v1/chat/completions"
    assert span.status.code == Status.STATUS_CODE_UNSET
    found = attributes(span)
    del found["interference.request.id"]
    assert found == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "interference.race.strategy": "hedge",
        "interference.race.winner": "Winning",
        "interference.race.outcome": "won",
        "interference.race.hedge_refused": False,
    }


def check_racers(spans: dict[str, Span]) -> None:
    outcomes = {n: attributes(s)["interference.outcome"] for n, s in spans.items()}
    statuses = {n: s.status.code for n, s in spans.items()}
    assert outcomes == {"Failing": "failed", "Silent": "cut_off", "Winning": "won"}
    assert statuses == {
        "Failing": Status.STATUS_CODE_ERROR,
        "Silent": Status.STATUS_CODE_UNSET,
        "Winning": Status.STATUS_CODE_UNSET,
    }
    assert attributes(spans["Failing"])["error.type"]
    assert "error.type" not in attributes(spans["Silent"])


def check_winner(span: Span, port: int) -> None:
    found = attributes(span)
    assert span.name == "chat m"
    assert found.pop("gen_ai.response.time_to_first_chunk") > 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "winning",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "interference.provider": "Winning",
        "interference.outcome": "won",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


async def test_client_that_left(
    start_server: StartServer, make_upstream: MakeUpstream, collector: Collector
) -> None:
    """Its racer has won all the same, and nothing of it is an error."""
    upstream = await make_upstream([HEAD, delta(content="Hi"), ...])
    server = await start_server(ON, upstream.table("One"), environ=sent_to(collector))

    async with client(server.url) as me:
        async with me.open_chat("One") as answer:
            await answer.content.readline()
            name = answer.headers["X-Request-ID"]
        own, racer = await spans_of(me, collector, name, 1)

    assert attributes(own)["interference.race.outcome"] == "client_left"
    assert own.status.code == racer.status.code == Status.STATUS_CODE_UNSET
    assert attributes(racer)["interference.outcome"] == "won"


async def test_traces_of_others(
    start_server: StartServer, make_upstream: MakeUpstream, collector: Collector
) -> None:
    """
    A trusted key's trace is gone on with, another's is not; an upstream on this machine
    is told of it, with its own span as the parent, in streams and in tasks.
    """
    upstream = await make_upstream(says("Hi"))
    server = await start_server(
        ON, AUTH, upstream.table("One"), environ=sent_to(collector)
    )
    parents = []
    async with client(server.url) as me:
        for key in ("mine", "other"):
            headers = {**key_of(key), "traceparent": PARENT, "tracestate": "a=b"}
            got = await me.request(
                "POST", CHAT, json=hello("One", stream=True), headers=headers
            )
            story = await me.race(got, headers=key_of("admin"))
            own, racer = await collector.of(story["trace_id"], 2)
            told = upstream.requests[-1].headers["traceparent"]
            assert told.startswith(f"00-{story['trace_id']}-{racer.span_id.hex()}-")
            parents.append((story["trace_id"], own.parent_span_id.hex()))
        embedding = {"model": "m", "input": "x", "provider": "One"}
        await me.request(
            "POST", "/v1/embeddings", json=embedding, headers=key_of("mine")
        )

    assert parents[0] == (TRACE, PARENT.split("-")[2])
    assert parents[1][0] != TRACE
    assert parents[1][1] == ""
    assert "traceparent" in upstream.requests[-1].headers


async def test_spans_are_sent_before_the_end(
    start_server: StartServer, make_upstream: MakeUpstream, collector: Collector
) -> None:
    """What is left when the server stops is sent."""
    upstream = await make_upstream(says("Hi"))
    environ = sent_to(collector) | {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    server = await start_server(ON, upstream.table("One"), environ=environ)
    async with client(server.url) as me:
        story = await me.race(await me.chat("One"))

    assert await server.stop() == 0
    assert len(await collector.of(story["trace_id"], 2)) == 2


async def test_collector_that_takes_nothing(
    start_server: StartServer, make_upstream: MakeUpstream
) -> None:
    """It holds up no request, and the end of the server no longer than it may."""
    upstream, deaf = await make_upstream(says("Hi")), await make_upstream([...])
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": deaf.url,
        "OTEL_BSP_EXPORT_TIMEOUT": "500",
    }
    server = await start_server(ON, upstream.table("One"), environ=environ)
    async with client(server.url) as me:
        assert (await me.chat("One")).said == "Hi"

    async with asyncio.timeout(10):
        assert await server.stop() == 0


async def test_off_is_off(
    start_server: StartServer, make_upstream: MakeUpstream, collector: Collector
) -> None:
    """Nothing is sent or told, to the collector, upstreams, or whoever reads races."""
    upstream = await make_upstream(says("Hi"))
    server = await start_server(upstream.table("One"), environ=sent_to(collector))
    async with client(server.url) as me:
        story = await me.race(await me.chat("One"))

    assert await server.stop() == 0
    assert "trace_id" not in story
    assert "traceparent" not in upstream.requests[0].headers
    assert not any("trace_id" in line for line in server.log)
    assert collector.spans == []
