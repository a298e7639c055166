"""The answer to a client that wants a stream."""

import asyncio

from aiohttp import web
from attrs import define, field

from providers import ChatPiece, ChatRequest, ProviderError
from server.errors import GatewayError
from server.racing.batch import ChatLineup
from server.racing.errors import StreamInterrupted
from server.racing.race import Race, Winner
from server.racing.streams import deliver
from server.wire.format import Rendering, StreamRenderer

from .context import VISIT
from .logged_race import LoggedRace, cost, decided, race_headers
from .middlewares import introduce
from .middlewares.errors import internal_error
from .sse import EventStream

ChatRace = Race[ChatRequest, ChatPiece]


@define(eq=False)
class Streaming:
    """One answer, which its client is sent as it comes."""

    request: web.Request
    race: ChatRace
    lineup: ChatLineup
    form: Rendering
    logged: LoggedRace[ChatRequest, ChatPiece]
    _response: EventStream | None = field(default=None, init=False)

    async def run(self) -> web.StreamResponse:
        # In the loop's next turn, when the racers' requests have been sent: the loop is
        # idle then.
        asyncio.get_running_loop().call_soon(self._open)
        streams = self.request[VISIT].gateway.metrics.streams
        streams.add()
        try:
            await self._show()
        except Exception as exc:
            winner = self.race.winner
            if isinstance(exc, ProviderError) and winner is not None:
                winner.fail(exc)
            response = self._open()
            if not response.prepared or isinstance(exc, ConnectionError):
                raise  # the client can be answered otherwise, or is gone
            frame = self._last_frame(exc)
            self.logged.close()
            await response.finish(frame)
        finally:
            streams.add(amount=-1.0)
            self._open().stop()
        return self._open()

    def _open(self) -> EventStream:
        """Return the stream to the client, whose headers are held back for a while."""
        response = self._response
        if response is None:
            request = self.request
            server = request[VISIT].gateway.config.server
            response = EventStream(request, ping_interval=server.ping_interval)
            self._response = response
            introduce(request, response)
            response.hold(server.header_hold)
        return response

    async def _show(self) -> None:
        race, lineup, form = self.race, self.lineup, self.form
        with self.request[VISIT].gateway.drain.scope(
            lineup.total_timeout, lineup.deadline
        ):
            winner = await decided(race, lineup)
            response = self._open()
            if not response.prepared:
                response.headers.update(race_headers(race, winner))
            renderer = form.stream(race.request, winner.id, lineup.model_of(winner.id))
            await _pass_on(winner, renderer, response)
            end = await form.keep(renderer.end(cost(self.logged.visit, winner)))
        self.logged.close()
        await response.finish(end)

    def _last_frame(self, exc: Exception) -> bytes:
        """Return the frame that ends the stream for *exc*, and note its code."""
        error = _shown_error(exc, self.race, self.request)
        self.logged.ending.code = error.cause
        return self.form.error_frame(error)


async def _pass_on(
    winner: Winner[ChatPiece], renderer: StreamRenderer, response: EventStream
) -> None:
    await response.begin(renderer.render(winner.head))
    put, render = response.put, renderer.render
    await deliver(winner.rest, lambda pieces: put(render(pieces)), response.catch_up)
    winner.close()


def _shown_error(exc: Exception, race: ChatRace, request: web.Request) -> GatewayError:
    """Return the error that a client is sent for *exc*, after its first frames."""
    if isinstance(exc, GatewayError):
        return exc
    if not isinstance(exc, ProviderError):
        return internal_error(request, exc)
    if race.winner is not None and race.winner.lane.error is None:
        race.winner.fail(exc)  # its answer can't be rendered
    loss = race.winner.lane.loss() if race.winner else None
    if loss is None:
        raise AssertionError("a stream broke that nobody had won") from exc
    return StreamInterrupted(loss)
