"""The server of clients' connections, and the runner of an application on it."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web_protocol import ERROR

from server.gateway import Gateway
from server.logs import AccessLog
from server.web.context import REFUSAL, WAITS_TO_CONTINUE, RefusedRequest

from .connections import ClientConnection
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
        now, refusals = self._loop.time(), 0
        for connection in self.connections:
            if isinstance(connection, ClientConnection):
                refusals += connection.look(now, *timeouts)
                if refusals == REFUSED:
                    break
        wait = min(LOOK, *(timeout / SHARE for timeout in timeouts))
        wait = SOON if refusals == REFUSED else wait
        self._next_look = self._loop.call_later(wait, self._look)

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        make = self._made_by_app
        if message.version is HttpVersion11 and hdrs.EXPECT not in message.headers:
            return make(message, payload, protocol, writer, task)
        if message is ERROR and isinstance(protocol, ClientConnection):
            message = salvaged(protocol.refused or b"")
        error = refusal(message)
        kind = web.Request if error is None else RefusedRequest
        request = make(plain(message), payload, protocol, writer, task, _cls=kind)
        if error is not None:
            request[REFUSAL] = error
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
            # web/unpacking.py does it, within bounds and after the check of keys.
            "auto_decompress": False,
        }

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return ClientServer(server, self._gateway, **self._options)
