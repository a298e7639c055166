"""Answers that are asked for in one piece, on real sockets; and in a stream if late."""

import asyncio
import json
from typing import Any

import pytest
from attrs import evolve

from providers import (
    Completion,
    Phase,
    Provider,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    chunks_of,
)
from providers.calls.whole import WholeCall
from providers.errors import ProviderFailed, ProviderRefusedRequest, ProviderUnreachable
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.chat_calls import COMPLETION, HELLO, KEY, OVERLOADED, STOP, A, soon, text
from tests.rig.upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    Step,
    answers,
    chunked,
    event,
    says,
)

ASKED = evolve(HELLO, stream=False)
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
PLAIN: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "upstream-model",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "whole", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "system_fingerprint": "fp_1",
}
THOUSAND: list[Step] = [chunked(b" " * 400), 0.01] * 3
TRICKLE: list[Step] = [A, 0.05] * 100
# Long enough for whatever answers at once, and so short that a test can wait for it.
FIRST = {"first_token_timeout": 0.3}


def ask(provider: Provider, **limits: float) -> WholeCall:
    tightened = provider.limits.tightened(**limits)
    call = provider.whole(ASKED, "upstream-model", tightened)
    assert isinstance(call, WholeCall)
    return call


async def read(stream: WholeCall) -> str:
    """Return the text of an answer."""
    async with asyncio.timeout(10):
        return text([chunk async for pieces in stream for chunk in chunks_of(pieces)])


async def failure(stream: WholeCall) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await read(stream)
    return caught.value


async def test_what_is_sent(make_upstream: MakeUpstream, connect: Connect) -> None:
    """As for a stream, but none is asked for, nor options that only one may have."""
    upstream = await make_upstream(answers(200, PLAIN))
    await read(ask(connect(upstream.url, api_key=KEY)))
    (request,) = upstream.requests

    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json == {
        "model": "upstream-model",
        "messages": HELLO.body["messages"],
        "stream": False,
    }
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "application/json"


