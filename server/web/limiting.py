"""The limits of a request's key: reserved before its race, told in every answer."""

from time import time

from aiohttp import web

from server.limits.headers import anthropic_headers, openai_headers
from server.limits.limit import Unit
from server.limits.limiter import Price, Reservation, quote
from server.racing.batch import Batch
from server.racing.entrants import R
from server.racing.lineup import Lineup
from server.racing.streams import P

from .context import VISIT, Visit

MESSAGES = "/messages"
# What the headers tell of, the soonest limit of each.
TOLD = (Unit.REQUESTS, Unit.TOKENS)


async def reserve(visit: Visit, request: R, lineup: Lineup[R, P]) -> Reservation | None:
    """
    Reserve what the racers of *request* may take; None: its key has no limits.

    Raises LimitReached, and StateUnavailable.
    """
    key, limiter = visit.client, visit.gateway.limiter
    if key is None or not limiter.client(key).limits:
        return None
    first = lineup.entrants[0]
    requests = first.chats if isinstance(first, Batch) else (request,)
    start = min(lineup.schedule.limit, len(lineup.entrants))
    prices = [Price() for _ in lineup.entrants]
    reserved = await limiter.reserve(visit.id, key, quote(requests, start, prices))
    visit.reservation = reserved
    return reserved


def tell_limits(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Say in an answer's headers how far the limits of its key are used."""
    visit: Visit | None = request.get(VISIT)
    if visit is None or visit.client is None:
        return
    client = visit.gateway.limiter.client(visit.client)
    for unit in TOLD if client.limits else ():
        standing = client.standing(unit)
        if standing is not None:
            response.headers.update(openai_headers(unit, standing))
            if MESSAGES in request.path:
                response.headers.update(anthropic_headers(unit, standing, time()))
