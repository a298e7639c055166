"""Writes the Grafana dashboard: python -m deploy.dashboard > deploy/dashboard.json."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from server.record import metrics_table as m
from server.record.metrics_table import PREFIX, Metric

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHERE = 'job=~"$job", instance=~"$instance"'
OF_PROVIDER = f'{WHERE}, provider=~"$provider"'
WIDTH, HEIGHT = 8, 8
PER_ROW = 24 // WIDTH


@frozen
class Line:
    """One query of a panel, and how its lines are called."""

    expression: str
    legend: str


@frozen
class Panel:
    title: str
    unit: str
    lines: tuple[Line, ...]
    description: str = ""


def _where(metric: Metric) -> str:
    return OF_PROVIDER if "provider" in metric.labels else WHERE


def rate(metric: Metric, *by: str, more: str = "") -> str:
    """Return the rate of a counter, summed by these labels."""
    series = f"{PREFIX}{metric.name}{{{_where(metric)}{more}}}"
    return f"sum by ({', '.join(by)}) (rate({series}[$__rate_interval]))"


def total(metric: Metric, *by: str) -> str:
    return f"sum by ({', '.join(by)}) ({PREFIX}{metric.name}{{{_where(metric)}}})"


def quantile(q: float, metric: Metric, *by: str) -> str:
    series = f"{PREFIX}{metric.name}_bucket{{{_where(metric)}}}"
    buckets = f"sum by ({', '.join((*by, 'le'))}) (rate({series}[$__rate_interval]))"
    return f"histogram_quantile({q}, {buckets})"


def quantiles(metric: Metric) -> tuple[Line, ...]:
    return tuple(Line(quantile(q, metric), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99))


PANELS = (
    Panel("Requests", "reqps", (Line(rate(m.REQUESTS, "status"), "{{status}}"),)),
    Panel(
        "Races",
        "reqps",
        (Line(rate(m.RACES, "strategy", "outcome"), "{{strategy}} {{outcome}}"),),
    ),
    Panel("Time of a request", "s", quantiles(m.REQUEST_DURATION)),
    Panel(
        "Wins",
        "reqps",
        (Line(rate(m.RACERS, "provider", more=', outcome="won"'), "{{provider}}"),),
        "Who answers.",
    ),
    Panel(
        "Failures",
        "reqps",
        (
            Line(
                rate(m.RACERS, "provider", "reason", more=', outcome="failed"'),
                "{{provider}} {{reason}}",
            ),
        ),
        "Who fails, and why.",
    ),
    Panel(
        "Racers by outcome",
        "reqps",
        (Line(rate(m.RACERS, "outcome"), "{{outcome}}"),),
    ),
    Panel(
        "Time to first token, median",
        "s",
        (Line(quantile(0.5, m.TTFT, "provider"), "{{provider}}"),),
    ),
    Panel(
        "Time to first token, p95",
        "s",
        (Line(quantile(0.95, m.TTFT, "provider"), "{{provider}}"),),
    ),
    Panel(
        "Tokens per second of an answer, median",
        "none",
        (Line(quantile(0.5, m.TOKEN_RATE, "provider"), "{{provider}}"),),
    ),
    Panel("Tokens per second", "none", (Line(rate(m.TOKENS, "kind"), "{{kind}}"),)),
    Panel(
        "Dollars an hour",
        "currencyUSD",
        (Line(f"3600 * {rate(m.COST, 'provider', 'fate')}", "{{provider}} {{fate}}"),),
        "Where prices are known; lost: what losers have cost.",
    ),
    Panel("Hedges", "reqps", (Line(rate(m.HEDGES, "result"), "{{result}}"),)),
    Panel(
        "What the server adds",
        "s",
        quantiles(m.OVERHEAD),
        "Time of a raced request that was not spent waiting for upstreams.",
    ),
    Panel(
        "From the decision to a closed loser",
        "s",
        quantiles(m.LOSER_CLOSE),
    ),
    Panel("Between the first start and the last", "s", quantiles(m.DISPATCH_SKEW)),
    Panel("Event loop: how late", "s", quantiles(m.LOOP_LAG)),
    Panel(
        "Open streams", "none", (Line(total(m.STREAMS, "instance"), "{{instance}}"),)
    ),
    Panel(
        "Connections to providers",
        "none",
        (Line(total(m.CONNECTIONS, "provider"), "{{provider}}"),),
    ),
    Panel(
        "Resting providers",
        "none",
        (
            Line(
                f"max by (provider) ({PREFIX}{m.RESTING.name}{{{OF_PROVIDER}}})",
                "{{provider}}",
            ),
        ),
    ),
    Panel("Workers", "none", (Line(total(m.WORKERS, "state"), "{{state}}"),)),
    Panel(
        "Refused by limits",
        "reqps",
        (Line(rate(m.RATE_LIMITED, "limit"), "{{limit}}"),),
    ),
    Panel(
        "Shared state can be had",
        "none",
        (
            Line(
                f"min by (instance) ({PREFIX}{m.STATE_UP.name}{{{WHERE}}})",
                "{{instance}}",
            ),
        ),
    ),
)


def dashboard(panels: Sequence[Panel] = PANELS) -> dict[str, Any]:
    """Return the dashboard, as Grafana 9 and newer import and provision it."""
    return {
        "id": None,
        "uid": "interference",
        "title": "Interference",
        "tags": ["interference"],
        "editable": True,
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _variables()},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _variables() -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    build = f"{PREFIX}build_info"
    return [
        source,
        _variable("job", f"label_values({build}, job)"),
        _variable("instance", f'label_values({build}{{job=~"$job"}}, instance)'),
        _variable("provider", f"label_values({PREFIX}{m.RESTING.name}, provider)"),
    ]


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, PER_ROW)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": "ABCDEFG"[i],
                "datasource": SOURCE,
                "expr": line.expression,
                "legendFormat": line.legend,
            }
            for i, line in enumerate(panel.lines)
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")
