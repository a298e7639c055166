"""What is counted of requests and races, beside what the server keeps anyway."""

from bisect import bisect_left
from typing import Protocol

from attrs import define, field

from server.racing.lanes import Lane

from . import metrics_table as table
from .costs import NANO
from .counters import CounterSlots
from .metrics_table import Metric
from .register import OTHER
from .story import Ending, Story
from .usage import Charge

Labels = tuple[str, ...]
# What the words of a race's story are as values of labels.
RACE_OUTCOMES = {"won": "won", "failed": "failed", "client left": "client_left"}


class Resource(Protocol):
    """What a request goes to."""

    @property
    def canonical(self) -> str:
        """Its path, with the names of what differs in it."""
        ...


class Places(dict[Labels, int]):
    """The first slots of one metric's numbers, by the values of its labels."""

    def __init__(self, counters: CounterSlots, metric: Metric) -> None:
        super().__init__()
        self._counters = counters
        self._metric = metric

    def __missing__(self, labels: Labels) -> int:
        place = self._counters.slot(self._metric.name, labels, self._metric.size)
        self[labels] = place
        return place


@define(eq=False)
class Instrument:
    """One metric's numbers, by the values of its labels."""

    counters: CounterSlots
    metric: Metric
    # Each race counts a few things: it does so past `add`, which would cost as much.
    places: Places = field(init=False)

    @places.default
    def _no_places(self) -> Places:
        return Places(self.counters, self.metric)

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        self.counters.slots[self.places[labels]] += amount

    def set(self, labels: Labels, value: float) -> None:
        """Set this process's part of a gauge."""
        self.counters.slots[self.places[labels]] = value

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count *value* in its bucket, and add it to the sum of all."""
        place = self.places[labels]
        slots, bounds = self.counters.slots, self.metric.bounds
        slots[place + bisect_left(bounds, value)] += 1.0
        slots[place + len(bounds) + 1] += value


class Metrics:
    """
    The counters of a server. Values of labels are names in the configuration or words
    of a fixed list: nothing that a client or an upstream has said.

    Whoever refuses a request for a limit adds to *rate_limited* (the limit's name);
    whoever knows whether the shared state can be had sets *state_up* to 1 or 0.
    """

    def __init__(self, counters: CounterSlots) -> None:
        def instrument(metric: Metric) -> Instrument:
            return Instrument(counters, metric)

        self.counters = counters
        self._routes: dict[tuple[Resource | None, int], tuple[int, int]] = {}
        self.requests = instrument(table.REQUESTS)
        self.request_duration = instrument(table.REQUEST_DURATION)
        self.overhead = instrument(table.OVERHEAD)
        self.races = instrument(table.RACES)
        self.racers = instrument(table.RACERS)
        self.ttft = instrument(table.TTFT)
        self.token_rate = instrument(table.TOKEN_RATE)
        self.tokens = instrument(table.TOKENS)
        self.cost = instrument(table.COST)
        self.loser_close = instrument(table.LOSER_CLOSE)
        self.dispatch_skew = instrument(table.DISPATCH_SKEW)
        self.hedges = instrument(table.HEDGES)
        self.streams = instrument(table.STREAMS)
        self.connections = instrument(table.CONNECTIONS)
        self.rate_limited = instrument(table.RATE_LIMITED)
        self.state_up = instrument(table.STATE_UP)
        self.loop_lag = instrument(table.LOOP_LAG)
        # What a killed worker has left open is closed.
        gauges = (metric.name for metric in table.METRICS if metric.kind == "gauge")
        counters.reset(frozenset(gauges))
        self.streams.set((), 0.0)

    def count_request(
        self, route: Resource | None, status: int, seconds: float
    ) -> None:
        """Count a request that is answered; *route* is what it goes to, if anything."""
        places = self._routes.get((route, status))
        if places is None:
            places = self._enter_route(route, status)
        counted, duration = places
        slots = self.counters.slots
        slots[counted] += 1.0
        slots[duration + bisect_left(table.REQUEST, seconds)] += 1.0
        slots[duration + len(table.REQUEST) + 1] += seconds

    def _enter_route(self, route: Resource | None, status: int) -> tuple[int, int]:
        name = OTHER if route is None else route.canonical
        places = (
            self.requests.places[name, str(status)],
            self.request_duration.places[(name,)],
        )
        self._routes[route, status] = places
        return places

    def count_race(self, story: Story) -> None:
        """Count a race that has ended, and all that it came to."""
        ending, schedule, lanes = story.ending, story.schedule, story.lanes
        place = self.races.places[story.policy.strategy, RACE_OUTCOMES[ending.outcome]]
        self.counters.slots[place] += 1.0
        for lane, charge in zip(lanes, story.charges, strict=True):
            self._count_lane(lane, ending)
            self._count_charge(lane, charge)
        if schedule.hedges:
            self.hedges.add(("sent",), schedule.hedges)
        if schedule.refused:
            self.hedges.add(("refused",))
        if len(lanes) > 1:
            self._count_skew(story)

    def _count_lane(self, lane: Lane, ending: Ending) -> None:
        place = self.racers.places[lane.id, *_fate(lane, ending)]
        self.counters.slots[place] += 1.0
        if (spoke := lane.spoke) is not None:
            self.ttft.observe(spoke - lane.started, (lane.id,))
        if lane.beaten_by is not None and lane.ended is not None:
            decided = lane.beaten_by.first_token or lane.ended
            self.loser_close.observe(max(lane.ended - decided, 0.0))

    def _count_charge(self, lane: Lane, charge: Charge) -> None:
        """Count what a call has used, and how fast its tokens came."""
        provider, used = lane.id, charge.tokens
        if charge.nanos:
            fate = "won" if charge.answered else "lost"
            self.cost.add((provider, fate), charge.nanos / NANO)
        if not charge.answered:
            if charge.wasted:
                self.tokens.add((provider, "wasted"), charge.wasted)
            return
        slots, places = self.counters.slots, self.tokens.places
        if used.input:
            slots[places[provider, "input"]] += used.input
        if used.output:
            slots[places[provider, "output"]] += used.output
            spoke, ended = lane.spoke, lane.attempt.ended
            if spoke is not None and ended is not None and ended > spoke:
                self.token_rate.observe(used.output / (ended - spoke), (provider,))

    def _count_skew(self, story: Story) -> None:
        """Count how far those were apart that started together."""
        entrants = len({lane.id for lane in story.lanes}) + len(story.waiting)
        schedule = story.schedule
        together = min(entrants, schedule.limit, schedule.at_once(story.policy))
        lanes = story.lanes[:together]
        if len(lanes) > 1:
            self.dispatch_skew.observe(lanes[-1].started - lanes[0].started)


def _fate(lane: Lane, ending: Ending) -> tuple[str, str]:
    """Return what became of a racer, in the words of the metric, and why."""
    if lane.error is not None:
        return "failed", lane.error.code
    if lane.outcome == "won":
        return "won", ""
    if lane.beaten_by is not None:
        return "cut_off", ""
    return "given_up", "client_left" if ending.client_left else ending.code or ""
