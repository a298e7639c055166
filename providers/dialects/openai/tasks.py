"""OpenAI's images, speech, transcriptions and embeddings, and their copies."""

import base64
import binascii
import sys
from array import array

import orjson

from providers.dialects.base import Call, written
from providers.dialects.talk import Ask, Form, Reply, Talk
from providers.dialects.upstream_errors import error_in
from providers.errors import SUCCESSFUL, ProviderFailed, ProviderProtocolError
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings
from providers.tasks import (
    MAX_IMAGES,
    Blob,
    EmbeddingsRequest,
    Image,
    ImageRequest,
    Images,
    SpeechRequest,
    TranscriptionRequest,
)

from .access import authorization
from .reading import readable_usage

AS_JSON = {"Content-Type": "application/json"}
TRANSCRIPTS = (
    "application/json",
    "application/x-",
    "text/plain",
    "text/vtt",
    "text/event-stream",
)
# Fields that are ours, or that we see to: whatever comes is turned into what was asked.
OUR_OWN = ("width", "height", "response_format", "stream", "partial_images")


def images(settings: ProviderSettings, request: ImageRequest, model: str) -> Talk:
    """Make images; those that come as URLs are fetched."""
    body: JSONObject = {
        name: value for name, value in request.body.items() if name not in OUR_OWN
    }
    body["model"] = model
    width, height = request.pixels
    if width and height:
        body["size"] = f"{width}x{height}"
    reply = yield _post(settings, "images/generations", body)
    payload = read_object(reply)
    made = []
    for row in payload["data"][:MAX_IMAGES]:
        if row.get("b64_json"):
            data = decoded(row["b64_json"])
        else:
            data = downloaded((yield fetch(row["url"])))
        made.append(Image(data=data, revised_prompt=row.get("revised_prompt")))
    if not made:
        raise ProviderProtocolError("it sent no image")
    return Images(images=tuple(made), model=str(payload.get("model") or model))


def fetch(url: str) -> Ask:
    """Ask for a file that an answer names."""
    if url.startswith("data:") or "://" not in url:
        raise ProviderProtocolError("it names an image by something that is no URL")
    return Ask(call=Call(url), method="GET", foreign=True)


def downloaded(reply: Reply) -> bytes:
    """
    Return the file that was asked for by `fetch`.

    Whoever refuses it, a URL that can't be had is the fault of who sent it.
    """
    if reply.status not in SUCCESSFUL:
        text = f"its answer names a file that can't be had (HTTP status {reply.status})"
        raise ProviderFailed(text)
    return reply.body


def speech(settings: ProviderSettings, request: SpeechRequest, model: str) -> Talk:
    """Speak a text; the answer is sound."""
    body = {**request.body, "model": model}
    reply = yield _post(settings, "audio/speech", body)
    # Octets of no named type are taken for sound; a page or an error is not.
    sound = reply.expect("audio/", "application/octet-stream", "text/event-stream")
    return Blob(data=sound, content_type=reply.content_type)


def transcription(
    settings: ProviderSettings, request: TranscriptionRequest, model: str
) -> Talk:
    """Write a recording down; the answer's type is what the client asked for."""
    form: Form = (
        ("file", request.file, request.filename, request.content_type),
        ("model", model, None, None),
        *((name, value, None, None) for name, value in request.fields),
    )
    call = Call("audio/transcriptions", headers=authorization(settings))
    reply = yield Ask(call=call, form=form)
    usage = None
    if reply.content_type.startswith("application/json"):
        usage = readable_usage(read_object(reply))
    text = reply.expect(*TRANSCRIPTS)
    return Blob(data=text, content_type=reply.content_type, usage=usage)


def embeddings(
    settings: ProviderSettings, request: EmbeddingsRequest, model: str
) -> Talk:
    """Embed texts, in the encoding that the client asked for, whichever one comes."""
    body = {**request.body, "model": model}
    payload = read_object((yield _post(settings, "embeddings", body)))
    if not payload.get("data"):
        raise ProviderProtocolError("it sent no embedding")
    encode = _as_base64 if request.encoding_format == "base64" else _as_floats
    rows = [{**row, "embedding": encode(row["embedding"])} for row in payload["data"]]
    told = {**payload, "object": "list", "model": payload.get("model") or model}
    told["data"] = rows
    if usage := readable_usage(payload):
        told["usage"] = told.pop("usage")  # the last, for whoever adds to it
    data = orjson.dumps(told)
    return Blob(data=data, content_type="application/json", usage=usage)


def _as_base64(vector: JSON) -> str:
    """Return a vector as OpenAI encodes it: 32-bit floats, the least byte first."""
    if isinstance(vector, str):
        return vector
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()


def _as_floats(vector: JSON) -> list[float]:
    if isinstance(vector, list):
        return vector
    floats = array("f", base64.b64decode(vector, validate=True))
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def _post(settings: ProviderSettings, path: str, body: JSONMapping) -> Ask:
    headers = AS_JSON | authorization(settings)
    return Ask(call=Call(path, written(body), headers))


def read_object(reply: Reply) -> JSONObject:
    """Return the JSON object of a reply; raises ProviderError if it is an error's."""
    body = reply.expect()
    payload = orjson.loads(body)
    if not isinstance(payload, dict):
        raise ProviderProtocolError("it sent no JSON object")
    if "data" not in payload and "text" not in payload and (error := error_in(payload)):
        raise error
    return payload


def decoded(data: str) -> bytes:
    """Return the image that a base64 text, or a data: URL, is."""
    try:
        return base64.b64decode(data.rpartition(",")[2], validate=True)
    except binascii.Error as exc:
        raise ProviderProtocolError("an image is not valid base64") from exc
