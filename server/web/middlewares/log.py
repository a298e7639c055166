"""The access log: one line a request, after its answer, without anybody's words."""

import re
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.gateway import Gateway
from server.logs import AccessLog
from server.racing.lanes import Course
from server.record import semantic_names as names
from server.web.context import VISIT, Visit

from .request_id import request_id

if TYPE_CHECKING:
    from server.record.tracing import RequestTrace

# nginx's number for a client that went away before it had its answer.
CLIENT_GONE = 499
# Machines ask these every few seconds: only failures are worth a line.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
# What ends an error's first sentence in the log, and the longest one there.
SENTENCE = re.compile(r"(?<=[.!?])\s|\n")
LONGEST = 300


def log_access(gateway: Gateway) -> Middleware:
    """Write a line for each request, once it is answered."""
    log = AccessLog(gateway.config.log)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = perf_counter()
        request[VISIT] = visit = Visit(request_id(request), gateway)
        if gateway.tracing is not None:
            visit.trace = gateway.tracing.begin(request.headers)
        status = CLIENT_GONE
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            seconds = perf_counter() - started
            if visit.trace is not None:
                end_trace(request, visit, visit.trace, status)
            _count(request, visit, status, seconds)
            probe = status == HTTPStatus.OK and request.path in PROBES
            log.write(facts(request, visit, status, seconds), probe=probe)

    return middleware


def end_trace(
    request: web.Request, visit: Visit, trace: "RequestTrace", status: int
) -> None:
    """End the span of a request, which probes have none of."""
    if request.path in PROBES:
        return
    trace.open(visit.client, request.remote or "")
    resource = request.match_info.route.resource
    attributes: dict[str, str | bool | int | float] = {
        names.METHOD: request.method,
        names.REQUEST_ID: visit.id,
    }
    name = request.method
    if resource is not None:
        attributes[names.ROUTE] = resource.canonical
        name = f"{request.method} {resource.canonical}"
    if status != CLIENT_GONE:
        attributes[names.STATUS] = status
    if visit.error is not None:
        attributes[names.ERROR] = visit.error[0] or str(status)
    trace.end(name, attributes)


def _count(request: web.Request, visit: Visit, status: int, seconds: float) -> None:
    metrics, resource = visit.gateway.metrics, request.match_info.route.resource
    metrics.count_request(resource, status, seconds)
    if visit.race is not None and (waited := visit.race.waited) is not None:
        metrics.overhead.observe(max(seconds - waited, 0.0))


def facts(
    request: web.BaseRequest, visit: Visit, status: int, seconds: float
) -> dict[str, object]:
    """Return what the log says of a request."""
    line: dict[str, object] = {
        "method": request.method,
        "path": request.path,
        "status": status,
        "seconds": round(seconds, 4),
        "request_id": visit.id,
    }
    if visit.trace is not None and visit.trace.id:
        line["trace_id"] = visit.trace.id
    if visit.client is not None:
        line["key"] = visit.client.name
    if visit.error is not None:
        line["client"] = request.remote
        line["code"], message = visit.error
        line["error"] = _first_sentence(message)
    if visit.race is not None:
        line |= _story(visit.race)
    return line


def _first_sentence(message: str) -> str:
    return SENTENCE.split(message, maxsplit=1)[0][:LONGEST]


def _story(race: Course) -> dict[str, object]:
    racers = [
        f"{lane.id}:{lane.error.code if lane.error else lane.outcome}"
        for lane in race.lanes
    ]
    story: dict[str, object] = {"racers": " ".join(racers)}
    lane = race.winning_lane
    if lane is not None:
        story["winner"] = lane.id
        if (ttft := lane.ttft) is not None:
            story["ttft_ms"] = round(ttft * 1000, 1)
        if usage := lane.attempt.usage:
            story["tokens_in"] = usage.prompt_tokens
            story["tokens_out"] = usage.completion_tokens
    return story
