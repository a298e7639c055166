"""
Traces: a span for each request, in it one for each racer; and never what was said.

This takes 0.2 s and 14 MiB to import: only a process that traces does.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from attrs import define, field
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)

from providers import ChatRequest, ProviderSettings
from server.config.settings import KeySettings, TelemetrySettings, is_loopback
from server.racing.lanes import Lane, Step

from . import semantic_names as names
from .story import Story
from .usage import Charge

Attributes = dict[str, str | bool | int | float]
Settings = Callable[[str], ProviderSettings | None]
BILLION = 1_000_000_000
SERVER_ERROR = 500
# Seconds that the last spans have to be sent when the server stops, unless the
# environment says otherwise, in milliseconds.
LAST_EXPORT = 5.0
EXPORT_TIMEOUT = "OTEL_BSP_EXPORT_TIMEOUT"


class Tracing:
    """
    Makes spans, and has them sent by a thread of its own, to where OTEL_* variables
    say. *settings_of* gives the settings of a provider.
    """

    def __init__(self, settings: TelemetrySettings, worker: int | None) -> None:
        instance = f"{os.uname().nodename}:{worker or 0}:{os.getpid()}"
        own = {"service.instance.id": instance}
        if "OTEL_SERVICE_NAME" not in os.environ:
            own["service.name"] = "interference"
        self._provider = TracerProvider(
            resource=Resource.create(own), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = self._provider.get_tracer("interference")
        self.propagator = TraceContextTextMapPropagator()
        self._trusted = frozenset(settings.trusted_keys)

    def begin(self, headers: Mapping[str, str]) -> "RequestTrace":
        """Return the trace of a request that comes with these headers."""
        carried = {
            name: headers[name]
            for name in ("traceparent", "tracestate")
            if name in headers
        }
        return RequestTrace(self, carried)

    def trusts(self, client: KeySettings | None, address: str) -> bool:
        """Say whether a request may go on with the trace that it names."""
        if client is not None:
            return client.name in self._trusted
        return is_loopback(address)

    async def aclose(self) -> None:
        """Send what is left, as far as that is done in time."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            try:
                self._provider.shutdown()
            finally:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(done.set)

        # A daemon: if nobody takes the spans, this process ends all the same.
        threading.Thread(target=finish, name="last spans", daemon=True).start()
        limit = os.environ.get(EXPORT_TIMEOUT, "")
        seconds = float(limit) / 1000 if limit.isdigit() else LAST_EXPORT
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), seconds)


