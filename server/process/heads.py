"""Heads of requests: what is wrong with them, and how refused ones are answered."""

import re

from aiohttp import hdrs, http_exceptions
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web_protocol import ERROR
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from server.errors import (
    ExpectationFailed,
    GatewayError,
    HeaderTooLarge,
    MalformedHTTP,
    RequestLineTooLong,
    RequestTooSlow,
)

# Bytes of a header's line, its name and value together: browsers send the cookies of
# all ports of localhost in one.
HEADER = 65_536
REQUEST_LINE = 8190
# Bytes of a head that comes in several reads, all its headers together.
HEAD = 262_144

# The parts of a refused head that say how to answer it. Text that may stand in no log
# and no answer does not match.
LINE = re.compile(rb"(?m)^([A-Z]{1,20}) (/[\w./%+~:@-]{0,200})[ ?]")
FIELD = re.compile(
    rb"(?mi)^(?:(Origin|X-Request-ID):[ \t]*([!-~]{1,500})"
    rb"|(X-Forwarded-For):[ \t]*([0-9a-f.:, \[\]]{1,500}))[ \t]*\r?$"
)

CONTINUE = "100-continue"
NOT_HTTP = (
    "The request line is not one of HTTP/1.1. HTTPS and HTTP/2 are not spoken here,"
    " only by a proxy in front."
)
# What is wrong, by words in the first line of the parser's message.
PARTS = {
    ("chunk",): "The chunks of the request body are malformed.",
    ("transfer-encoding",): "The 'Transfer-Encoding' of the request is not HTTP/1.1's.",
    ("too many headers",): "The request has too many headers.",
    ("content-length",): "The 'Content-Length' of the request is malformed.",
    ("duplicate",): "A header is there twice that a request may have only once.",
    ("'host'",): "The request has no 'Host' header.",
    ("header",): "A header of the request is malformed.",
}


def refusal(message: RawRequestMessage) -> GatewayError | None:
    """Return what is wrong with a head that the parser has let pass."""
    if message.version > HttpVersion11:
        return MalformedHTTP(NOT_HTTP, headers={hdrs.CONNECTION: "close"})
    if message.headers.get(hdrs.EXPECT, CONTINUE).lower() != CONTINUE:
        return ExpectationFailed("The only 'Expect' that is known is 100-continue.")
    return None


def waits_to_continue(message: RawRequestMessage) -> bool:
    return message.version == HttpVersion11 and hdrs.EXPECT in message.headers


def plain(message: RawRequestMessage) -> RawRequestMessage:
    """Return a head without what aiohttp would answer before any middleware."""
    headers = CIMultiDict(message.headers)
    headers.popall(hdrs.EXPECT, None)
    version = min(message.version, HttpVersion11)
    return message._replace(headers=CIMultiDictProxy(headers), version=version)


def salvaged(data: bytes) -> RawRequestMessage:
    """Return a head that can be answered, with what is left of one that was refused."""
    head = data.partition(b"\r\n\r\n")[0]
    line = LINE.search(head)
    method, path = line.groups() if line else (b"-", b"/")
    headers = CIMultiDict(
        ((name or hop).decode(), (value or address).decode())
        for name, value, hop, address in FIELD.findall(head)
    )
    return ERROR._replace(
        method=method.decode(),
        path=path.decode(),
        url=URL.build(path=path.decode(), encoded=True),
        headers=CIMultiDictProxy(headers),
        version=HttpVersion11,
    )


class HeadStalled(Exception):
    """A head of which nothing more comes."""


def parse_error(exc: BaseException | None) -> GatewayError:
    """Return the error for what a parser has refused, without the request's words."""
    reason = str(getattr(exc, "message", "")).partition("\n")[0].lower()
    match exc:
        case HeadStalled():
            return RequestTooSlow("The head of the request does not come to its end.")
        case http_exceptions.LineTooLong(args=(_, limit, *_)):
            if limit == REQUEST_LINE:
                text = f"The request line is longer than {REQUEST_LINE} bytes."
                return RequestLineTooLong(text)
            return HeaderTooLarge(
                f"A header of the request is larger than {HEADER} bytes, or all of them"
                f" together than {HEAD}."
            )
        case http_exceptions.BadStatusLine() | http_exceptions.InvalidURLError():
            return MalformedHTTP(NOT_HTTP)
    for words, text in PARTS.items():
        if any(word in reason for word in words):
            return MalformedHTTP(text)
    return MalformedHTTP("The request is not what HTTP/1.1 allows.")
