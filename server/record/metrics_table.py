"""The metrics that there are: their names, kinds, labels, and what they mean."""

from typing import Literal

from attrs import frozen

PREFIX = "interference_"
# Seconds. A request's are those that OpenTelemetry advises for HTTP; up to ten minutes,
# since answers are long. Those to a first token are what it advises for that, and more.
REQUEST = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 30, 60, 120, 300, 600),
)
FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40),
)
SMALL = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
TINY = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1)
LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
# Tokens per second.
RATE = (1, 2.5, 5, 10, 20, 40, 60, 80, 100, 150, 200, 400, 800, 1600, 3200)

Kind = Literal["counter", "gauge", "histogram"]


@frozen
class Metric:
    """
    One metric; its name has PREFIX before it when it is shown. A histogram's *bounds*
    are the upper ends of its buckets. *of_all* says what the numbers of all processes
    come to.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    of_all: Literal["sum", "least"] = "sum"

    @property
    def size(self) -> int:
        """How many numbers it has: a histogram's buckets, the last open, and a sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


REQUESTS = Metric(
    "requests_total", "counter", "Requests, by route and status.", ("route", "status")
)
REQUEST_DURATION = Metric(
    "request_duration_seconds",
    "histogram",
    "Time from a request's head to its answer's end.",
    ("route",),
    REQUEST,
)
OVERHEAD = Metric(
    "overhead_seconds",
    "histogram",
    "Time of a raced request that was not spent waiting for upstreams.",
    bounds=SMALL,
)
RACES = Metric(
    "races_total", "counter", "Races that have ended.", ("strategy", "outcome")
)
RACERS = Metric(
    "racers_total",
    "counter",
    "Calls to providers in races, by what became of them, and why.",
    ("provider", "outcome", "reason"),
)
TTFT = Metric(
    "time_to_first_token_seconds",
    "histogram",
    "Time from a racer's start to its first token.",
    ("provider",),
    FIRST_TOKEN,
)
TOKEN_RATE = Metric(
    "output_tokens_per_second",
    "histogram",
    "Tokens of streamed answers, by the time from the first one to the end.",
    ("provider",),
    RATE,
)
TOKENS = Metric(
    "tokens_total",
    "counter",
    "Tokens: of prompts, of answers, and at least those of losers' answers.",
    ("provider", "kind"),
)
COST = Metric(
    "cost_dollars_total",
    "counter",
    "What calls have cost, where prices are known.",
    ("provider", "fate"),
)
LOSER_CLOSE = Metric(
    "loser_close_seconds",
    "histogram",
    "Time from a race's decision to a loser's closed connection.",
    bounds=TINY,
)
DISPATCH_SKEW = Metric(
    "dispatch_skew_seconds",
    "histogram",
    "Time between the first and the last start of racers that start together.",
    bounds=TINY,
)
HEDGES = Metric(
    "hedges_total",
    "counter",
    "Extra calls of late first ones: sent, or refused by the budget.",
    ("result",),
)
RESTING = Metric(
    "provider_resting", "gauge", "Whether races skip a provider for now.", ("provider",)
)
STREAMS = Metric("streams_open", "gauge", "Streamed answers that are open.")
CONNECTIONS = Metric(
    "upstream_connections_open",
    "gauge",
    "Connections to a provider's host, idle ones included.",
    ("provider",),
)
RATE_LIMITED = Metric(
    "rate_limited_total", "counter", "Requests that a limit has refused.", ("limit",)
)
STATE_UP = Metric(
    "state_backend_up",
    "gauge",
    "Whether the shared state can be had, by all workers.",
    of_all="least",
)
LOOP_LAG = Metric(
    "event_loop_lag_seconds",
    "histogram",
    "How late the event loop's timers fire.",
    bounds=LAG,
)
WORKERS = Metric("workers", "gauge", "Serving processes, by state.", ("state",))

METRICS = (
    *(REQUESTS, REQUEST_DURATION, OVERHEAD, RACES, RACERS, TTFT, TOKEN_RATE, TOKENS),
    *(COST, LOSER_CLOSE, DISPATCH_SKEW, HEDGES, RESTING, STREAMS, CONNECTIONS),
    *(RATE_LIMITED, STATE_UP, LOOP_LAG, WORKERS),
)
