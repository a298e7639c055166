"""The bodies of requests: read within bounds, and unpacked if they are compressed."""

from collections.abc import Mapping

from aiohttp import StreamReader, hdrs, web
from aiohttp.web_request import FileField

from server.errors import (
    BodyTooLarge,
    GatewayError,
    InvalidRequest,
    MalformedHTTP,
    RequestTooSlow,
    UnsupportedEncoding,
)
from server.web.context import VISIT, WAITS_TO_CONTINUE
from server.web.unpacking import ENCODINGS, unpacked

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Old names of encodings, which RFC 9110 (8.4.1.3) keeps.
OLD_NAMES = {"x-gzip": "gzip"}


Form = Mapping[str, str | bytes | bytearray | FileField]


class BodyStalled(web.RequestPayloadError):
    """A body of which nothing more comes, or too little."""


async def body_of(request: web.Request) -> bytes:
    """
    Return a request's body, unpacked.

    Raises BodyTooLarge, also if its head already says so; UnsupportedEncoding; and
    InvalidRequest if the body is not what its head says.

    Most bodies have come with their heads and are not compressed: those are taken as
    they are, past aiohttp's steps of waiting for the rest.
    """
    content = request.content
    if hdrs.CONTENT_ENCODING in request.headers or not content.is_eof():
        return await _read(request)
    if content.total_bytes > request.client_max_size:
        raise _too_large(request)
    try:
        return content.read_nowait()
    except web.RequestPayloadError as exc:
        raise _broken(exc) from exc


async def form_of(request: web.Request) -> Form:
    """Return the fields of a body that is a form; raises as `body_of` does."""
    await _unpack_form(request)
    try:
        return await request.post()
    except (web.HTTPException, OSError):
        raise
    except Exception as exc:
        # aiohttp has an error for each way of being broken, of as many classes.
        raise InvalidRequest(
            "The form can't be read. Send it as multipart/form-data, each part with a"
            " name."
        ) from exc


async def _unpack_form(request: web.Request) -> None:
    """Put a body's content in its place, unpacked, for aiohttp to read a form of."""
    content = await _read(request)
    form = StreamReader(request.protocol, limit=len(content) + 1)
    form.feed_data(content)
    form.feed_eof()
    request._payload = form  # noqa: SLF001 - there is no other way to its forms


async def _read(request: web.Request) -> bytes:
    encoding = _encoding(request)
    _check_length(request)
    await _ask_for_body(request)
    try:
        body = await _whole(request)
    except web.RequestPayloadError as exc:
        raise _broken(exc) from exc
    if encoding is None:
        return body
    return await unpacked(body, encoding, request.client_max_size)


async def _whole(request: web.Request) -> bytes:
    """Return the body as it comes, within the bounds of one and of all together."""
    body, largest = bytearray(), request.client_max_size
    with request[VISIT].gateway.unread.reading(largest) as share:
        while piece := await request.content.readany():
            share.take(len(piece))
            body += piece
            if len(body) > largest:
                raise _too_large(request)
    return bytes(body)


def _encoding(request: web.Request) -> str | None:
    """Return the encoding of a compressed body; None: it is not compressed."""
    header = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ()))
    names = [name.strip().lower() for name in header.split(",")]
    names = [OLD_NAMES.get(n, n) for n in names if n not in {"", "identity"}]
    if not names:
        return None
    if len(names) > 1 or names[0] not in ENCODINGS:
        raise UnsupportedEncoding(
            "The request body has a content encoding that is not known here. Send it"
            f" as it is, or in one of {', '.join(ENCODINGS)}.",
            headers={"Accept-Encoding": ", ".join(ENCODINGS)},
        )
    return names[0]


def _check_length(request: web.Request) -> None:
    if (request.content_length or 0) > request.client_max_size:
        raise _too_large(request)


async def _ask_for_body(request: web.Request) -> None:
    """Answer 100 to a client that waits for it before it sends the body."""
    if WAITS_TO_CONTINUE in request and not request.content.is_eof():
        await request.writer.write(CONTINUE)
        # aiohttp takes it for the beginning of the answer.
        request.writer.output_size = 0


def _too_large(request: web.Request) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request body is larger than {request.client_max_size} bytes."
    )


def _broken(exc: web.RequestPayloadError) -> GatewayError:
    # Nobody knows where the next request of the connection begins.
    headers: dict[str, str] = {hdrs.CONNECTION: "close"}
    if isinstance(exc, BodyStalled):
        return RequestTooSlow("The request body does not come on.", headers=headers)
    return MalformedHTTP(
        "The chunks of the request body are malformed.", headers=headers
    )
