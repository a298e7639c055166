"""The Responses API: raced like a chat, and kept here for the next request."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import orjson
import structlog
from aiohttp import web
from attrs import evolve

from server.errors import (
    InvalidRequest,
    ItemNotFound,
    NobodyWon,
    PreviousResponseNotFound,
    ResponseNotFound,
    StorageFailed,
)
from server.racing.lineup import Selection
from server.stores.responses import DEEPEST, ChainTooLong, ResponseStore
from server.web.answering import race_chat, race_count
from server.web.context import RESPONSES, VISIT
from server.wire import formats
from server.wire.format import Rendering
from server.wire.messages.count import estimate
from server.wire.responses import (
    RaceableRequest,
    ResponseRendering,
    ResponseRequest,
    input_items,
    not_kept,
    parse_count,
    raceable,
    shortened,
    shown,
)
from server.wire.responses.input import reasoning_in, reference_in
from server.wire.responses.request import OPAQUE
from server.wire.responses.stored import DeletedResponse, InputTokens

from .bodies import body_of
from .messages import ESTIMATED
from .paths import providers_in_path

T = TypeVar("T")
# Bytes of a body whose items take a while: there may be thousands in it.
LARGE = 256 * 1024
log = structlog.get_logger(__name__)

routes = web.RouteTableDef()
# Whether the response was to be kept, and could not be.
NOT_KEPT = web.RequestKey("not_kept", bool)


@routes.post(formats.RESPONSES.path)
async def create_response(request: web.Request) -> web.StreamResponse:
    store, owner = _store(request), _owner(request)
    sent = await body_of(request)
    large = len(sent) > LARGE
    path = providers_in_path(request)
    wanted, selection = await _computed(
        partial(formats.RESPONSES.parse, sent, path, request.headers), large=large
    )
    earlier = await _earlier(store, owner, wanted)
    items = await _items(store, owner, wanted)
    raced = await _computed(partial(raceable, wanted, earlier, items), large=large)
    rendering = ResponseRendering(wanted, items)

    form = rendering.form
    if wanted.kept:
        form = evolve(form, keep=partial(_keep, request, rendering))
    answer = await _raced(request, raced, selection, form, wanted)
    if NOT_KEPT in request and not answer.prepared:
        answer.headers["X-Stored"] = "false"
    return answer


async def _raced(
    request: web.Request,
    raced: RaceableRequest,
    selection: Selection,
    form: Rendering,
    wanted: ResponseRequest,
) -> web.StreamResponse:
    chat = raced.chat
    while True:
        try:
            return await race_chat(request, chat, selection, form, raced.admitted)
        except NobodyWon as exc:
            # No upstream says beforehand how much fits into a model's context.
            truncates = wanted.truncation == "auto" and exc.too_long
            shorter = shortened(chat) if truncates else None
            if shorter is None:
                raise
            chat = evolve(shorter, native=None)  # which would be as long as before


@routes.post("/responses/input_tokens")
async def count_input_tokens(request: web.Request) -> web.Response:
    """
    Ask those of the response's racers who can count, and take the first count; where
    none of them does, an estimate.
    """
    store, owner = _store(request), _owner(request)
    path = providers_in_path(request)
    wanted, selection = parse_count(await body_of(request), path)
    raced = raceable(
        wanted, await _earlier(store, owner, wanted), await _items(store, owner, wanted)
    )
    tokens, headers = await race_count(request, raced.chat, selection)
    if tokens is None:
        tokens, headers = estimate(raced.chat), headers | ESTIMATED
    counted: InputTokens = {"object": "response.input_tokens", "input_tokens": tokens}
    if provider := headers.get("X-Provider"):
        counted["provider"] = provider
    body = orjson.dumps(counted)
    return web.Response(body=body, headers=headers, content_type="application/json")


async def _keep(
    request: web.Request, rendering: ResponseRendering, end: bytes
) -> bytes:
    """Keep the response; return *end*, which says so if that can't be done."""
    try:
        kept = await _store(request).put(_owner(request), rendering.stored())
    except sqlite3.Error as exc:
        _store(request).trouble = str(exc)
        log.error("a response can't be kept", reason=str(exc))  # noqa: TRY400 - known
        kept = False
    if kept:
        return end
    request[NOT_KEPT] = True
    return not_kept(end)


