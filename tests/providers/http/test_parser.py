"""Answers in bytes, cut anywhere: what comes out is their body, or what is wrong."""

import gzip
import random
import zlib

import aiohttp
import pytest
from aiohttp.http_exceptions import ContentEncodingError

from providers.http.parser import MAX_DRY, MAX_INFLATED, AnswerParser
from tests.rig.upstream import END, HEAD, chunked

TEXT = b"It rains in Paris. " * 40
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)


def encoded(name: bytes, body: bytes) -> bytes:
    head = HEAD.replace(b"\r\n", b"\r\nContent-Encoding: %s\r\n" % name, 1)
    return head + chunked(body[:9]) + chunked(body[9:]) + END


ANSWERS = {
    "chunked": (HEAD + chunked(TEXT[:9]) + chunked(TEXT[9:]) + END, True),
    "length": (LENGTH + TEXT, True),
    "as long as the connection": (CLOSE + TEXT, False),
    "early hints": (EARLY + EARLY + LENGTH + TEXT, True),
    "no keep-alive": (LENGTH.replace(b"1.1", b"1.0") + TEXT, False),
    "trailers": (HEAD + chunked(TEXT) + b"0\r\nX: y\r\n\r\n", True),
    "extensions": (HEAD + b"%x;a=b\r\n%b\r\n" % (len(TEXT), TEXT) + END, True),
    "bare line feeds": (LENGTH.replace(b"\r", b"") + TEXT, True),
    "gzip": (encoded(b"gzip", gzip.compress(TEXT)), True),
    "zlib": (encoded(b"Deflate", zlib.compress(TEXT)), True),
    "deflate": (encoded(b"deflate", RAW.compress(TEXT) + RAW.flush()), True),
    "unknown encoding": (encoded(b"utf-8", TEXT), True),
}


@pytest.mark.parametrize(("answer", "reusable"), ANSWERS.values(), ids=ANSWERS)
def test_bodies(answer: bytes, reusable: bool) -> None:
    """A body comes out whole wherever it is cut, and its end is known."""
    rng = random.Random(1)
    for size in (1, 3, 70, len(answer)):
        parser, body, rest = AnswerParser(), b"", answer
        while rest:
            at = rng.randint(1, size)
            body += parser.feed(rest[:at])
            rest = rest[at:]
        if not parser.complete:
            parser.lost(None)

        assert (body, parser.status, parser.error) == (TEXT, 200, None)
        assert (parser.complete, parser.reusable) == (True, reusable)


def test_headers() -> None:
    """Headers are found by their names in any case; those of interim answers not."""
    parser = AnswerParser()
    parser.feed(
        EARLY + b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nX: \xc3\xa9\xff\r\n\r\n"
    )

    assert parser.status == 429
    assert parser.headers["Retry-After"] == "7"
    assert parser.headers["x"] == "é\udcff"
    assert "Link" not in parser.headers


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", LENGTH + TEXT, b"xx"])
def test_more_than_an_answer(more: bytes) -> None:
    """What comes after the end is no part of it, and spoils the connection."""
    parser = AnswerParser()

    assert parser.feed(LENGTH + TEXT + more) == TEXT
    assert (parser.complete, parser.error, parser.reusable) == (True, None, False)


BROKEN = {
    "no HTTP": (b"SSH-2.0\r\n", b""),
    "a bad chunk": (HEAD + chunked(TEXT) + b"zz\r\n", TEXT),
    "no gzip": (encoded(b"gzip", TEXT), b""),
    "brotli": (encoded(b"br", TEXT), b""),
    "headers without end": (HEAD[:-2] + b"X: y\r\n" * (MAX_DRY // 6), b""),
    "trailers without end": (HEAD + b"0\r\n" + b"X: y\r\n" * (MAX_DRY // 6), b""),
}


@pytest.mark.parametrize(("answer", "body"), BROKEN.values(), ids=BROKEN)
def test_broken_answers(answer: bytes, body: bytes) -> None:
    """What can't be read on is an error; what came before it stands."""
    parser = AnswerParser()

    assert parser.feed(answer) == body
    assert isinstance(parser.error, aiohttp.ClientPayloadError)


def test_bomb() -> None:
    """What inflates to more than is bearable is an error, and is not kept."""
    packed = gzip.compress(b"0" * 2 * MAX_INFLATED)
    head = HEAD.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)
    parser = AnswerParser()

    assert len(parser.feed(head + chunked(packed))) <= MAX_INFLATED
    assert parser.error is not None


@pytest.mark.parametrize(
    ("received", "exc", "error"),
    [
        (b"", None, aiohttp.ServerDisconnectedError),
        (b"", ConnectionResetError(104, "reset"), aiohttp.ClientOSError),
        (HEAD[:9], None, aiohttp.ClientPayloadError),
        (HEAD[:9], ConnectionResetError(104, "reset"), aiohttp.ClientPayloadError),
        (HEAD, None, aiohttp.ClientPayloadError),
        (LENGTH, None, aiohttp.ClientPayloadError),
        (CLOSE, ConnectionResetError(104, "reset"), aiohttp.ClientPayloadError),
    ],
)
def test_lost_connections(
    received: bytes, exc: Exception | None, error: type[Exception]
) -> None:
    """Where nothing has come, nobody may have seen the request; else it was cut."""
    parser = AnswerParser()
    parser.feed(received)
    parser.lost(exc)

    assert type(parser.error) is error
    assert not parser.complete


def test_wrong_compression_is_named() -> None:
    """Compression that can't be undone is told apart from HTTP that is none."""
    parser = AnswerParser()
    parser.feed(encoded(b"br", TEXT))

    assert parser.error is not None
    assert isinstance(parser.error.__cause__, ContentEncodingError)
