"""The bodies of requests."""

from aiohttp import web

from server.errors import InvalidRequest


async def body_of(request: web.Request) -> bytes:
    """
    Return a request's body; raises HTTPRequestEntityTooLarge, and InvalidRequest if it
    is not compressed in the way that its head says.

    Most have come with their heads: those are taken as they are, past the steps in
    which aiohttp waits for the others.
    """
    content = request.content
    try:
        if content.is_eof() and content.total_bytes <= request.client_max_size:
            return content.read_nowait()
        return await request.read()
    except web.RequestPayloadError as exc:
        raise InvalidRequest(
            "The request body is not what its 'Content-Encoding' says."
        ) from exc
