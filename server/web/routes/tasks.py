"""Speech, transcriptions and embeddings: raced, and passed on as they come."""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.web_request import FileField

from providers import Blob, TaskRequest
from server.errors import InvalidRequest
from server.racing.lineup import Selection
from server.web.answering import race_task
from server.wire.tasks import parse_embeddings, parse_speech, parse_transcription

from .bodies import body_of, unpack_form
from .paths import providers_in_path

routes = web.RouteTableDef()

Form = Mapping[str, str | bytes | bytearray | FileField]


@routes.post("/embeddings")
async def create_embeddings(request: web.Request) -> web.Response:
    parsed = parse_embeddings(await body_of(request), providers_in_path(request))
    return await _answer(request, *parsed)


@routes.post("/audio/speech")
async def create_speech(request: web.Request) -> web.Response:
    parsed = parse_speech(await body_of(request), providers_in_path(request))
    return await _answer(request, *parsed)


@routes.post("/audio/transcriptions")
async def create_transcription(request: web.Request) -> web.Response:
    form = await _form(request)
    fields = [
        (name, value if isinstance(value, str) else value.decode("utf-8", "replace"))
        for name, value in form.items()
        if not isinstance(value, FileField)
    ]
    sent = form.get("file")
    file = None
    if isinstance(sent, FileField):
        file = (sent.file.read(), sent.filename, sent.content_type)
    parsed = parse_transcription(fields, file, providers_in_path(request))
    return await _answer(request, *parsed)


async def _form(request: web.Request) -> Form:
    """Return the fields of the body; raises InvalidRequest if they can't be read."""
    await unpack_form(request)
    try:
        return await request.post()
    except (web.HTTPException, OSError):
        raise
    except Exception as exc:
        # aiohttp has an error for each way of being broken, of as many classes.
        raise InvalidRequest(
            "The form can't be read. Send it as multipart/form-data, each part with a"
            " name."
        ) from exc


async def _answer(
    request: web.Request, task: TaskRequest, selection: Selection
) -> web.Response:
    blob, headers = await race_task(request, task, selection, Blob)
    charset = "utf-8" if blob.content_type.startswith("text/") else None
    return web.Response(
        body=blob.data,
        headers=headers,
        content_type=blob.content_type,
        charset=charset,
    )
