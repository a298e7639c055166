"""When an answer is the last of its connection, which its head then says."""

from aiohttp import hdrs, web

from server.web.context import VISIT, WAITS_TO_CONTINUE

# Bytes of a body that nobody reads for which it is worth while to go on: they are read
# to their end, and the connection takes the next request.
WORTH_READING = 65_536


def close_when_done(request: web.Request, response: web.StreamResponse) -> None:
    """Close when the server stops, and where a refused body would take too long."""
    if request[VISIT].gateway.drain.draining:
        close_after(response)
    elif not request.content.is_eof():
        length = request.content_length
        if length is None or length > WORTH_READING or WAITS_TO_CONTINUE in request:
            close_after(response)


def close_after(response: web.StreamResponse) -> None:
    response.force_close()
    response.headers[hdrs.CONNECTION] = "close"
