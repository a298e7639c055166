"""From a race to its answer, streamed or whole, in whatever format a route serves."""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from time import perf_counter, time
from typing import Any

from aiohttp import web
from attrs import define, field

from providers import ChatPiece, ChatRequest, ProviderError, TaskRequest
from server.errors import GatewayError, InternalError, NobodyWon, StreamInterrupted
from server.racing.lineup import Lineup
from server.racing.race import Lane, Race, Winner
from server.record.story import Ending, Story
from server.wire.format import Format, Stream

from .context import VISIT
from .middlewares import introduce
from .middlewares.errors import internal_error
from .sse import EventStream

Chat = Race[ChatRequest, ChatPiece]


async def answer(
    request: web.Request, chat: ChatRequest, lineup: Lineup, form: Format
) -> web.StreamResponse:
    """
    Race *lineup* for *chat*, and answer in the form that the client asked for.

    Raises a GatewayError only while nothing has been sent.
    """
    health = request[VISIT].gateway.health
    race: Chat = Race(lineup.entrants, chat, lineup.schedule, health.add)
    respond = _stream if chat.stream else _whole
    with _Recorded(request, race, lineup) as ending:
        return await respond(request, race, lineup, form, ending)


async def first_piece(
    request: web.Request, asked: TaskRequest, lineup: Lineup
) -> tuple[Any, str, dict[str, str]]:
    """
    Race *lineup* for what comes in one piece: images, sound, embeddings.

    Return the piece, the winner's id, and the headers that tell of the race.
    """
    gateway = request[VISIT].gateway
    race: Race[Any, Any] = Race(
        lineup.entrants, asked, lineup.schedule, gateway.health.add
    )
    with _Recorded(request, race, lineup), gateway.drain.scope(lineup.deadline):
        winner = await _decided(race, lineup)
        (piece,) = winner.head
        return piece, winner.id, _headers(race, winner)


async def first_count(
    request: web.Request, chat: ChatRequest, lineup: Lineup
) -> tuple[int | None, dict[str, str]]:
    """
    Race *lineup* for how many tokens *chat* has; None: nobody has counted.

    It is not recorded: it tells nothing of how soon and how well providers speak.
    """
    race: Race[Any, Any] = Race(lineup.entrants, chat, lineup.schedule)
    request[VISIT].race = race
    try:
        with request[VISIT].gateway.drain.scope(lineup.deadline):
            winner = await race.run()
            (counted,) = winner.head
            return counted.input_tokens, _headers(race, winner)
    except NobodyWon:
        return None, {"Server-Timing": _timing(race)}
    finally:
        race.close()


async def _stream(
    request: web.Request, race: Chat, lineup: Lineup, form: Format, ending: Ending
) -> web.StreamResponse:
    gateway = request[VISIT].gateway
    # In the loop's next turn the racers have been asked, and nothing else is to do.
    opened = cache(partial(_opened, request))
    asyncio.get_running_loop().call_soon(opened)
    try:
        with gateway.drain.scope(lineup.deadline):
            winner = await _decided(race, lineup)
            response = opened()
            if not response.prepared:
                response.headers.update(_headers(race, winner))
            shown = form.stream(race.request, winner.id, lineup.model_of(winner.id))
            await _pass_on(winner, shown, response)
            end = shown.end()
            await form.keep()
        await response.finish(end)
    except Exception as exc:
        if isinstance(exc, ProviderError) and race.winner is not None:
            race.winner.fail(exc)
        if not opened().prepared or isinstance(exc, ConnectionError):
            raise  # the client can be told otherwise, or is gone
        await opened().finish(_last_frame(exc, request, race, form, ending))
    finally:
        opened().stop()
    return opened()


def _opened(request: web.Request) -> EventStream:
    """Return the stream to a client, whose headers are held back for a while."""
    server = request[VISIT].gateway.config.server
    response = EventStream(request, ping_interval=server.ping_interval)
    introduce(request, response)
    response.hold(server.header_hold)
    return response


async def _pass_on(winner: Winner[Any], shown: Stream, response: EventStream) -> None:
    await response.begin(shown.render(winner.head))
    put, render = response.put, shown.render
    await winner.rest.pour(lambda pieces: put(render(pieces)), response.catch_up)
    winner.close()


