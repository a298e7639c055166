"""Log probabilities as the Responses API shows them."""

from collections.abc import Iterable
from typing import TypedDict, TypeGuard

from server.json_types import JSON, JSONMapping


class EventTopLogprob(TypedDict):
    token: str
    logprob: float | None


class EventLogprob(EventTopLogprob):
    """A token's log probability in an event of its text: without the bytes."""

    top_logprobs: list[EventTopLogprob]


class TopLogprob(EventTopLogprob):
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """A token's log probability in a response, with those of other tokens there."""

    top_logprobs: list[TopLogprob]


def token_logprobs(rows: Iterable[JSON]) -> list[TokenLogprob]:
    """Return the rows of a chat in the shape of this API: bytes are never null."""
    return [
        {**_top(row), "top_logprobs": _tops(row.get("top_logprobs"))}
        for row in rows
        if _is_row(row)
    ]


def event_logprobs(rows: Iterable[TokenLogprob]) -> list[EventLogprob]:
    """Return log probabilities as they stand in an event."""
    return [
        {
            **_without_bytes(row),
            "top_logprobs": [_without_bytes(top) for top in row["top_logprobs"]],
        }
        for row in rows
    ]


def _tops(rows: Iterable[JSON] | None) -> list[TopLogprob]:
    return [_top(row) for row in rows or () if _is_row(row)]


def _is_row(row: JSON) -> TypeGuard[JSONMapping]:
    return isinstance(row, dict) and isinstance(row.get("token"), str)


def _top(row: JSONMapping) -> TopLogprob:
    return {
        "token": row["token"],
        "logprob": row.get("logprob"),
        "bytes": row.get("bytes") or list(row["token"].encode()),
    }


def _without_bytes(row: TopLogprob) -> EventTopLogprob:
    return {"token": row["token"], "logprob": row["logprob"]}
