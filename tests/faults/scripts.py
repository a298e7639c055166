"""What faulty upstreams' scripts are made of: a good answer's pieces, and heads."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from attrs import frozen

from tests.rig.upstream import END, HEAD, Received, Script, Step, answers, chunked

from .compression import gzipped

# The provider whose answer is good.
HEALTHY = "Healthy"
GZIP = (
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
)
WORDS = ("Grüße ", "von ", "🙂✓\n", '"\\/" ')
# Seconds: long enough that what came before has been read by then.
PAUSE = 0.25


def frame(payload: Any, end: bytes = b"\n\n") -> bytes:
    """Return the server-sent event of a value, or of bytes as they are."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return b"data: " + data + end


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fault",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "upstream-model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


DONE = frame(b"[DONE]")
STOP = frame(chunk("stop"))
ROLE = frame(chunk(role="assistant", content=""))
# The frames of a client's answer, from its first token to its finish_reason.
ALL = len(WORDS) + 2


def words_for(user: str) -> tuple[str, ...]:
    """Return what there is to say to a client: another text for each."""
    return (*WORDS, user)


@frozen
class Asked:
    """
    A request at a faulty upstream, and the frames of the answer it should get.

    *told* has what to wait for until the client has been told so many frames.
    """

    received: Received
    told: Callable[[int], Step] = lambda _: PAUSE

    @property
    def words(self) -> tuple[str, ...]:
        return words_for(self.received.json["user"])

    @property
    def tokens(self) -> list[bytes]:
        return [frame(chunk(content=word)) for word in self.words]

    @property
    def spoken(self) -> list[bytes]:
        """The answer as far as its last token."""
        return [ROLE, *self.tokens]

    @property
    def answer(self) -> list[bytes]:
        return [*self.spoken, STOP, DONE]

    @property
    def body(self) -> bytes:
        return b"".join(self.answer)

    @property
    def completion(self) -> bytes:
        """The answer as one JSON object."""
        message = {"role": "assistant", "content": "".join(self.words)}
        payload = chunk("stop")
        (choice,) = payload["choices"]
        choice["message"] = message
        del choice["delta"]
        return json.dumps(payload, indent=2, ensure_ascii=False).encode()

    @property
    def echo(self) -> str:
        """All that came with the request, keys and cookies too, as some errors do."""
        return "; ".join(f"{k}={v}" for k, v in self.received.headers.items())

    @property
    def error(self) -> dict[str, Any]:
        """An error that repeats it wherever it can."""
        told = dict.fromkeys(("type", "param", "code"), self.echo)
        return {"error": {**told, "message": f"No! {self.echo}"}}

    @property
    def page(self) -> bytes:
        return f"<!DOCTYPE html>\n<html><body>No! {self.echo}</body></html>".encode()


Write = Callable[[Asked], Script]


def stream(frames: Iterable[bytes], *then: Step, head: bytes = HEAD) -> list[Step]:
    """Return the script of a stream: each frame is written by itself."""
    return [head, *map(chunked, frames), *then]


def whole(frames: Iterable[bytes], head: bytes = HEAD) -> list[Step]:
    return stream(frames, END, head=head)


def at_once(frames: Iterable[bytes]) -> list[Step]:
    """Return the script of an answer that leaves in one piece, head and all."""
    return [HEAD + chunked(b"".join(frames)) + END]


def headed(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    """Return the head of a chunked body with these header lines."""
    rows = (b"HTTP/1.1 " + status, *lines, b"Transfer-Encoding: chunked", b"", b"")
    return b"\r\n".join(rows)


def typed(content_type: bytes) -> Write:
    """Return the writer of a good stream that says to be something else."""
    return lambda asked: whole(asked.answer, headed(b"Content-Type: " + content_type))


def encoded(name: bytes, encode: Callable[[bytes], bytes]) -> Write:
    """Return the writer of a good stream that is compressed, or says to be."""
    head = headed(b"Content-Encoding: " + name)
    return lambda asked: whole([encode(asked.body)], head)


def broken_gzip(asked: Asked) -> list[Step]:
    """Return a compressed stream that is none any more after two tokens."""
    frames = list(gzipped(asked.answer))[:3]
    return stream(frames, asked.told(2), chunked(b"oops" * 99), END, head=GZIP)


def measured(body: bytes, length: int | None = None) -> list[Step]:
    """Return the script of a body that has a length instead of chunks."""
    size = len(body) if length is None else length
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, body]


def redirect(status: int) -> Write:
    """Return the writer of a redirect to where a good answer is to be had."""

    def write(asked: Asked) -> list[Step]:
        url = f"/{HEALTHY}/v1/chat/completions?{asked.echo}"
        return answers(status, asked.error, [f"Location: {url}"])

    return write


def framed(change: Callable[[bytes], bytes]) -> Write:
    """Return the writer of a good stream whose frames are written in another way."""
    return lambda asked: whole(map(change, asked.answer))


def halved(asked: Asked) -> Script:
    """Return a good stream whose emoji are cut in two, each half in a frame."""
    frames = []
    for word in asked.words:
        before, emoji, after = word.partition("🙂")
        if emoji:
            frames.append(frame(chunk(content=before + "\ud83d")))
        frames.append(frame(chunk(content="\ude42" + after if emoji else word)))
    return whole([ROLE, *frames, STOP, DONE])


def first_token(payload: Any) -> Write:
    """Return the writer of a stream that is good but for its first token's frame."""
    return lambda asked: whole([ROLE, frame(payload), *asked.answer[2:]])


def after_tokens(*then: Step) -> Write:
    """Return the writer of a stream that goes on like this after two tokens."""
    return lambda asked: stream(asked.spoken[:3], asked.told(2), *then)


def behind_token(asked: Asked, bad: bytes) -> Script:
    """Return a stream whose second token comes in one piece with a bad frame."""
    first, second = asked.tokens[:2]
    return stream([ROLE, first], asked.told(1), chunked(second + bad), ...)


def after_stop(*then: Step) -> Write:
    """Return the writer of a stream that goes on like this after its finish_reason."""
    return lambda asked: stream([*asked.spoken, STOP], asked.told(ALL), *then)


def after_done(*then: Step) -> Write:
    """Return the writer of a stream that goes on like this after its [DONE]."""
    return lambda asked: stream(asked.answer, asked.told(ALL), *then)


def dripped(data: bytes, pause: float = 0.0) -> Iterator[Step]:
    """Send *data* byte by byte, with a pause after each."""
    for i in range(len(data)):
        yield data[i : i + 1]
        yield pause


def byte_by_byte(asked: Asked) -> Iterator[Step]:
    """Send every byte in a chunk and a segment of its own."""
    yield HEAD
    for i in range(len(asked.body)):
        yield chunked(asked.body[i : i + 1])
        if i % 8 == 0:
            yield 0.0  # the other side's turn
    yield END


def ticking(data: bytes) -> Iterable[Step]:
    """Send *data* for ever, a hundred times a second."""
    steps: tuple[Step, Step] = (chunked(data), 0.01)
    return chain.from_iterable(repeat(steps))


def flood(first: bytes, head: bytes = HEAD) -> Iterable[Step]:
    """Send *first*, and then something that never ends, as fast as can be."""
    return chain([head, chunked(first)], flooding(b"x" * 2**18))


def flooding(data: bytes) -> Iterable[Step]:
    return repeat(chunked(data))
