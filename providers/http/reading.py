"""What an answer says, by whichever way it came: its status, its body, its break."""

import asyncio
import contextlib
import math
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from httptools import HttpParserError, HttpParserUpgrade

from providers.dialects import read_error
from providers.errors import ProviderError, ProviderFailed

from .exchange import Exchange

MAX_ERROR_BYTES = 64 * 1024
# What happened to a connection, by the first class that an exception, or what caused
# it, is of.
BREAKS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ContentEncodingError,), "its answer is compressed in a way that can't be read"),
    ((aiohttp.ClientConnectorDNSError,), "its host name can't be resolved"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "no TLS connection to it can be made"),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        "the proxy to it can't be used",
    ),
    (
        (aiohttp.ClientConnectorError, ConnectionRefusedError),
        "no connection to it can be made",
    ),
    ((HttpParserError, HttpParserUpgrade), "its answer is not valid HTTP"),
    # RuntimeError: aiohttp has hung up by itself, since what came is no HTTP any more.
    ((aiohttp.ClientPayloadError, RuntimeError), "it broke its answer off"),
    ((aiohttp.ClientResponseError,), "its answer is not valid HTTP"),
)


# An answer to a call, by whichever way it was made.
Answer = Exchange | aiohttp.ClientResponse


async def error_of(response: Answer, patience: float) -> ProviderError:
    """
    Return the ProviderError that an answer's status stands for, and hang up.

    *patience*: the seconds that its body may take: the status is known, and says most.
    """
    # Raised here, the error's traceback would know this frame.
    try:
        status = response.status
        if status < HTTPStatus.BAD_REQUEST:
            text = f"it redirects (HTTP status {status}): check its base_url"
            return ProviderFailed(text, status=status)
        error = read_error(status, await read_explanation(response, patience))
        # A header goes before what the body may have said.
        seconds = retry_after(response.headers)
        error.retry_after = error.retry_after if seconds is None else seconds
        return error
    finally:
        response.close()


async def read_explanation(response: Answer, patience: float) -> bytes:
    """Read the body of an error, as far as it comes within *patience* seconds."""
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(patience):
            while len(body) < MAX_ERROR_BYTES:
                if not (part := await read_some(response)):
                    break
                body += part
    return bytes(body[:MAX_ERROR_BYTES])


async def read_some(response: Answer) -> bytes:
    """Read what has come of a body, b"" at its end; or raise an aiohttp.ClientError."""
    if isinstance(response, Exchange):
        return await response.read()
    try:
        return await response.content.readany()
    except RuntimeError as exc:
        raise aiohttp.ClientPayloadError("the connection was closed") from exc


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body to its end, or to *limit* bytes."""
    body = bytearray()
    while len(body) < limit and (part := await read_some(response)):
        body += part
    return bytes(body[:limit])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds that an upstream asks to be left alone.

    `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
    """
    milliseconds = _number(headers.get("Retry-After-Ms", ""))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("Retry-After", "")
    seconds = _number(value)
    if seconds is not None and seconds >= 0:
        return seconds
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def what_broke(exc: Exception) -> str:
    """Say what happened to a connection, without the address that aiohttp names."""
    chain: list[BaseException] = [exc]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for classes, what in BREAKS:
        if any(isinstance(each, classes) for each in chain):
            return what
    return "it hung up"
