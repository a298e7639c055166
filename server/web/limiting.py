"""The limits of a request's key: reserved before its race, told in every answer."""

from collections.abc import Sequence
from time import time

from aiohttp import web
from multidict import CIMultiDict

from server.errors import LimitReached
from server.limits.headers import anthropic_headers, openai_headers
from server.limits.limit import Unit, limits_of
from server.limits.limiter import Price, Reservation, quote
from server.racing.batch import Batch
from server.racing.entrants import Entrant, R
from server.racing.lanes import Lane
from server.racing.lineup import Lineup
from server.racing.streams import P
from server.record.costs import Tokens
from server.record.usage import Charge

from .context import Visit

MESSAGES = "/messages"
# What the headers tell of, the soonest limit of each.
TOLD = (Unit.REQUESTS, Unit.TOKENS)


async def reserve(visit: Visit, request: R, lineup: Lineup[R, P]) -> Reservation | None:
    """
    Reserve what the racers of *request* may take; None: its key has no limits.

    Raises LimitReached, and StateUnavailable.
    """
    key, limiter = visit.client, visit.gateway.limiter
    if key is None or not limits_of(key):
        return None
    first = lineup.entrants[0]
    requests = first.chats if isinstance(first, Batch) else (request,)
    start = min(lineup.schedule.limit, len(lineup.entrants))
    prices = [_price(visit, entrant) for entrant in lineup.entrants]
    try:
        reserved = await limiter.reserve(visit.id, key, quote(requests, start, prices))
    except LimitReached as exc:
        visit.gateway.metrics.rate_limited.add((exc.limit,))
        raise
    visit.reservation = reserved
    return reserved


def _price(visit: Visit, entrant: Entrant[R, P]) -> Price:
    """Return what a racer takes; what nobody has a price for is no money's matter."""
    tariff = visit.gateway.tariff(entrant.id, entrant.model)
    return Price() if tariff is None else Price(tariff.input, tariff.output)


def settle(visit: Visit, lanes: Sequence[Lane], charges: Sequence[Charge]) -> None:
    """
    Count what a race's calls have used, a *charge* for each of *lanes*, in place of
    what was reserved.

    Who was sent the request and has not counted it has read it all the same, and bills
    it: so a client that hangs up early pays for the input, and so do those who lost.
    """
    reserved = visit.reservation
    if reserved is None:
        return
    tokens = output = nanos = 0
    for lane, charge in zip(lanes, charges, strict=True):
        given = charge.tokens.input
        if not given and lane.error is None and lane.attempt.connected is not None:
            given = reserved.quote.tokens
            tariff = visit.gateway.tariff(lane.id, lane.model)
            nanos += 0 if tariff is None else tariff.nanos(Tokens(input=given))
        tokens += given + charge.tokens.output
        nanos += charge.nanos or 0
        if charge.answered:
            output = charge.tokens.output
    reserved.settle(tokens, output, nanos)


def tell_limits(
    request: web.BaseRequest, visit: Visit, headers: CIMultiDict[str]
) -> None:
    """Say in an answer's *headers* how far the limits of its key are used."""
    if visit.client is None or not limits_of(visit.client):
        return
    client = visit.gateway.limiter.client(visit.client)
    for unit in TOLD:
        standing = client.standing(unit)
        if standing is not None:
            headers.update(openai_headers(unit, standing))
            if MESSAGES in request.path:
                headers.update(anthropic_headers(unit, standing, time()))