@routes.get("/responses/{id}")
async def retrieve_response(request: web.Request) -> web.Response:
    if request.query.get("stream") == "true":
        raise InvalidRequest(
            "A stored response can't be streamed again; leave 'stream' out.",
            param="stream",
        )
    name = request.match_info["id"]
    with _told():
        stored = await _store(request).get(_owner(request), name)
    if stored is None:
        raise _unknown(name)
    # Clients write lists in queries with brackets, or without.
    include = [v for n in ("include", "include[]") for v in request.query.getall(n, ())]
    body = shown(*stored, opaque=OPAQUE in include)
    return web.Response(body=body, content_type="application/json")


@routes.delete("/responses/{id}")
async def delete_response(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    with _told():
        deleted = await _store(request).delete(_owner(request), name)
    if not deleted:
        raise _unknown(name)
    payload: DeletedResponse = {
        "id": name,
        "object": "response.deleted",
        "deleted": True,
    }
    return _json(payload)


@routes.get("/responses/{id}/input_items")
async def list_input_items(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    with _told():
        items = await _store(request).input(_owner(request), name)
    if items is None:
        raise _unknown(name)
    return _json(input_items(items, request.query))


async def _earlier(
    store: ResponseStore, owner: str, wanted: ResponseRequest
) -> list[dict[str, Any]]:
    previous = wanted.previous_response_id
    if previous is None:
        return []
    try:
        with _told():
            history = await store.history(owner, previous)
    except ChainTooLong as exc:
        raise InvalidRequest(
            f"More than {DEEPEST} responses go on from one another. Send the"
            " conversation's items as 'input' instead.",
            param="previous_response_id",
        ) from exc
    if history is None:
        raise PreviousResponseNotFound(
            f"The response {previous!r}, or one that it goes on from, is not here, or"
            " no longer.",
            param="previous_response_id",
        )
    return history


async def _computed(work: Callable[[], T], *, large: bool) -> T:
    """Do *work*; beside the event loop, if it is for a *large* request."""
    return await asyncio.to_thread(work) if large else work()


async def _items(
    store: ResponseStore, owner: str, wanted: ResponseRequest
) -> list[Any]:
    """
    Return the input, with what it refers to in the references' places.

    Clients send reasoning back without what an upstream wants with it, unless they
    have asked for it; it is stored all the same.
    """
    ids = wanted.stored_ids()
    if not ids:
        return wanted.items()
    with _told():
        stored = await store.items(owner, ids)
    for name in wanted.references():
        if name not in stored:
            raise ItemNotFound(
                f"The item {name!r} is not here, or no longer: its response may have"
                " been sent with 'store' set to false.",
                param="input",
            )
    return [
        stored.get(reference_in(item) or reasoning_in(item) or "", item)
        for item in wanted.items()
    ]


@contextmanager
def _told() -> Iterator[None]:
    """Say in an error object that what is stored can't be had."""
    try:
        yield
    except sqlite3.Error as exc:
        log.error("stored responses can't be had", reason=str(exc))  # noqa: TRY400 - known
        raise StorageFailed(
            "Stored responses can't be had at the moment.", headers={"Retry-After": "5"}
        ) from exc


def _store(request: web.Request) -> ResponseStore:
    return request.app[RESPONSES]


def _owner(request: web.Request) -> str:
    """Return whose responses these are: nobody else's are seen with this key."""
    client = request[VISIT].client
    return "" if client is None else client.name


def _unknown(name: str) -> ResponseNotFound:
    return ResponseNotFound(f"There is no response {name!r} here, or no longer.")


def _json(payload: Mapping[str, object]) -> web.Response:
    body = orjson.dumps(payload)
    return web.Response(body=body, content_type="application/json")
