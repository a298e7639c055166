"""Clients' connections: what is refused below HTTP's requests is answered like them."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, hdrs, http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web_protocol import ERROR, _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from server.errors import (
    ExpectationFailed,
    GatewayError,
    HeaderTooLarge,
    MalformedHTTP,
    RequestLineTooLong,
)
from server.gateway import Gateway
from server.logs import AccessLog
from server.web.context import REFUSAL, VISIT, WAITS_TO_CONTINUE, RefusedRequest, Visit
from server.web.middlewares import introduce
from server.web.middlewares.draining import close_after, half_close_when_done
from server.web.middlewares.errors import error_response, internal_error
from server.web.middlewares.log import facts
from server.web.middlewares.request_id import request_id

# Bytes of a header's line, its name and value together: browsers send the cookies of
# all ports of localhost in one.
HEADER = 65_536
REQUEST_LINE = 8190
# Bytes of a head that comes in several reads, all its headers together.
HEAD = 262_144
# Seconds in which a client that was refused may notice, while it still sends.
LINGER = 5.0

# What is read of a head that the parser has refused: to whom and in which shape to
# answer. What may be in no log and no answer doesn't match.
LINE = re.compile(rb"(?m)^([A-Z]{1,20}) (/[\w./%+~:@-]{0,200})[ ?]")
FIELD = re.compile(rb"(?mi)^(Origin|X-Request-ID):[ \t]*([!-~]{1,500})[ \t]*\r?$")

CONTINUE = "100-continue"
NOT_HTTP = (
    "The request line is not one of HTTP/1.1. HTTPS and HTTP/2 are not spoken here,"
    " only by a proxy in front."
)
# What is wrong, by the words with which aiohttp's parser begins to say so.
PARTS = {
    ("chunk",): "The chunks of the request body are malformed.",
    ("transfer-encoding",): "The 'Transfer-Encoding' of the request is not HTTP/1.1's.",
    ("too many headers",): "The request has too many headers.",
    ("content-length",): "The 'Content-Length' of the request is malformed.",
    ("duplicate",): "A header is there twice that a request may have only once.",
    ("'host'",): "The request has no 'Host' header.",
    ("header",): "A header of the request is malformed.",
}


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
            request, _told(exc) if below else internal_error(request, exc)
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
            message = _salvaged(protocol.refused or b"")
        refusal = _refusal(message)
        kind = web.Request if refusal is None else RefusedRequest
        request = made(_plain(message), payload, protocol, writer, task, _cls=kind)
        if refusal is not None:
            request[REFUSAL] = refusal
        elif _waits_to_continue(message):
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


def _refusal(message: RawRequestMessage) -> GatewayError | None:
    """Return what is wrong with a head that the parser has let pass."""
    if message.version > HttpVersion11:
        return MalformedHTTP(NOT_HTTP, headers={hdrs.CONNECTION: "close"})
    if message.headers.get(hdrs.EXPECT, CONTINUE).lower() != CONTINUE:
        return ExpectationFailed("The only 'Expect' that is known is 100-continue.")
    return None


def _waits_to_continue(message: RawRequestMessage) -> bool:
    return message.version == HttpVersion11 and hdrs.EXPECT in message.headers


def _plain(message: RawRequestMessage) -> RawRequestMessage:
    """Leave out what aiohttp would meet before anybody has been asked for a key."""
    headers = CIMultiDict(message.headers)
    headers.popall(hdrs.EXPECT, None)
    version = min(message.version, HttpVersion11)
    return message._replace(headers=CIMultiDictProxy(headers), version=version)


def _salvaged(data: bytes) -> RawRequestMessage:
    """Return what can be answered of a request whose head was refused."""
    head = data.partition(b"\r\n\r\n")[0]
    line = LINE.search(head)
    method, path = line.groups() if line else (b"-", b"/")
    headers = CIMultiDict(
        (name.decode(), value.decode()) for name, value in FIELD.findall(head)
    )
    return ERROR._replace(
        method=method.decode(),
        path=path.decode(),
        url=URL.build(path=path.decode(), encoded=True),
        headers=CIMultiDictProxy(headers),
        version=HttpVersion11,
    )


def _told(exc: BaseException | None) -> GatewayError:
    """Say what a parser has refused, without a word of the request in it."""
    what = str(getattr(exc, "message", "")).partition("\n")[0].lower()
    match exc:
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
        if any(word in what for word in words):
            return MalformedHTTP(text)
    return MalformedHTTP("The request is not what HTTP/1.1 allows.")