async def test_one_that_can_be_passed_on(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """OpenAI's own answers come as they are; whoever wants chunks has one."""
    upstream = await make_upstream(answers(200, PLAIN))
    stream = ask(connect(upstream.url))

    (piece,) = await anext(stream)

    assert isinstance(piece, Completion)
    assert piece.payload == PLAIN
    (chunk,) = chunks_of([piece])
    assert text([chunk]) == "whole"
    assert chunk.usage is not None
    assert chunk.usage.total_tokens == 3
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_one_that_has_to_be_read(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """What another vendor has put otherwise is taken apart."""
    upstream = await make_upstream(answers(200, COMPLETION))
    stream = ask(connect(upstream.url))

    (piece,) = await anext(stream)

    assert not isinstance(piece, Completion)
    assert text(chunks_of([piece])) == "whole"


async def test_the_notes(make_upstream: MakeUpstream, connect: Connect) -> None:
    """The call notes its times and counts, and that no first token was seen."""
    body = answers(200, PLAIN)
    upstream = await make_upstream(body)
    stream = ask(connect(upstream.url))

    await read(stream)

    noted = stream.attempt
    assert noted.connected is not None
    assert noted.headers is not None
    assert noted.ended is not None
    assert noted.connected <= noted.headers <= noted.ended
    assert (noted.whole, noted.chunks, noted.tokens) == (True, 1, 1)
    assert noted.received == len(json.dumps(PLAIN))


async def test_in_parts(make_upstream: MakeUpstream, connect: Connect) -> None:
    """A body that comes bit by bit, blanks before it, is one body."""
    body = b"\n\n" + json.dumps(PLAIN).encode()
    parts: list[Step] = [chunked(body[i : i + 50]) for i in range(0, len(body), 50)]
    upstream = await make_upstream([HEAD, 0.02, *parts, END])

    assert await read(ask(connect(upstream.url))) == "whole"


async def test_a_stream_all_the_same(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An upstream that streams whatever it is asked for is read to its end."""
    upstream = await make_upstream(says("a", "b"))

    assert await read(ask(connect(upstream.url))) == "ab"


async def test_the_connection_is_used_again(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """An answer that is whole leaves its connection to the next call."""
    upstream = await make_upstream(answers(200, PLAIN))
    provider = connect(upstream.url)

    for _ in range(3):
        await read(ask(provider))

    assert (len(upstream.requests), upstream.connections) == (3, 1)


FAILURES: dict[str, tuple[list[Step], type[ProviderError], Phase, str]] = {
    "refused": (
        answers(400, {"error": {"message": "no such model"}}),
        ProviderRefusedRequest,
        "headers",
        "no such model",
    ),
    "error with 200": (
        answers(200, OVERLOADED),
        ProviderFailed,
        "first_token",
        "The model is overloaded",
    ),
    "error frame": (
        [HEAD, event(OVERLOADED), END],
        ProviderFailed,
        "first_token",
        "The model is overloaded",
    ),
    "HTML": (
        answers(200, raw=b"<html>Log in</html>"),
        ProviderProtocolError,
        "first_token",
        "HTML",
    ),
    "no JSON": (
        answers(200, raw=b'{"choices": ['),
        ProviderProtocolError,
        "first_token",
        "unreadable answer",
    ),
    "no choices": (
        answers(200, {**PLAIN, "choices": []}),
        ProviderProtocolError,
        "first_token",
        "the answer ended",
    ),
    "no finish": (
        answers(200, {"choices": [{"message": {"content": "a"}}]}),
        ProviderProtocolError,
        "first_token",
        "before its finish_reason",
    ),
    "nothing": (answers(200, raw=b" "), ProviderProtocolError, "first_token", "ended"),
    "closed": ([], ProviderUnreachable, "headers", "hung up"),
    "cut": (
        [HEAD, chunked(b'{"choices"'), b""],
        ProviderUnreachable,
        "first_token",
        "broke its answer off",
    ),
    "cut stream": (
        [HEAD, ROLE, A, END],
        ProviderProtocolError,
        "first_token",
        "before its finish_reason",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failures(
    name: str, make_upstream: MakeUpstream, connect: Connect
) -> None:
    """What is wrong is told as of a stream, and nobody is asked twice."""
    script, kind, phase, words = FAILURES[name]
    upstream = await make_upstream(script)
    stream = ask(connect(upstream.url))

    error = await failure(stream)

    assert (type(error), error.phase) == (kind, phase)
    assert words in error.message
    assert stream.attempt.ended is None
    assert len(upstream.requests) == 1


async def test_nobody_listens(connect: Connect) -> None:
    error = await failure(ask(connect("http://127.0.0.1:9")))

    assert isinstance(error, ProviderUnreachable)
    assert error.phase == "connect"


async def test_not_usable_now(connect: Connect) -> None:
    """Why a provider can't be used is told before anything is sent."""
    error = await failure(ask(connect("http://127.0.0.1:9", problem="no model file")))

    assert error.message == "no model file"


async def test_secrets(make_upstream: MakeUpstream, connect: Connect) -> None:
    """An upstream that repeats the key is not repeated."""
    upstream = await make_upstream(answers(500, {"error": f"bad key {KEY}"}))

    error = await failure(ask(connect(upstream.url, api_key=KEY)))

    assert error.message == "bad key ***"


async def test_too_large(
    make_upstream: MakeUpstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.calls.whole.MAX_EVENT_BYTES", 1000)
    script: list[Step] = [HEAD, *THOUSAND, ...]
    upstream = await make_upstream(script)

    error = await failure(ask(connect(upstream.url)))

    assert error.message == "its answer is larger than 1000 bytes"
    await soon(upstream.hung_up)


@pytest.mark.parametrize("begun", [[], [HEAD], [HEAD, chunked(b" ")]])
async def test_a_long_answer(
    begun: list[Step], make_upstream: MakeUpstream, connect: Connect
) -> None:
    """One that is not there in time is hung up on, and asked for as a stream."""
    upstream = await make_upstream(says("a", "b"))
    upstream.scripts.append([*begun, ...])
    stream = ask(connect(upstream.url), **FIRST)

    assert await read(stream) == "ab"

    assert [request.json["stream"] for request in upstream.requests] == [False, True]
    await soon(upstream.hung_up)
    noted = stream.attempt
    assert not noted.whole
    assert noted.ended is not None
    assert noted.tokens == 2


async def test_one_that_hangs(make_upstream: MakeUpstream, connect: Connect) -> None:
    """One that does not stream either is too late, as any other would be."""
    upstream = await make_upstream([...])
    stream = ask(connect(upstream.url), **FIRST)

    error = await failure(stream)

    assert (type(error), error.phase) == (ProviderTimeout, "headers")
    assert error.message == "no answer within 0.3 s"
    assert len(upstream.requests) == 2


async def test_late_in_all(make_upstream: MakeUpstream, connect: Connect) -> None:
    """Nobody is asked again when the time for the whole is up."""
    upstream = await make_upstream([HEAD, ...])

    error = await failure(ask(connect(upstream.url), total_timeout=0.2))

    assert (type(error), error.phase) == (ProviderTimeout, "first_token")
    assert error.message == "not done within 0.2 s"
    assert len(upstream.requests) == 1


async def test_what_was_waited_counts(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """The stream has what is left of the time for the whole."""
    script: list[Step] = [HEAD, ROLE, *TRICKLE, STOP, DONE, END]
    upstream = await make_upstream(script)
    upstream.scripts.append([...])

    error = await failure(ask(connect(upstream.url), **FIRST, total_timeout=0.6))

    assert (type(error), error.phase) == (ProviderTimeout, "stream")
    assert error.message == "not done within 0.6 s"


async def test_hanging_up(make_upstream: MakeUpstream, connect: Connect) -> None:
    """Closed while it waits, in one piece or in a stream, it hangs up at once."""
    upstream = await make_upstream([HEAD, ROLE, A, ...])
    upstream.scripts.append([HEAD, ...])
    stream = ask(connect(upstream.url), **FIRST)

    async with asyncio.timeout(10):
        while not text(chunks_of(await anext(stream))):
            pass
    await soon(upstream.hung_up)
    stream.close()
    await soon(upstream.hung_up)


async def test_a_reader_that_leaves(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Whoever stops waiting for it has it hung up."""
    upstream = await make_upstream([HEAD, ...])
    reading = asyncio.ensure_future(anext(ask(connect(upstream.url))))
    await soon(upstream.arrived)

    reading.cancel()

    await soon(upstream.hung_up)
    assert upstream.requests[0].json["stream"] is False
