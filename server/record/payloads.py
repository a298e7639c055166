"""The JSON objects in which a race's story is told, and their list."""

from typing import Annotated, Literal, NotRequired, TypedDict

from providers import Phase
from server.json_types import Count, Keywords, Milliseconds, ProviderId
from server.racing.lanes import Outcome
from server.racing.strategies import STRATEGIES

RaceOutcome = Literal["won", "failed", "client left"]


class RacerPayload(TypedDict):
    """Times are milliseconds after the race's start."""

    id: ProviderId
    model: str
    outcome: Outcome
    reason: NotRequired[str | None]
    start_ms: NotRequired[Milliseconds | None]
    connect_ms: NotRequired[Milliseconds | None]
    headers_ms: NotRequired[Milliseconds | None]
    first_token_ms: NotRequired[
        Annotated[
            Milliseconds | None,
            Keywords(description="Null if the answer was asked for in one piece."),
        ]
    ]
    end_ms: NotRequired[Milliseconds | None]
    closed_ms: NotRequired[
        Annotated[
            Milliseconds | None,
            Keywords(
                description="How long it took to hang up, after another's first token."
            ),
        ]
    ]
    delay_ms: NotRequired[
        Annotated[
            Milliseconds | None,
            Keywords(description="How long a hedge waited for it."),
        ]
    ]
    chunks: NotRequired[Count]
    bytes: NotRequired[Count]
    notes: NotRequired[
        Annotated[
            list[str],
            Keywords(description="What was put right in its request or answer."),
        ]
    ]
    dropped: NotRequired[
        Annotated[
            list[str], Keywords(description="What of the request it was not sent.")
        ]
    ]
    phase: NotRequired[Phase]
    status: NotRequired[int | None]
    input_tokens: NotRequired[
        Annotated[
            int,
            Keywords(
                minimum=0,
                description="These two: as its upstream has counted, if it has.",
            ),
        ]
    ]
    output_tokens: NotRequired[Count]
    dollars: NotRequired[
        Annotated[float, Keywords(description="What it cost, where that is known.")]
    ]
    tokens_wasted_at_least: NotRequired[Count]


class CostPayload(TypedDict):
    dollars: Annotated[
        float | None,
        Keywords(description="What the answer cost; null: its price is not known."),
    ]
    dollars_wasted: Annotated[
        float,
        Keywords(description="What all others cost, at least, as far as is known."),
    ]


class SkippedPayload(TypedDict):
    id: ProviderId
    reason: str


class RacePayload(CostPayload):
    trace_id: NotRequired[
        Annotated[str, Keywords(description="There where requests are traced.")]
    ]
    id: Annotated[str, Keywords(description="The request's id, as in `x-request-id`.")]
    object: Literal["race"]
    created: Annotated[float, Keywords(description="Seconds since 1970.")]
    key: Annotated[
        str | None, Keywords(description="The name of the request's API key.")
    ]
    path: str
    task: str
    model: str | None
    stream: bool
    strategy: Annotated[str, Keywords(enum=tuple(STRATEGIES))]
    parallel: Count
    hedge_delay: float | str
    hedge_budget: float
    hedge_refused: bool
    outcome: RaceOutcome
    code: Annotated[str | None, Keywords(description="The error's, if there was one.")]
    winner: str | None
    ttft_ms: Annotated[
        Milliseconds | None, Keywords(description="Null if nobody saw a first token.")
    ]
    ms: Milliseconds | None
    racers: list[RacerPayload]
    skipped: Annotated[
        list[SkippedPayload],
        Keywords(description="Who was asked for and did not start, and why."),
    ]


class RacesPayload(TypedDict):
    object: Literal["list"]
    data: list[RacePayload]


class RacerName(TypedDict):
    id: ProviderId
    model: str


RequestId = Annotated[
    str, Keywords(description="The request's id, as in `x-request-id`.")
]


class RaceStartedPayload(TypedDict):
    """What `race.started` says."""

    id: RequestId
    model: str | None
    strategy: Annotated[str, Keywords(enum=tuple(STRATEGIES))]
    racers: list[RacerName]


class RacerStepPayload(TypedDict):
    """What the events of racers say, and `race.decided`."""

    id: RequestId
    racer: ProviderId
    ms: Annotated[Milliseconds | None, Keywords(description="After the race's start.")]
    reason: NotRequired[
        Annotated[str, Keywords(description="Of `racer.failed`: the error's code.")]
    ]
    winner: NotRequired[
        Annotated[str, Keywords(description="Of `race.decided`: the same racer.")]
    ]


class ResyncPayload(TypedDict):
    """What `resync` says: so many events were not sent to who is slow."""

    missed: Count


RaceEventPayload = RaceStartedPayload | RacerStepPayload | RacePayload | ResyncPayload


class MinutePayload(TypedDict):
    """A provider's starts in a minute, and quantiles of the time to first token, ms."""

    start: Annotated[int, Keywords(description="Seconds since 1970.")]
    requests: Count
    wins: Count
    failures: Count
    p50: Milliseconds | None
    p90: Milliseconds | None
    p99: Milliseconds | None


class FailurePayload(TypedDict):
    reason: str
    status: int | None
    at: Annotated[float, Keywords(description="Seconds since 1970.")]


class ProviderSummaryPayload(TypedDict):
    id: ProviderId
    minutes: list[MinutePayload]
    tokens_wasted_at_least: Count
    last_failure: FailurePayload | None


class SummaryPayload(TypedDict):
    object: Literal["list"]
    data: list[ProviderSummaryPayload]


class TallyPayload(TypedDict):
    """What the races came to under one policy."""

    p50_ms: Milliseconds | None
    p90_ms: Milliseconds | None
    p99_ms: Milliseconds | None
    calls: Count
    failed: Count


class ReplayPayload(TypedDict):
    object: Literal["replay"]
    races: Count
    recorded: TallyPayload
    replayed: TallyPayload
    same_winner: Annotated[
        int, Keywords(minimum=0, description="Races with the winner that they had.")
    ]
    drawn: Annotated[
        int,
        Keywords(
            minimum=0,
            description="Times that nobody knows, and that are drawn from the same"
            " provider's other races.",
        ),
    ]
    known: Count
    unknown: Annotated[
        list[str], Keywords(description="Who is left out, as nothing is known of them.")
    ]


def races_list(races: list[bytes]) -> bytes:
    """Return a `RacesPayload`; *races* are encoded when they are first read."""
    return b'{"object":"list","data":[' + b",".join(races) + b"]}"
