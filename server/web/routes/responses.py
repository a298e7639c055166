"""The Responses API: raced like a chat, and kept here for the next request."""

from functools import partial

from aiohttp import web
from attrs import evolve

from server.errors import InvalidRequest
from server.racing.errors import NobodyWon
from server.racing.lineup import Selection
from server.web.answering import count, race_chat
from server.web.json_answers import encoded_answer, json_answer
from server.web.large_bodies import computed
from server.web.own_responses import OwnResponses, own_responses
from server.wire import formats
from server.wire.format import Rendering
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
from server.wire.responses.request import OPAQUE
from server.wire.responses.stored import DeletedResponse, InputTokens

from .bodies import body_of
from .paths import providers_in_path

routes = web.RouteTableDef()
# Whether the response was to be kept, and could not be.
NOT_KEPT = web.RequestKey("not_kept", bool)


@routes.post(formats.RESPONSES.path)
async def create_response(request: web.Request) -> web.StreamResponse:
    own = own_responses(request)
    body, path = await body_of(request), providers_in_path(request)
    response_request, selection = await computed(
        partial(formats.RESPONSES.parse, body, path, request.headers), len(body)
    )
    earlier, items = (
        await own.history(response_request),
        await own.items(response_request),
    )
    race_request = await computed(
        partial(raceable, response_request, earlier, items), len(body)
    )
    rendering = ResponseRendering(response_request, items)

    form = rendering.form
    if response_request.kept:
        form = evolve(form, keep=partial(_keep, request, own, rendering, len(body)))
    answer = await _raced(request, race_request, selection, form, response_request)
    if NOT_KEPT in request and not answer.prepared:
        answer.headers["X-Stored"] = "false"
    return answer


async def _raced(
    request: web.Request,
    race_request: RaceableRequest,
    selection: Selection,
    form: Rendering,
    response_request: ResponseRequest,
) -> web.StreamResponse:
    """Race for the answer: again with less, where a model has no room for all."""
    chat = race_request.chat
    while True:
        try:
            return await race_chat(
                request, chat, selection, form, race_request.admitted
            )
        except NobodyWon as exc:
            # No upstream says beforehand how much fits into a model's context.
            truncates = response_request.truncation == "auto" and exc.too_long
            shorter = shortened(chat) if truncates else None
            if shorter is None:
                raise
            chat = evolve(shorter, native=None)  # which would be as long as before


async def _keep(
    request: web.Request,
    own: OwnResponses,
    rendering: ResponseRendering,
    size: int,
    end: bytes,
) -> bytes:
    """
    Keep the response to a body of this *size*; return *end*, which says so if that
    can't be done.
    """
    if await own.keep(await computed(rendering.stored, size)):
        return end
    request[NOT_KEPT] = True
    return not_kept(end)


@routes.post("/responses/input_tokens")
async def count_input_tokens(request: web.Request) -> web.Response:
    """Answer how many tokens a response's input has."""
    own = own_responses(request)
    body = await body_of(request)
    response_request, selection = await computed(
        partial(parse_count, body, providers_in_path(request)), len(body)
    )
    earlier, items = (
        await own.history(response_request),
        await own.items(response_request),
    )
    race_request = await computed(
        partial(raceable, response_request, earlier, items), len(body)
    )
    tokens, headers = await count(request, race_request.chat, selection)
    payload: InputTokens = {"object": "response.input_tokens", "input_tokens": tokens}
    if provider := headers.get("X-Provider"):
        payload["provider"] = provider
    return json_answer(payload, headers=headers)


@routes.get("/responses/{id}")
async def retrieve_response(request: web.Request) -> web.Response:
    if request.query.get("stream") == "true":
        raise InvalidRequest(
            "A stored response can't be streamed again; leave 'stream' out.",
            param="stream",
        )
    stored = await own_responses(request).get(request.match_info["id"])
    # Clients write lists in queries with brackets, or without.
    include = [v for n in ("include", "include[]") for v in request.query.getall(n, ())]
    return encoded_answer(shown(*stored, opaque=OPAQUE in include))


@routes.delete("/responses/{id}")
async def delete_response(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    await own_responses(request).delete(name)
    payload: DeletedResponse = {
        "id": name,
        "object": "response.deleted",
        "deleted": True,
    }
    return json_answer(payload)


@routes.get("/responses/{id}/input_items")
async def list_input_items(request: web.Request) -> web.Response:
    items = await own_responses(request).input(request.match_info["id"])
    return json_answer(input_items(items, request.query))
