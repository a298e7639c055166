"""Requests for speech, transcriptions and embeddings."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NotRequired, TypedDict

import orjson

from providers import EmbeddingsRequest, SpeechRequest, TranscriptionRequest
from server.errors import InvalidJSON, InvalidRequest
from server.json_types import JSON, Cost, JSONObject, Keywords
from server.racing.lineup import Selection

from .reading import make, read_object, take_selection

# The media type of what may be anything.
UNKNOWN = "application/octet-stream"
Path = tuple[str, ...] | None


class EmbeddingPayload(TypedDict):
    embedding: Annotated[
        list[float] | str,
        Keywords(
            description="Numbers; or base64 of 32-bit floats, the least byte first."
        ),
    ]


class EmbeddingsUsage(TypedDict):
    """As the winner has counted, with what else it says."""

    cost: NotRequired[Cost]


class EmbeddingsPayload(TypedDict):
    """The winner's answer, passed on as its dialect has put it right."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingPayload]
    usage: NotRequired[EmbeddingsUsage]


class TranscriptionPayload(TypedDict):
    """The winner's answer, passed on as it comes."""

    text: NotRequired[str]


def parse_speech(body: bytes, path: Path = None) -> tuple[SpeechRequest, Selection]:
    """Return what is to be spoken, and by whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path)
    return make({**payload, "body": payload}, SpeechRequest), selection


def parse_embeddings(
    body: bytes, path: Path = None
) -> tuple[EmbeddingsRequest, Selection]:
    """Return what is to be embedded, and by whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path)
    return make({**payload, "body": payload}, EmbeddingsRequest), selection


def with_cost(answer: bytes, cost: float | None) -> bytes:
    """
    Return embeddings whose usage, which is the last of *answer* if it counts, says what
    they *cost*, in dollars. Megabytes of numbers are not read again for that.
    """
    if cost is None or not answer.endswith(b"}}"):
        return answer
    return b'%b,"cost":%b}}' % (answer.removesuffix(b"}}"), orjson.dumps(cost))


def parse_transcription(
    fields: Iterable[tuple[str, str]],
    file: tuple[bytes, str, str] | None,
    path: Path = None,
) -> tuple[TranscriptionRequest, Selection]:
    """
    Return what is to be written down, and by whom; raises InvalidRequest.

    *fields* are a form's, *file* its recording: bytes, file name, content type.
    """
    if file is None:
        raise InvalidRequest(
            "'file' is missing: send the recording as multipart/form-data.",
            param="file",
        )
    data, filename, content_type = file
    rows = list(fields)
    for name, _ in rows:
        if not name.isascii():
            raise InvalidRequest(
                f"'{_plain(name)}' is a field that no API has; names are ASCII.",
                param=_plain(name),
            )
    form = dict(rows)
    selection = take_selection(_selecting(form), path)
    if not form.get("model"):
        raise InvalidRequest("'model' is missing.", param="model")
    request = TranscriptionRequest(
        model=form["model"],
        file=data,
        filename=_plain(filename),
        content_type=content_type if content_type.isascii() else UNKNOWN,
        fields=tuple((n, v) for n, v in rows if n not in ("model", "provider", "race")),
    )
    return request, selection


def _selecting(form: Mapping[str, str]) -> JSONObject:
    """Return the fields that say whom to ask, as a body of JSON would have them."""
    fields: JSONObject = {n: form[n] for n in ("provider", "race") if n in form}
    if "race" in fields:
        fields["race"] = _json(fields["race"])
    return fields


def _plain(text: str) -> str:
    """Return *text* with question marks in place of bytes that are not UTF-8."""
    return text.encode(errors="replace").decode()


def _json(text: str) -> JSON:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise InvalidJSON("'race' is not valid JSON.", param="race") from exc
