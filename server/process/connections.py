"""Clients' connections: what is refused below HTTP's requests is answered like them."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, hdrs, http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web_protocol import ERROR, _ErrInfo

from server.gateway import Gateway
from server.logs import AccessLog
from server.web.context import REFUSAL, VISIT, WAITS_TO_CONTINUE, RefusedRequest, Visit
from server.web.middlewares import introduce
from server.web.middlewares.draining import close_after, half_close_when_done
from server.web.middlewares.errors import error_response, internal_error
from server.web.middlewares.log import facts
from server.web.middlewares.request_id import request_id

from .heads import (
    HEAD,
    HEADER,
    REQUEST_LINE,
    plain,
    refusal,
    salvaged,
    told,
    waits_to_continue,
)

# Seconds in which a client that was refused may notice, while it still sends.
LINGER = 5.0


class ClientConnection(web.RequestHandler):
    """
    aiohttp's protocol, with our error objects where its parser refuses what it reads.

    A body's error is raised to whoever reads that body, whom aiohttp lets wait.
    """

    __slots__ = ("_body", "_gateway", "_head", "_log", "refused")

    def __init__(
        self, gateway: Gateway, log: AccessLog, server: web.Server, **options: Any
    ) -> None:
        super().__init__(server, **options)
        self._gateway = gateway
        self._log = log
        # The head that has begun, and the last request's body while it is not complete.
        self._head = b""
        self._body: StreamReader | None = None
        # The head that was refused, or an empty one: nothing is read any more.
        self.refused: bytes | None = None

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
            self._body = None if payload.is_eof() else payload

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._body = None

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log nothing of a body that breaks off after its request's answer."""
        if not isinstance(more.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **more)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - aiohttp's; ours says it better
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> web.StreamResponse:
        """Answer what no middleware has seen: the parser's errors, and our own."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer is sent already")
        visit = Visit(request_id(request), self._gateway)
        request[VISIT] = visit
        below = self.refused is not None
        response = error_response(
            request, told(exc) if below else internal_error(request, exc)
        )
        introduce(request, response)
        close_after(response)
        half_close_when_done(request)
        self._log.write(facts(request, visit, response.status, 0.0))
        return response

    def _go_on(self, data: bytes) -> None:
        """Take in what is no whole head: a part of one, or of a body."""
        if self._body is not None:
            if self._body.is_eof():
                self._body = None
        elif not self._buffer_paused:
            self._head += data
            if len(self._head) > HEAD:
                self._refuse(http_exceptions.LineTooLong(b"", HEADER), b"")

    def _refuse(self, exc: BaseException, data: bytes) -> None:
        """Have *exc* told: of the request that begins, or to who reads a body."""
        if self._body is not None and not self._body.is_eof():
            self._break_off(self._body)
            return
        self.refused = self._head + data
        # It has no end: the client may notice while it still sends.
        rest = StreamReader(self, self._read_bufsize, loop=self._loop)
        self._messages.append((_ErrInfo(400, exc, ""), rest))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break_off(self, body: StreamReader) -> None:
        self.refused = b""
        body.set_exception(web.RequestPayloadError("the body is malformed"))
        body.feed_eof()
        self.close()


class ClientServer(web.Server):
    """aiohttp's server, with our connections, for the requests of *server*'s app."""

    def __init__(self, server: web.Server, gateway: Gateway, **options: Any) -> None:
        super().__init__(
            server.request_handler,
            request_factory=self._make,
            handler_cancellation=server.handler_cancellation,
        )
        self._options = options
        self._made_by_app: Callable[..., web.BaseRequest] = server.request_factory
        self._gateway = gateway
        self._log = AccessLog(gateway.config.log)

    def __call__(self) -> ClientConnection:
        return ClientConnection(
            self._gateway, self._log, self, loop=self._loop, **self._options
        )

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        made = self._made_by_app
        if message.version is HttpVersion11 and hdrs.EXPECT not in message.headers:
            return made(message, payload, protocol, writer, task)
        if message is ERROR and isinstance(protocol, ClientConnection):
            message = salvaged(protocol.refused or b"")
        refused = refusal(message)
        kind = web.Request if refused is None else RefusedRequest
        request = made(plain(message), payload, protocol, writer, task, _cls=kind)
        if refused is not None:
            request[REFUSAL] = refused
        elif waits_to_continue(message):
            request[WAITS_TO_CONTINUE] = True
        return request


class ClientRunner(web.AppRunner):
    """Runs an application on our connections."""

    __slots__ = ("_gateway", "_options")

    def __init__(
        self, app: web.Application, gateway: Gateway, *, keepalive: float, **more: Any
    ) -> None:
        # By default aiohttp lets a handler run on when its client has hung up, and the
        # providers would go on being paid for.
        super().__init__(app, handler_cancellation=True, **more)
        self._gateway = gateway
        self._options = {
            "access_log": None,
            "keepalive_timeout": keepalive,
            "lingering_time": LINGER,
            "max_field_size": HEADER,
            "max_line_size": REQUEST_LINE,
            # We do it ourselves, for whom we serve, and within bounds.
            "auto_decompress": False,
        }

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return ClientServer(server, self._gateway, **self._options)
