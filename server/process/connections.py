"""Clients' connections, which answer malformed HTTP as middlewares answer requests."""

import asyncio
from http import HTTPStatus
from typing import Any, cast

import orjson
from aiohttp import StreamReader, http_exceptions, web
from aiohttp.web_protocol import _ErrInfo

from server.errors import ServerBusy
from server.gateway import Gateway
from server.logs import AccessLog
from server.web.context import VISIT, Visit
from server.web.middlewares import introduce
from server.web.middlewares.draining import close_after, half_close_when_done
from server.web.middlewares.errors import error_response, internal_error
from server.web.middlewares.log import facts
from server.web.middlewares.request_id import request_id
from server.web.routes.bodies import BodyStalled

from .doors import Doors
from .heads import (
    HEAD,
    HEADER,
    HeadStalled,
    parse_error,
)

# Seconds that a refused connection stays open for its client to read the answer.
TURNED_AWAY = 1.0
# Bytes a second of a body that must come, on the average over body_timeout.
PROGRESS = 500


class ClientConnection(web.RequestHandler):
    """
    aiohttp's protocol, which answers with our error objects where its parser fails.

    An error in a body is raised to whoever reads that body; aiohttp would let it wait.
    """

    __slots__ = (
        "_address",
        "_awaited",
        "_body",
        "_doors",
        "_gateway",
        "_head",
        "_log",
        "_progress",
        "refused",
    )

    def __init__(
        self,
        gateway: Gateway,
        log: AccessLog,
        doors: Doors,
        server: web.Server,
        **options: Any,
    ) -> None:
        super().__init__(server, **options)
        self._gateway = gateway
        self._log = log
        self._doors = doors
        self._address: str | None = None
        # When the wait for a head began; None while a request is answered.
        self._awaited: float | None = None
        # When the progress of a body was last checked, and how many bytes had come.
        self._progress: tuple[float, int] | None = None
        # The head that has begun, and the last request's body while it is not complete.
        self._head = b""
        self._body: StreamReader | None = None
        # The head that was refused, or b"" for a refused body: nothing more is read.
        self.refused: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = peer_address(transport.get_extra_info("peername"))
        front = self._gateway.front
        if front is not None and front.trusts(address):
            address = ""  # it is counted for the clients that it speaks for
        why = self._doors.enter(address, self._gateway.config.server)
        if why:
            self._turn_away(cast("asyncio.Transport", transport), why)
            return
        self._address = address
        super().connection_made(transport)
        self._awaited = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if self.refused is not None:
            return
        before = self._request_count
        try:
            super().data_received(data)
        except Exception as exc:  # noqa: BLE001 - not all that its parser raises is HTTP's
            self._refuse(exc, data)
            return
        if self._request_count == before:
            self._go_on(data)
            return
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._messages.pop()
            self._refuse(message.exc, data)
        else:
            self._head = b""
            self._awaited = None
            self._body = None if payload.is_eof() else payload

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._body = None
        if self._address is not None:
            self._doors.leave(self._address)
            self._address = None

    def speak_for(self, client: str) -> str:
        """
        Count this connection, a proxy's, for the *client* whose request it has brought,
        until it brings another's. Return why the client can't be served, or "".
        """
        if self._address is None or client == self._address:
            return ""
        settings = self._gateway.config.server
        why = self._doors.change(self._address, client, settings)
        if why:
            self._doors.tell(why)
        else:
            self._address = client
        return why

    def look(self, now: float, header_timeout: float, body_timeout: float) -> bool:
        """Refuse a head or a body that is too slow; return whether it was."""
        if self.refused is not None or self._force_close:
            return False
        if self._body is not None:
            return self._look_at_body(self._body, now, body_timeout)
        if self._awaited is None or now - self._awaited <= header_timeout:
            return False
        if self._head:
            self._refuse(HeadStalled(), b"")
        else:
            self.force_close()
        return True

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log nothing of a body that breaks off after its request's answer."""
        if not isinstance(more.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **more)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no middleware has seen: the parser's errors, and our own."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer is sent already")
        visit = Visit(request_id(request), self._gateway)
        request[VISIT] = visit
        below = self.refused is not None
        response = error_response(
            request, parse_error(exc) if below else internal_error(request, exc)
        )
        introduce(request, response)
        close_after(response)
        half_close_when_done(request)
        self._log.write(facts(request, visit, response.status, 0.0))
        return response

    def _look_at_body(self, body: StreamReader, now: float, timeout: float) -> bool:
        received, late = body.total_bytes, False
        if body.is_eof():
            self._body = self._progress = None
        elif self._progress is None or self._reading_paused:
            self._progress = now, received
        elif now - self._progress[0] > timeout:
            late = received - self._progress[1] < timeout * PROGRESS
            self._progress = now, received
        if late:
            self._break_off(body, BodyStalled("the body does not come on"))
        return late

    def _turn_away(self, transport: asyncio.Transport, why: str) -> None:
        self._doors.tell(why)
        self.refused = b""
        transport.write(_turned_away(why))
        if transport.can_write_eof():
            transport.write_eof()
        self._loop.call_later(TURNED_AWAY, transport.close)

    def _go_on(self, data: bytes) -> None:
        """Note data that completes no head: a part of one, or of a body."""
        if self._body is not None:
            if self._body.is_eof():
                self._body = self._progress = None
        elif data and not self._buffer_paused:
            self._head += data
            if self._awaited is None:
                self._awaited = self._loop.time()
            if len(self._head) > HEAD:
                self._refuse(http_exceptions.LineTooLong(b"", HEADER), b"")

    def _refuse(self, exc: BaseException, data: bytes) -> None:
        """Answer *exc* to the request that begins, or raise it to a body's reader."""
        if self._body is not None and not self._body.is_eof():
            malformed = web.RequestPayloadError("the body is malformed")
            self._break_off(self._body, malformed)
            return
        self.refused = self._head + data
        # A body without an end, so that the client may read the answer while it sends.
        rest = StreamReader(self, self._read_bufsize, loop=self._loop)
        self._messages.append((_ErrInfo(HTTPStatus.BAD_REQUEST, exc, ""), rest))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break_off(self, body: StreamReader, error: web.RequestPayloadError) -> None:
        self.refused = b""
        body.set_exception(error)
        body.feed_eof()
        self.close()


def peer_address(peer: object) -> str:
    """Return the address of a peer as aiohttp has it; "": a Unix socket's."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _turned_away(why: str) -> bytes:
    """Return the answer for a connection that is refused."""
    body = orjson.dumps({"error": ServerBusy(why).payload()})
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        b"Retry-After: 1\r\nServer: Interference\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
