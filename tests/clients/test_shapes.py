"""What is kept of clients' requests."""

from collections.abc import Iterator
from typing import Any

import pytest

from .recorded_requests import recorded
from .sessions import every_job
from .shapes import filled, shape

LONG = "Be brief, and say what you do before you do it."
PICTURE = "data:image/png;base64,iVBORw0KGgo="
CASES = [
    ("exec_command", "exec_command"),
    (LONG, {"$text": len(LONG)}),
    ("x" * 50, {"$word": 50}),
    (PICTURE, {"$picture": "image/png"}),
    ('{"user_id": "abc"}', {"$json": {"user_id": "abc"}}),
    ("{no JSON", "{no JSON"),
    ("/tmp/somewhere", {"$word": 14}),
    ("msg_01a22313-6cc2-79e2-988e-acd0f2d94077", {"$uuid": 40}),
    ({"/tmp/somewhere": [1, None, True]}, {"a-folder": [1, None, True]}),
]


@pytest.mark.parametrize(("said", "kept"), CASES)
def test_shape(said: Any, kept: Any) -> None:
    """What is long, or somebody's own, is told by its kind and length."""
    assert shape(said) == kept


def test_filled() -> None:
    """What a shape is filled with has the same shape, in an object as in a list."""
    said = {f"field_{i}": [value] for i, (value, _) in enumerate(CASES[:-3])}
    assert shape(filled(shape(said))) == shape(said)


def test_nothing_but_shapes() -> None:
    """What is kept has no sentence in it but the tests' own, and no folder."""
    for job in every_job():
        for each in recorded(job.name):
            for text in strings(each):
                assert len(text) <= 80, text
                assert not text.startswith(("/tmp/", "/home/", "/root/")), text


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
