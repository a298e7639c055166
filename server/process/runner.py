"""The server of clients' connections, and the runner of an application on it."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web_protocol import ERROR

from server.errors import GatewayError, RouteNotFound, ServerBusy
from server.gateway import Gateway
from server.logs import AccessLog
from server.web.context import REFUSAL, WAITS_TO_CONTINUE, RefusedRequest
from server.web.front import Front

from .connections import ClientConnection, peer_address
from .doors import Doors
from .heads import HEADER, REQUEST_LINE, plain, refusal, salvaged, waits_to_continue

# Seconds that a refused client has to read the answer while it still sends.
LINGER = 5.0
# Seconds between two looks for slow clients, or this share of the time-outs.
LOOK = 1.0
SHARE = 4
# Connections that are refused in one look, and seconds to the next if there are more.
REFUSED, SOON = 100, 0.02


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
        self._doors = Doors()
        self._look()

    def __call__(self) -> ClientConnection:
        return ClientConnection(
            *(self._gateway, self._log, self._doors, self),
            loop=self._loop,
            **self._options,
        )

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        self._next_look.cancel()
        await super().shutdown(timeout)

    def _look(self) -> None:
        """Look for slow clients now and then: a timer for each would cost more."""
        settings = self._gateway.config.server
        timeouts = settings.header_timeout, settings.body_timeout
        self._look_at_descriptors()
        now, refusals = self._loop.time(), 0
        for connection in self.connections:
            if isinstance(connection, ClientConnection):
                refusals += connection.look(now, *timeouts)
                if refusals == REFUSED:
                    break
        wait = min(LOOK, *(timeout / SHARE for timeout in timeouts))
        wait = SOON if refusals == REFUSED else wait
        self._next_look = self._loop.call_later(wait, self._look)

    def _look_at_descriptors(self) -> None:
        """
        Tell if there are none left: then the event loop closes what it accepts, and
        says so to nobody.
        """
        try:
            os.close(os.dup(2))
        except OSError:
            self._doors.tell("There are no file descriptors left: raise `ulimit -n`.")

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        make, front = self._made_by_app, self._gateway.front
        if (
            front is None
            and message.version is HttpVersion11
            and hdrs.EXPECT not in message.headers
        ):
            return make(message, payload, protocol, writer, task)
        if message is ERROR and isinstance(protocol, ClientConnection):
            message = salvaged(protocol.refused or b"")
        error = refusal(message)
        waits = waits_to_continue(message)
        message = plain(message)
        if front is not None:
            message, outside = _entered(front, message, protocol)
            error = error or outside
        kind = web.Request if error is None else RefusedRequest
        request = make(message, payload, protocol, writer, task, _cls=kind)
        if error is not None:
            request[REFUSAL] = error
        elif waits:
            request[WAITS_TO_CONTINUE] = True
        return request if front is None else _introduced(front, request)


def _entered(
    front: Front, message: RawRequestMessage, protocol: web.RequestHandler
) -> tuple[RawRequestMessage, GatewayError | None]:
    """Return the request as it is below our prefix, and why it is refused, if it is."""
    try:
        if front.prefix:
            url = front.inside(message.url)
            message = message._replace(url=url, path=url.raw_path_qs)
    except RouteNotFound as exc:
        return message, exc
    client = front.client(peer_address(protocol.peername), message.headers)
    if isinstance(protocol, ClientConnection) and (why := protocol.speak_for(client)):
        return message, ServerBusy(why, headers={"Retry-After": "1"})
    return message, None


def _introduced(front: Front, request: web.BaseRequest) -> web.BaseRequest:
    """Return a request that knows its client, though a proxy has brought it."""
    peer = request.remote or ""
    client = front.client(peer, request.headers)
    scheme = front.scheme(peer, request.headers)
    if client == peer and scheme is None:
        return request
    return request.clone(remote=client, scheme=scheme or request.scheme)


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
            # web/unpacking.py does it, within bounds and after the check of keys.
            "auto_decompress": False,
        }

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return ClientServer(server, self._gateway, **self._options)
