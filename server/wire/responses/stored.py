"""A response as it is stored, and what is shown of it later."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict, cast

import orjson
from attrs import frozen

from server.errors import InvalidRequest
from server.json_types import Count, JSONMapping, JSONObject

from .items import new_id
from .payloads import PREFIXES

ID_PREFIXES: Mapping[str, str] = {
    **PREFIXES,
    "function_call_output": "fco",
    "custom_tool_call_output": "ctco",
}
MOST_LISTED = 100
ORDERS = ("asc", "desc")
WHOLE = re.compile(r"\d{1,9}")  # Python refuses numbers of thousands of digits


@frozen(kw_only=True)
class StoredResponse:
    """
    A response to be stored: *body* is the response object without its *output*.

    *input* has the items that it answers, without those of *previous*, the id of the
    response that it goes on from. Reasoning in either is there with
    `encrypted_content`.
    """

    id: str
    previous: str | None
    body: JSONMapping
    input: Sequence[JSONMapping]
    output: Sequence[JSONMapping]


class InputItem(TypedDict):
    """An item of the input, as the client sent it."""

    type: str
    id: str


class InputItemsPage(TypedDict):
    object: Literal["list"]
    data: list[InputItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(TypedDict):
    object: Literal["response.input_tokens"]
    input_tokens: Count
    provider: NotRequired[str]


class DeletedResponse(TypedDict):
    id: str
    object: Literal["response.deleted"]
    deleted: Literal[True]


def not_kept(end: bytes) -> bytes:
    """
    Return a whole response, or the last events of a stream of one, saying that it could
    not be kept.
    """
    before, separator, data = end.rpartition(b"\ndata: ")
    payload = orjson.loads(data if separator else end)
    payload.get("response", payload)["store"] = False
    frame_end = b"\n\n" if separator else b""
    return before + separator + orjson.dumps(payload) + frame_end


def input_to_store(items: Sequence[JSONMapping]) -> list[JSONObject]:
    """Return items as the API lists them: with ids, and content in parts."""
    return [_normal(item) for item in items]


def shown(body: JSONMapping, output: Sequence[JSONMapping], *, opaque: bool) -> bytes:
    """Return a stored response as a client sees it."""
    items = [
        item if opaque else {n: v for n, v in item.items() if n != "encrypted_content"}
        for item in output
    ]
    return orjson.dumps({**body, "output": items})


def input_items(
    items: Sequence[JSONMapping], query: Mapping[str, str]
) -> InputItemsPage:
    """
    Return a page of a stored response's input, the last item first unless the query
    says otherwise; raises InvalidRequest.
    """
    limit, after = query.get("limit", "20"), query.get("after")
    if not WHOLE.fullmatch(limit) or not 1 <= int(limit) <= MOST_LISTED:
        raise InvalidRequest(f"'limit' must be 1 to {MOST_LISTED}.", param="limit")
    order = query.get("order", "desc")
    if order not in ORDERS:
        raise InvalidRequest("'order' must be 'asc' or 'desc'.", param="order")
    rows = list(items) if order == "asc" else list(reversed(items))
    ids = [row["id"] for row in rows]
    if after is not None and after not in ids:
        raise InvalidRequest(f"There is no item {after!r} here.", param="after")
    begin = ids.index(after) + 1 if after is not None else 0
    page = rows[begin : begin + int(limit)]
    return {
        "object": "list",
        "data": cast("list[InputItem]", page),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": begin + len(page) < len(rows),
    }


def _normal(item: JSONMapping) -> JSONObject:
    kind = item.get("type") or "message"
    normal = {**item, "type": kind, "id": item.get("id") or _id(kind)}
    if kind != "reasoning":
        normal.setdefault("status", "completed")
    content = item.get("content")
    if kind == "message" and isinstance(content, str):
        by_model = item.get("role") == "assistant"
        text = {"type": "output_text" if by_model else "input_text", "text": content}
        normal["content"] = [text | ({"annotations": []} if by_model else {})]
    return normal


def _id(kind: str) -> str:
    return new_id(ID_PREFIXES.get(kind, "item"))