async def _whole(
    request: web.Request, race: Chat, lineup: Lineup, form: Format, _: Ending
) -> web.StreamResponse:
    gateway = request[VISIT].gateway
    with gateway.drain.scope(lineup.deadline):
        while True:
            winner = await _decided(race, lineup)
            shown = form.answer(race.request, winner.id, lineup.model_of(winner.id))
            try:
                shown.add(winner.head)
                async for pieces in winner.rest:
                    shown.add(pieces)
                body = shown.body()
                winner.close()
            except ProviderError as exc:
                # Nothing has been shown yet, so the others may have another try.
                winner.fail(exc)
                continue
            await form.keep()
            return web.Response(
                body=body,
                headers=_headers(race, winner),
                content_type="application/json",
            )


async def _decided(race: Race[Any, Any], lineup: Lineup) -> Winner[Any]:
    """Run *race*; after it, all that it had to try after a rest have been tried."""
    try:
        return await race.run()
    finally:
        lineup.release()
        if isinstance(race.request, ChatRequest):
            race.request.forget_json()


@define(eq=False)
class _Recorded:
    """Makes a race known to the logs, and sees that nothing of it is left over."""

    request: web.Request
    race: Race[Any, Any]
    lineup: Lineup
    _ending: Ending = field(factory=Ending, init=False)

    def __enter__(self) -> Ending:
        self.request[VISIT].race = self.race
        return self._ending

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case None:
                pass
            case GatewayError():
                self._ending.code = error.cause
                error.headers["Server-Timing"] = _timing(self.race)
            case asyncio.CancelledError() | ConnectionError():
                self._ending.client_left = True
            case Exception():
                self._ending.code = InternalError.code
        self.race.close()
        story = _story(self.request, self.race, self.lineup, self._ending)
        self.request[VISIT].gateway.finished(story.entry())


def _story(
    request: web.Request, race: Race[Any, Any], lineup: Lineup, ending: Ending
) -> Story:
    visit = request[VISIT]
    now = perf_counter()
    return Story(
        id=visit.id,
        key=None if visit.client is None else visit.client.name,
        path=request.path,
        task=race.request.task,
        model=race.request.model,
        stream=bool(getattr(race.request, "stream", False)),
        created=time() - (now - race.started),
        started=race.started,
        ended=now,
        lanes=race.lanes,
        winner=None if race.winner is None else race.winner.lane,
        policy=lineup.policy,
        schedule=lineup.schedule,
        skipped=lineup.skipped,
        waiting=_waiting(race, lineup),
        ending=ending,
    )


def _waiting(race: Race[Any, Any], lineup: Lineup) -> Sequence[tuple[str, str]]:
    if len(lineup.entrants) == len(race.lanes) == 1:
        return ()  # most, and this is kept for a thousand of them
    started = {lane.id for lane in race.lanes}
    return [(e.id, e.model) for e in lineup.entrants if e.id not in started]


def _last_frame(
    exc: Exception, request: web.Request, race: Chat, form: Format, ending: Ending
) -> bytes:
    """Return the frame that ends a stream for *exc*, and note its code."""
    told = _told(exc, race, request)
    ending.code = told.cause
    return form.error_frame(told)


def _told(exc: Exception, race: Race[Any, Any], request: web.Request) -> GatewayError:
    if isinstance(exc, GatewayError):
        return exc
    if not isinstance(exc, ProviderError):
        return internal_error(request, exc)
    if race.winner is not None and race.winner.lane.error is None:
        race.winner.fail(exc)  # what it says can't be rendered
    loss = race.winner.lane.loss() if race.winner else None
    if loss is None:
        raise AssertionError("a stream broke that nobody had won") from exc
    return StreamInterrupted(loss)


def _headers(race: Race[Any, Any], winner: Winner[Any]) -> dict[str, str]:
    return {"X-Provider": winner.id, "Server-Timing": _timing(race)}


def _timing(race: Race[Any, Any]) -> str:
    """Return a Server-Timing header: one entry a racer, milliseconds to its end."""
    latest = {lane.id: lane for lane in race.lanes}  # of those that started twice
    entries = [
        f'{lane.id};dur={lane.seconds * 1000:.1f};desc="{_fate(lane)}"'
        for lane in latest.values()
    ]
    return ", ".join(entries)


def _fate(lane: Lane) -> str:
    return f"failed: {lane.error.code}" if lane.error else lane.outcome
