"""The frames of server-sent events: how they are encoded, and cut around a text."""

import uuid
from collections.abc import Mapping

import orjson

# The last frame of a stream of OpenAI's older APIs.
DONE = b"data: [DONE]\n\n"
# Stands for a text in a frame that is to be cut there: no id or model contains it.
PLACEHOLDER = f"text-{uuid.uuid4().hex}"
TEXT_MARK = orjson.dumps(PLACEHOLDER)


def data_frame(payload: Mapping[str, object]) -> bytes:
    """Return the frame of an event without a name, as OpenAI's older APIs have them."""
    return b"data: %b\n\n" % orjson.dumps(payload)


def event_frame(name: str, data: bytes) -> bytes:
    """Return the frame of an event with a name; *data* is JSON in one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def cut(frame: bytes, *marks: bytes) -> list[bytes]:
    """
    Return the pieces of *frame* around *marks*, which are in it in this order.

    Most events of an answer differ in their text alone: one of them is encoded, and
    the others are the same bytes around other texts.
    """
    pieces = []
    rest = frame
    for mark in marks:
        before, rest = rest.split(mark, 1)
        pieces.append(before)
    return [*pieces, rest]
