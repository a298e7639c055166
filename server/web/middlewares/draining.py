"""Closes connections after an answer: the server stops, or a body is too long."""

import asyncio
from contextlib import suppress

from aiohttp import hdrs, web

from server.web.context import VISIT, WAITS_TO_CONTINUE

# Bytes of an unread body up to which it is worth while to read it to its end, and to
# keep the connection.
WORTH_READING = 65_536


def close_when_done(request: web.Request, response: web.StreamResponse) -> None:
    """Close when the server stops, and where a refused body would take too long."""
    if request[VISIT].gateway.drain.draining:
        close_after(response)
    elif not request.content.is_eof():
        length = request.content_length
        if length is None or length > WORTH_READING or WAITS_TO_CONTINUE in request:
            close_after(response)
            half_close_when_done(request)


def half_close_when_done(request: web.BaseRequest) -> None:
    """
    Half-close the connection when this task is done, though the request goes on: if it
    were closed at once, the client would lose the answer.
    """
    task, transport = asyncio.current_task(), request.transport
    if task is not None and transport is not None and transport.can_write_eof():
        task.add_done_callback(lambda _: _half_close(transport))


def _half_close(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        with suppress(OSError, RuntimeError):
            transport.write_eof()


def close_after(response: web.StreamResponse) -> None:
    response.force_close()
    response.headers[hdrs.CONNECTION] = "close"
