"""Images: raced, and kept here, so that their URLs are this server's own."""

import asyncio

import structlog
from aiohttp import web

from providers import Images
from server.errors import RouteNotFound
from server.stores.media import TYPES
from server.web.answering import race_task
from server.web.base_urls import own_url
from server.web.context import VISIT
from server.web.json_answers import encoded_answer
from server.wire.images import in_answer, parse, render

from .bodies import body_of
from .paths import providers_in_path

log = structlog.get_logger(__name__)

routes = web.RouteTableDef()
media = web.RouteTableDef()

# The name is the hash of the bytes, so they never change; no script runs in them.
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


@routes.post("/images/generate")
@routes.post("/images/generations")
async def create_image(request: web.Request) -> web.StreamResponse:
    task, selection = parse(await body_of(request), providers_in_path(request))
    answer = await race_task(request, task, selection, Images)
    images, headers = answer.result, answer.headers
    urls = None
    if not in_answer(task):
        urls = await _keep(request, images)
        if urls is None:
            headers["X-Stored"] = "false"
    body = render(images, headers["X-Provider"], urls)
    return encoded_answer(body, headers=headers)


async def _keep(request: web.Request, images: Images) -> list[str] | None:
    """
    Keep the images, and return their URLs; None where they can't be kept. They then
    stand in the answer itself, since they are paid for.
    """
    visit = request[VISIT]
    store, owner = visit.gateway.media, visit.client.name if visit.client else ""
    try:
        names = [
            await asyncio.to_thread(store.put, owner, image) for image in images.images
        ]
    except OSError as exc:
        log.error("an image can't be kept", reason=exc.strerror)
        return None
    return [f"{own_url(request)}/media/{name}" for name in names]


@media.get("/media/{name}")
async def retrieve_image(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    path = await asyncio.to_thread(request[VISIT].gateway.media.find, name)
    if path is None:
        raise RouteNotFound("There is no such image here, or no longer.")
    content_type = TYPES[path.suffix.removeprefix(".")]
    return web.FileResponse(path, headers={**HEADERS, "Content-Type": content_type})
