"""Speech, transcriptions and embeddings: raced, and passed on as they come."""

from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from providers import TaskRequest
from server.answering import first_piece
from server.keys import CLIENT, GATEWAY
from server.lineup import Selection
from server.wire.tasks import parse_embeddings, parse_speech, parse_transcription

from .paths import providers_in_path

routes = web.RouteTableDef()


@routes.post("/embeddings")
async def create_embeddings(request: web.Request) -> web.Response:
    parsed = parse_embeddings(await request.read(), providers_in_path(request))
    return await _answer(request, *parsed)


@routes.post("/audio/speech")
async def create_speech(request: web.Request) -> web.Response:
    parsed = parse_speech(await request.read(), providers_in_path(request))
    return await _answer(request, *parsed)


@routes.post("/audio/transcriptions")
async def create_transcription(request: web.Request) -> web.Response:
    form = await request.post()
    fields = [(name, value) for name, value in form.items() if isinstance(value, str)]
    sent = form.get("file")
    file = None
    if isinstance(sent, FileField):
        file = (sent.file.read(), sent.filename, sent.content_type)
    parsed = parse_transcription(fields, file, providers_in_path(request))
    return await _answer(request, *parsed)


async def _answer(
    request: web.Request, asked: TaskRequest, selection: Selection
) -> web.Response:
    catalog = request.app[GATEWAY].catalog
    lineup = catalog.lineup(asked, selection, request.get(CLIENT))
    blob: Any
    blob, _, headers = await first_piece(request, asked, lineup)
    charset = "utf-8" if blob.content_type.startswith("text/") else None
    return web.Response(
        body=blob.data,
        headers=headers,
        content_type=blob.content_type,
        charset=charset,
    )
