"""The text of a call's arguments: halves of escapes, and text that is no object."""

import json

import pytest

from providers.dialects.arguments import (
    ArgumentText,
    argument_object,
    argument_text,
    object_in_text,
)

TEXTS = [
    (r'{"a":"\ud83d"}', "\ufffd"),
    (r'{"a":"\uDE00x\ud83d\n"}', "\ufffdx\ufffd\n"),
    (r'{"a":"\ud83d\ude00"}', "\U0001f600"),
    (r'{"a":"\ud83d\ud83d\ude00"}', "\ufffd\U0001f600"),
    (r'{"a":"\ud83d\u00e9"}', "\ufffdé"),
    (r'{"a":"\\ud83d"}', r"\ud83d"),
    (r'{"a":"\\\ud83d"}', "\\\ufffd"),
    (r'{"a":"\"\u0041"}', '"A'),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize(("text", "value"), TEXTS, ids=[text for text, _ in TEXTS])
def test_halves_of_escapes(text: str, value: str, size: int) -> None:
    """One that stays alone becomes U+FFFD, wherever a piece ends; pairs stay pairs."""
    notes: list[str] = []
    made = ArgumentText(notes)

    pieces = [made.add(text[i : i + size]) for i in range(0, len(text), size)]
    whole = "".join(pieces) + made.rest()

    assert json.loads(whole) == {"a": value}
    assert whole == argument_text(text, [])
    assert bool(notes) == ("\ufffd" in value)


@pytest.mark.parametrize(
    "text", [r'{"a":"\ud8', r"\ud83d", "\\", r'"\uzzzz"', r"\ud83d\u"]
)
def test_text_that_is_broken_anyway(text: str) -> None:
    """Nothing of it is held back for good."""
    made = argument_text(text, [])

    assert made.replace("\\ufffd", r"\ud83d") == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", {}),
        (" ", {}),
        ('{"a":1}', {"a": 1}),
        (r'{"a":"\ud83d"}', {"a": "\ufffd"}),
        ("[1]", {"input": "[1]"}),
        ("null", {"input": "null"}),
        ('{"a', {"input": '{"a'}),
        ("[" * 100_000, {"input": "[" * 100_000}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_objects(text: str, made: dict[str, object]) -> None:
    """Arguments that are no object are the text in one."""
    assert argument_object(text) == made
    assert (object_in_text(text) is None) == (made == {"input": text})
