"""
Images from Gradio apps, through their queue.

Facts: queueing.py and server_messages.py of gradio 4.44, 5.50 and 6.31, and what apps
of these versions send; zero/client.py of the spaces package for the texts of quotas.
"""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import orjson
from attrs import define, field

from providers.dialects.framing import SSEDecoder
from providers.dialects.talk import Talk
from providers.errors import (
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    ProviderRefusedRequest,
)
from providers.json_types import JSON, JSONMapping
from providers.settings import ProviderSettings
from providers.tasks import Image, ImageRequest, Images

from .gradio_spaces import (
    AS_JSON,
    App,
    Endpoint,
    Steps,
    find_app,
    find_endpoint,
    target_of,
)

# What the seeds of Spaces go up to.
SEEDS = 2**31
# Messages after which nothing more comes for a job.
LAST = frozenset({"process_completed", "unexpected_error", "server_stopped"})
QUOTA = re.compile(
    r"ZeroGPU (quota|pending credits) exceeded"
    r"|exceeded your .*(quota|runs limit)|reached its GPU limit|credits allocated"
)
NO_GPU = re.compile(r"No GPU (was|is) ")
AGAIN = re.compile(r"Try again in (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")
TAG = re.compile(r"<[^<>]*>")
# Characters of an error's text that are searched.
MAX_TEXT = 5000


def images(settings: ProviderSettings, request: ImageRequest, model: str) -> Talk:
    """Make images, one run of the app each."""
    # The model says which address is called, and where the key goes. That is for the
    # configuration to choose, never for who sends a request.
    if model not in {*settings.models.values(), settings.default_model}:
        raise ProviderRefusedRequest("it has no such model")
    target = target_of(model)
    app = yield from find_app(settings, target)
    endpoint = yield from find_endpoint(app, target.endpoint)
    made = []
    for seed in _seeds(request):
        output = yield from _run(app, endpoint, _arguments(endpoint, request, seed))
        made.append(Image(data=(yield from _picture(app, endpoint, output))))
    names = (name for name, value in settings.models.items() if value == model)
    named = target.space or next(names, settings.label or settings.id)
    return Images(images=tuple(made), model=named)


@define
class _Queue:
    """Listens to an app's queue until it has said the last of one job, *event*."""

    event: str
    last: JSONMapping | None = None
    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)

    def receive(self, piece: bytes) -> bool:
        """Take what came; return whether nothing more need be heard."""
        # Estimates, progress and what a generator has so far are passed over.
        for data in self._sse.feed(piece):
            message = orjson.loads(data)
            mine = message.get("event_id") in (None, self.event)
            if mine and message["msg"] in LAST:
                self.last = message
                return True
        return False

    def output(self) -> list[JSON]:
        """Return what the function has returned; raise what it has raised."""
        if self.last is None:
            raise ProviderProtocolError("the app's queue ended before the job did")
        if self.last["msg"] != "process_completed" or not self.last.get("success"):
            raise _failure(self.last)
        output: list[JSON] = self.last["output"]["data"]
        return output


def _seeds(request: ImageRequest) -> list[int | None]:
    """Return a seed for each run; None leaves it to the app, which is asked once."""
    if request.count == 1:
        return [request.seed]
    first = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    return [first, *((first + i) % SEEDS for i in range(1, request.count))]


def _arguments(
    endpoint: Endpoint, request: ImageRequest, seed: int | None
) -> list[JSON]:
    """Return a run's arguments in their order: what is asked for, else defaults."""
    shown = [each for each in endpoint.inputs if each is not None]
    names = [each["parameter_name"] for each in shown]
    texts = [each["parameter_name"] for each in shown if _is_text(each)]
    prompts = [name for name in texts if name != "negative_prompt"]
    if "prompt" not in names and not prompts:
        raise ProviderFailed("the app's endpoint takes no prompt")
    width, height = request.pixels
    given = {
        "prompt" if "prompt" in names else prompts[0]: request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": seed,
        "randomize_seed": None if seed is None else False,
        "width": width,
        "height": height,
    }
    return [None if each is None else _value(each, given) for each in endpoint.inputs]


def _value(parameter: JSONMapping, given: JSONMapping) -> JSON:
    value = given.get(parameter["parameter_name"])
    if value is None:
        value = parameter.get("parameter_default")
    # The app's own page sends an empty text box as a text, too.
    return "" if value is None and _is_text(parameter) else value


def _is_text(parameter: JSONMapping) -> bool:
    return bool(parameter.get("component") == "Textbox")


def _run(app: App, endpoint: Endpoint, arguments: list[JSON]) -> Steps[list[JSON]]:
    """
    Queue a job, and listen until it is done; return what the function has returned.

    Who hangs up while listening takes a waiting job out of the queue again.
    """
    session = secrets.token_hex(8)
    job = {
        "data": arguments,
        "fn_index": endpoint.index,
        "session_hash": session,
        "event_data": None,
        "trigger_id": None,
    }
    reply = yield app.post(f"{endpoint.prefix}/queue/join", job)
    queue = _Queue(orjson.loads(reply.expect(AS_JSON))["event_id"])
    path = f"{endpoint.prefix}/queue/data?session_hash={session}"
    reply = yield app.get(path, listen=queue.receive)
    reply.expect("text/event-stream")
    return queue.output()


def _picture(app: App, endpoint: Endpoint, output: list[JSON]) -> Steps[bytes]:
    file = next(_files(output), None)
    if file is None:
        raise ProviderProtocolError("the app's answer has no image in it")
    url = file.get("url") or f"{app.url}{endpoint.prefix}/file={quote(file['path'])}"
    if url.startswith("data:"):
        return base64.b64decode(url.partition(",")[2], validate=True)
    reply = yield app.download(url)
    return reply.expect()


def _files(value: JSON) -> Iterator[JSONMapping]:
    """Yield the file objects of an output, also those in galleries."""
    if isinstance(value, list):
        for inner in value:
            yield from _files(inner)
    elif isinstance(value, Mapping):
        if isinstance(value.get("url") or value.get("path"), str):
            yield value
        for inner in value.values():
            yield from _files(inner)


def _failure(message: JSONMapping) -> ProviderError:
    """Make the error that the last message of a job tells of."""
    output = message.get("output") or {}
    told = output.get("error") or message.get("message") or "the app names no reason"
    # Texts may be HTML; Gradio 4 puts those of gr.Error in quotation marks.
    text = TAG.sub("", str(told)).strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        text = text[1:-1]
    title = message.get("title") or output.get("title")
    searched = f"{title}: {text}"[:MAX_TEXT]
    if QUOTA.search(searched):
        return ProviderBusy(text, status=429, retry_after=_wait(searched))
    return ProviderFailed(text, status=503 if NO_GPU.search(searched) else None)


def _wait(text: str) -> float | None:
    found = AGAIN.search(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