@define(eq=False)
class RequestTrace:
    """
    The spans of one request. Its own is begun when it is known whether the trace that
    the request names, in *carried*, is to be gone on with.
    """

    _tracing: Tracing
    _carried: Mapping[str, str]
    # What perf_counter's zero is in nanoseconds since 1970.
    _zero: int = field(init=False)
    _started: int = field(factory=time.time_ns, init=False)
    _span: "Span | None" = field(default=None, init=False)
    _context: "Context | None" = field(default=None, init=False)
    _racers: "list[tuple[Lane, Span]]" = field(factory=list, init=False)

    @_zero.default
    def _now(self) -> int:
        return time.time_ns() - time.perf_counter_ns()

    def open(self, client: KeySettings | None, address: str) -> None:
        """Begin the request's span, unless that is done."""
        if self._span is not None:
            return
        parent = None
        if self._carried and self._tracing.trusts(client, address):
            parent = self._tracing.propagator.extract(self._carried)
        self._span = self._tracing.tracer.start_span(
            "request", parent, SpanKind.SERVER, start_time=self._started
        )
        self._context = set_span_in_context(self._span, parent)

    @property
    def id(self) -> str:
        """The trace's id, 32 hexadecimal digits; "" before it is open."""
        if self._span is None:
            return ""
        return f"{self._span.get_span_context().trace_id:032x}"

    def follow(self, settings_of: Settings) -> Callable[[Lane, Step], None]:
        """Return what is to be told of a race's steps: it begins the racers' spans."""

        def tell(lane: Lane, step: Step) -> None:
            if step == "started":
                self._start(lane, settings_of(lane.id))

        return tell

    def tell(self, story: Story, request: object, settings_of: Settings) -> None:
        """End the racers' spans: the race is over, and this is its *story*."""
        charges = {id(x): c for x, c in zip(story.lanes, story.charges, strict=True)}
        for lane, span in self._racers:
            if id(lane) in charges:
                attributes = _of_racer(story, lane, charges[id(lane)])
                attributes |= _of_provider(settings_of(lane.id))
                attributes |= _of_request(request)
                self._end(span, lane, attributes, story.ended)
        self._racers.clear()
        if self._span is not None:
            self._span.set_attributes(_of_race(story))

    def end(self, name: str, attributes: Attributes) -> None:
        """End the request's span."""
        span = self._span
        if span is None:
            return
        span.update_name(name)
        span.set_attributes(attributes)
        status = attributes.get(names.STATUS)
        if isinstance(status, int) and status >= SERVER_ERROR:
            self._fail(span)
        span.end()

    def _start(self, lane: Lane, settings: ProviderSettings | None) -> None:
        span = self._tracing.tracer.start_span(
            f"chat {lane.model}",
            self._context,
            SpanKind.CLIENT,
            start_time=self._ns(lane.started),
        )
        self._racers.append((lane, span))
        if settings is not None and settings.carries_traces:
            carried: dict[str, str] = {}
            self._tracing.propagator.inject(carried, set_span_in_context(span))
            lane.attempt.trace = carried

    def _end(
        self, span: "Span", lane: Lane, attributes: Attributes, latest: float
    ) -> None:
        span.update_name(f"{attributes[names.OPERATION]} {lane.model}")
        span.set_attributes(attributes)
        if lane.error is not None:
            self._fail(span)
        ended = lane.attempt.ended or lane.ended or latest
        span.end(self._ns(ended))

    def _fail(self, span: "Span") -> None:
        span.set_status(Status(StatusCode.ERROR))

    def _ns(self, moment: float) -> int:
        return self._zero + int(moment * BILLION)


def _of_racer(story: Story, lane: Lane, charge: Charge) -> Attributes:
    tokens = charge.tokens
    found: Attributes = {
        names.OPERATION: names.OPERATIONS.get(story.task, story.task),
        names.PROVIDER: names.provider_name(lane.id),
        names.RACER: lane.id,
        names.MODEL: lane.model,
        names.OUTCOME: outcome_of(lane),
    }
    if lane.attempt.usage is not None:
        found |= {
            names.INPUT: tokens.input,
            names.OUTPUT: tokens.output,
            names.CACHE_READ: tokens.cached,
            names.REASONING: tokens.reasoning,
        }
    if not charge.answered:
        found[names.WASTED] = charge.wasted
    if story.stream:
        found[names.STREAM] = True
    if lane.ttft is not None:
        found[names.FIRST_CHUNK] = lane.ttft
    if lane.error is not None:
        found[names.ERROR] = lane.error.code
        found[names.PHASE] = lane.error.phase
    return found


def outcome_of(lane: Lane) -> str:
    """Return what became of a racer: won, cut_off, failed or given_up."""
    if lane.outcome in ("won", "failed"):
        return lane.outcome
    return "given_up" if lane.beaten_by is None else "cut_off"


def _of_provider(settings: ProviderSettings | None) -> Attributes:
    where = None if settings is None else settings.place
    return {} if where is None else {names.ADDRESS: where[0], names.PORT: where[1]}


def _of_request(request: object) -> Attributes:
    if not isinstance(request, ChatRequest):
        return {}
    limit = request.max_completion_tokens or request.max_tokens
    values = {
        names.MAX_TOKENS: limit,
        names.TEMPERATURE: request.temperature,
        names.TOP_P: request.top_p,
    }
    return {name: value for name, value in values.items() if value is not None}


def _of_race(story: Story) -> Attributes:
    found: Attributes = {
        names.STRATEGY: story.policy.strategy,
        names.RACE_OUTCOME: story.ending.outcome.replace(" ", "_"),
        names.HEDGE_REFUSED: story.schedule.refused,
    }
    if story.winner is not None:
        found[names.WINNER] = story.winner.id
    if story.ending.code is not None:
        found[names.ERROR] = story.ending.code
    return found
