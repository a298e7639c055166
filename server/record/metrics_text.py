"""The metrics as Prometheus reads them: made of the counters when it asks."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

from attrs import frozen
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .counters import CounterSlots
from .metrics_table import METRICS, PREFIX, Metric

# The values of a metric: for each set of labels its numbers.
Values = Sequence[tuple[Sequence[str], Sequence[float]]]
BY_NAME = {metric.name: metric for metric in METRICS}
TOGETHER: dict[str, Callable[[Sequence[float]], float]] = {"sum": sum, "least": min}


@frozen
class Snapshot(Collector):
    """All numbers of one moment, of all processes, by the metric's name."""

    values: Mapping[str, Values]

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            if metric.name in self.values:
                yield _family(metric, self.values[metric.name])
        yield InfoMetricFamily(
            f"{PREFIX}build",
            "Which version serves.",
            {"version": version("interference"), "python": platform.python_version()},
        )


def snapshot(counters: CounterSlots, more: Iterable[tuple[Metric, Values]]) -> Snapshot:
    """Return what is counted now, and *more* that is not counted but looked up."""
    values: dict[str, list[tuple[Sequence[str], Sequence[float]]]] = {}
    for series, numbers in counters.numbers():
        if series.name in BY_NAME:
            together = TOGETHER[BY_NAME[series.name].of_all]
            of_all = [*map(together, zip(*numbers, strict=True))]
            values.setdefault(series.name, []).append((series.labels, of_all))
    return Snapshot({**values, **{metric.name: rows for metric, rows in more}})


def written(taken: Snapshot, accept: str) -> tuple[bytes, str]:
    """Return the text of *taken*, and its content type: one that *accept* names."""
    encode, content_type = choose_encoder(accept)
    return encode(taken), content_type


def _family(metric: Metric, values: Values) -> Family:
    name = PREFIX + metric.name
    match metric.kind:
        case "counter":
            name = name.removesuffix("_total")
            counter = CounterMetricFamily(name, metric.help, labels=metric.labels)
            for labels, numbers in values:
                counter.add_metric(labels, numbers[0])
            return counter
        case "gauge":
            gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
            for labels, numbers in values:
                gauge.add_metric(labels, numbers[0])
            return gauge
    histogram = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    for labels, (*counts, total) in values:
        histogram.add_metric(labels, _cumulative(metric.bounds, counts), total)
    return histogram


def _cumulative(
    bounds: Sequence[float], counts: Sequence[float]
) -> list[tuple[str, float]]:
    ends = [*map(floatToGoString, bounds), "+Inf"]
    so_far, buckets = 0.0, []
    for end, count in zip(ends, counts, strict=True):
        so_far += count
        buckets.append((end, so_far))
    return buckets
