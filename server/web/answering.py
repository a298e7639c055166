"""From a parsed request to its answer: choose racers, race them, render the winner."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from aiohttp import web
from attrs import frozen

from providers import ChatRequest, ProviderError, Result, TaskRequest, TokenCount
from server.racing.batch import ChatLineup
from server.racing.errors import NobodyWon
from server.racing.lineup import Selection
from server.racing.race import Race, Winner
from server.wire.format import Rendering
from server.wire.messages.count import estimate

from .context import VISIT, Visit
from .limiting import reserve
from .logged_race import LoggedRace, cost, decided, race_headers, timing
from .streaming import ChatRace, Streaming

T = TypeVar("T", bound=Result)
# Messages of a chat whose tokens a provider is asked to count: to translate more
# holds up others, and an estimate will do.
MOST_COUNTED = 10_000
ESTIMATED = {"X-Token-Count": "estimate"}


def _as_chosen(lineup: ChatLineup) -> ChatLineup:
    return lineup


async def race_chat(
    request: web.Request,
    chat: ChatRequest,
    selection: Selection,
    form: Rendering,
    prepare: Callable[[ChatLineup], ChatLineup] = _as_chosen,
) -> web.StreamResponse:
    """
    Race the providers that *selection* means for *chat*, and answer in the client's
    *form*. *prepare* may refuse the lineup, or put another in its place.

    Raises a GatewayError only while nothing has been sent.
    """
    visit = request[VISIT]
    gateway = visit.gateway
    lineup = prepare(gateway.chooser.lineup(chat, selection, visit.client))
    reserved = None if visit.client is None else await reserve(visit, chat, lineup)
    race = Race(lineup.entrants, chat, lineup.schedule, gateway.health.add)
    if reserved is not None:
        race.permit = reserved.extend
    with LoggedRace(request, visit, race, lineup) as logged:
        if chat.stream:
            return await Streaming(request, race, lineup, form, logged).run()
        return await _whole(visit, race, lineup, form)


@frozen
class TaskAnswer(Generic[T]):
    """
    What a task came to, with the headers that name its provider and tell of the race,
    and what it cost, in dollars, if that is known.
    """

    result: T
    headers: dict[str, str]
    cost: float | None


async def race_task(
    request: web.Request, task: TaskRequest, selection: Selection, kind: type[T]
) -> TaskAnswer[T]:
    """
    Race the providers that *selection* means for a *task*, whose result comes in one
    piece and is of this *kind*. Raises GatewayError.
    """
    visit = request[VISIT]
    gateway = visit.gateway
    lineup = gateway.chooser.task_lineup(task, selection, visit.client)
    if visit.client is not None:
        await reserve(visit, task, lineup)
    race = Race(lineup.entrants, task, lineup.schedule, gateway.health.add)
    with (
        LoggedRace(request, visit, race, lineup),
        gateway.drain.scope(lineup.total_timeout, lineup.deadline),
    ):
        winner = await decided(race, lineup)
        headers = race_headers(race, winner)
        return TaskAnswer(_only(winner, kind), headers, cost(visit, winner))


async def count(
    request: web.Request, chat: ChatRequest, selection: Selection
) -> tuple[int, dict[str, str]]:
    """
    Return how many tokens *chat* has, as the first of its racers has counted that can,
    with the headers that tell of the race; raises GatewayError.

    Where none of them can or does, an estimate is better than an error: clients want
    to know how full a conversation is, and whoever answers it may need no count.
    """
    tokens: int | None = None
    headers: dict[str, str] = {}
    if len(chat.messages) <= MOST_COUNTED:
        tokens, headers = await _race_count(request, chat, selection)
    if tokens is None:
        guess = partial(estimate, chat)
        tokens = await asyncio.to_thread(guess) if chat.is_large else guess()
        return tokens, headers | ESTIMATED
    return tokens, headers


async def _race_count(
    request: web.Request, chat: ChatRequest, selection: Selection
) -> tuple[int | None, dict[str, str]]:
    """
    Race for a count; return None if nobody has counted.

    It is not recorded, as it says nothing of how soon and how well providers answer.
    """
    visit = request[VISIT]
    lineup = visit.gateway.chooser.counters(chat, selection, visit.client)
    if not lineup.entrants:
        return None, {}
    race = Race(lineup.entrants, chat, lineup.schedule)
    visit.race = race
    try:
        scope = visit.gateway.drain.scope(lineup.total_timeout, lineup.deadline)
        with scope:
            winner = await race.run()
            return _only(winner, TokenCount).input_tokens, race_headers(race, winner)
    except NobodyWon:
        return None, {"Server-Timing": timing(race)}
    finally:
        race.close()


def _only(winner: Winner[Result], kind: type[T]) -> T:
    """Return the one result of a task; raises TypeError if it is of another kind."""
    (result,) = winner.head
    if not isinstance(result, kind):
        raise TypeError(f"a {kind.__name__} is expected, not {result!r}")
    return result


async def _whole(
    visit: Visit, race: ChatRace, lineup: ChatLineup, form: Rendering
) -> web.StreamResponse:
    within = visit.time_left(lineup.total_timeout)
    with visit.gateway.drain.scope(within, lineup.deadline):
        while True:
            winner = await decided(race, lineup)
            renderer = form.answer(race.request, winner.id, lineup.model_of(winner.id))
            try:
                renderer.add(winner.head)
                async for pieces in winner.rest:
                    renderer.add(pieces)
                body = renderer.body(cost(visit, winner))
                winner.close()
            except ProviderError as exc:
                # Nothing has been shown yet, so the others may have another try.
                winner.fail(exc)
                continue
            return web.Response(
                body=await form.keep(body),
                headers=race_headers(race, winner),
                content_type="application/json",
            )
