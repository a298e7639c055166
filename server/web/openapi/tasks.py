"""Images, speech, transcriptions and embeddings in the document."""

from providers import EmbeddingsRequest, ImageRequest, SpeechRequest
from server.json_types import JSONObject

from .records import Schema, ref, schema_of
from .selection import RACE_OPTIONS, SELECTION, raced
from .shared import (
    KEYS,
    OF_RACE,
    OF_RACES,
    TEXT,
    answer,
    body,
    errors,
    in_events,
    in_json,
)

SOUNDS = ("audio/*", "application/octet-stream")
TRANSCRIPTS = ("text/plain", "text/vtt", "application/x-subrip")
# Streams come whole, and as their provider has sent them.
PASSED_ON = in_events({"type": "object"}, "[DONE]")
BYTES: Schema = {"type": "string", "format": "binary"}
TRANSCRIPTION: Schema = {
    "type": "object",
    "properties": {
        "file": {**BYTES, "description": "The recording."},
        "model": {"type": "string", "minLength": 1},
        "language": TEXT,
        "prompt": TEXT,
        "response_format": {
            **TEXT,
            "description": "Which of the types of answers to send.",
            "examples": ["json", "text", "srt", "verbose_json", "vtt"],
        },
        "temperature": {"type": "number"},
        "provider": {**TEXT, "description": SELECTION["provider"]["description"]},
        "race": {
            "description": f"{SELECTION['race']['description']} A part of JSON.",
            **RACE_OPTIONS,
        },
    },
    "required": ["file", "model"],
}
SCHEMAS: dict[str, Schema] = {
    "ImageRequest": raced(
        schema_of(
            ImageRequest,
            {
                "size": "`WIDTHxHEIGHT` in pixels, or `auto`.",
                "width": "Goes before `size`, as does `height`.",
                "response_format": "One of this server's own, unless said otherwise.",
            },
        )
    ),
    "SpeechRequest": raced(schema_of(SpeechRequest)),
    "TranscriptionRequest": TRANSCRIPTION,
    "EmbeddingsRequest": raced(
        schema_of(EmbeddingsRequest, {"input": "Texts, or lists of token ids."})
    ),
}


def operation(
    name: str, tag: str, summary: str, request_body: JSONObject, success: JSONObject
) -> JSONObject:
    return {
        "post": {
            "operationId": name,
            "tags": [tag],
            "summary": summary,
            "security": KEYS,
            "requestBody": request_body,
            "responses": {"200": success, **errors(OF_RACE)},
        }
    }


def image_operation(name: str, summary: str) -> JSONObject:
    example = {"prompt": "a futuristic cityscape at sunset", "model": "flux"}
    return operation(
        name,
        "Images",
        summary,
        body(ref("ImageRequest"), example),
        answer("The winner's images.", in_json(ref("Images")), (*OF_RACES, "X-Stored")),
    )


PATHS: JSONObject = {
    "/images/generations": image_operation(
        "createImage", "Make images: the first bytes that really are one win"
    ),
    "/images/generate": image_operation("generateImage", "The same, by an older name"),
    "/audio/speech": operation(
        "createSpeech",
        "Audio",
        "Speak a text",
        body(
            ref("SpeechRequest"),
            {"model": "tts-1", "input": "Hello.", "voice": "alloy"},
        ),
        answer(
            "The winner's sound, as it sent it.",
            {name: {"schema": BYTES} for name in SOUNDS} | PASSED_ON,
            OF_RACES,
        ),
    ),
    "/audio/transcriptions": operation(
        "createTranscription",
        "Audio",
        "Write a recording down",
        {
            "required": True,
            "content": {"multipart/form-data": {"schema": ref("TranscriptionRequest")}},
        },
        answer(
            "The winner's text, in the format that was asked for.",
            in_json(ref("Transcription"))
            | {name: {"schema": TEXT} for name in TRANSCRIPTS}
            | PASSED_ON,
            OF_RACES,
        ),
    ),
    "/embeddings": operation(
        "createEmbeddings",
        "Embeddings",
        "Texts to vectors, in the encoding that is asked for",
        body(ref("EmbeddingsRequest"), {"model": "all-minilm", "input": "Hello."}),
        answer("The winner's vectors.", in_json(ref("Embeddings")), OF_RACES),
    ),
}
