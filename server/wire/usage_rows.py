"""The rows of `/v1/usage`: what was used, as JSON and as CSV."""

import csv
import io
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, TypedDict

from server.errors import InvalidRequest
from server.json_types import Count, Keywords
from server.record.costs import dollars
from server.record.usage import COUNTS, DIMENSIONS, Place, Question, Sums

Dollars = Annotated[float, Keywords(minimum=0)]
DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ].*)?")
FORMATS = ("json", "csv")


class UsageRow(TypedDict):
    """
    What was used under one key, at one provider, of one model, on one day (UTC); null
    stands for what is not told apart, and for requests without a key.
    """

    key: str | None
    provider: str | None
    model: str | None
    day: Annotated[str | None, Keywords(format="date")]
    requests: Annotated[
        int, Keywords(minimum=0, description="Those that had an answer.")
    ]
    input_tokens: Count
    output_tokens: Count
    cached_tokens: Annotated[
        int, Keywords(minimum=0, description="Some of `input_tokens`.")
    ]
    reasoning_tokens: Annotated[
        int, Keywords(minimum=0, description="Some of `output_tokens`.")
    ]
    wasted_tokens_at_least: Annotated[
        int, Keywords(minimum=0, description="Those of calls that were no answer.")
    ]
    dollars: Dollars
    dollars_wasted: Dollars
    unpriced_requests: Annotated[
        int,
        Keywords(
            minimum=0, description="Those in `requests` whose price nobody knows."
        ),
    ]


class UsageRows(TypedDict):
    object: Literal["list"]
    data: list[UsageRow]


def question(query: Mapping[str, str], key: str | None) -> Question:
    """
    Return what a URL asks about: what this *key* has used, None: all. Raises
    InvalidRequest.
    """
    return Question(
        key=key,
        by=_dimensions(query.get("by", "")),
        since=_day(query, "since"),
        until=_day(query, "until"),
    )


def wants_csv(query: Mapping[str, str]) -> bool:
    """Say whether the rows are wanted as CSV; raises InvalidRequest."""
    name = query.get("format", FORMATS[0])
    if name not in FORMATS:
        raise InvalidRequest("'format' must be json or csv.", param="format")
    return name == "csv"


def rows(sums: Sums) -> list[UsageRow]:
    """Return the rows of *sums*, in their order: by day, then as they are named."""
    ordered = sorted(sums.items(), key=lambda row: (row[0][3], row[0]))
    return [_row(place, counts) for place, counts in ordered]


def as_csv(data: list[UsageRow]) -> bytes:
    """Return a table with a line of names; what is null is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(UsageRow.__annotations__))
    table.writeheader()
    table.writerows(data)
    return text.getvalue().encode()


def _row(place: Place, counts: tuple[int, ...]) -> UsageRow:
    key, provider, model, day = (value or None for value in place)
    numbers = dict(zip(COUNTS, counts, strict=True))
    return {
        "key": key,
        "provider": provider,
        "model": model,
        "day": day,
        "requests": numbers["requests"],
        "input_tokens": numbers["input_tokens"],
        "output_tokens": numbers["output_tokens"],
        "cached_tokens": numbers["cached_tokens"],
        "reasoning_tokens": numbers["reasoning_tokens"],
        "wasted_tokens_at_least": numbers["wasted_tokens_at_least"],
        "dollars": dollars(numbers["nanodollars"]),
        "dollars_wasted": dollars(numbers["nanodollars_wasted"]),
        "unpriced_requests": numbers["unpriced_requests"],
    }


def _dimensions(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not set(names) <= set(DIMENSIONS):
        raise InvalidRequest(
            f"'by' must be some of {', '.join(DIMENSIONS)}, with commas between.",
            param="by",
        )
    return names or DIMENSIONS


def _day(query: Mapping[str, str], name: str) -> str:
    """Return a day; an instant stands for its day."""
    if (text := query.get(name)) is None:
        return ""
    match = DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1] if match else "").isoformat()
    except ValueError as exc:
        raise InvalidRequest(
            f"'{name}' must be a day as 2026-11-28 (UTC).", param=name
        ) from exc
