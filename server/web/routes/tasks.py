"""Speech, transcriptions and embeddings: raced, and passed on as they come."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_request import FileField

from providers import Blob, EmbeddingsRequest, TaskRequest
from server.racing.lineup import Selection
from server.web.answering import race_task
from server.wire.tasks import (
    parse_embeddings,
    parse_speech,
    parse_transcription,
    with_cost,
)

from .bodies import body_of, form_of
from .paths import providers_in_path

routes = web.RouteTableDef()

Task = tuple[TaskRequest, Selection]


def serving(parse: Callable[[bytes, tuple[str, ...] | None], Task]) -> Handler:
    """Return the handler of requests that *parse* reads: they are JSON."""

    async def handler(request: web.Request) -> web.StreamResponse:
        task = parse(await body_of(request), providers_in_path(request))
        return await _raced(request, *task)

    return handler


routes.post("/embeddings")(serving(parse_embeddings))
routes.post("/audio/speech")(serving(parse_speech))


@routes.post("/audio/transcriptions")
async def create_transcription(request: web.Request) -> web.Response:
    form = await form_of(request)
    fields = [
        (name, value if isinstance(value, str) else value.decode("utf-8", "replace"))
        for name, value in form.items()
        if not isinstance(value, FileField)
    ]
    file = form.get("file")
    recording = None
    if isinstance(file, FileField):
        recording = (file.file.read(), file.filename, file.content_type)
    task = parse_transcription(fields, recording, providers_in_path(request))
    return await _raced(request, *task)


async def _raced(
    request: web.Request, task: TaskRequest, selection: Selection
) -> web.Response:
    """Race for what comes in one piece, and pass it on as it comes."""
    answer = await race_task(request, task, selection, Blob)
    blob, body = answer.result, answer.result.data
    if isinstance(task, EmbeddingsRequest):
        body = with_cost(body, answer.cost)
    charset = "utf-8" if blob.content_type.startswith("text/") else None
    return web.Response(
        body=body,
        headers=answer.headers,
        content_type=blob.content_type,
        charset=charset,
    )
