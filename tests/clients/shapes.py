"""Requests as shapes: what a client sends, without its prompts; and back again."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from .recording import Asked

# Strings up to so many characters are names and words of the API; longer ones, and
# whole sentences, are prompts. Those are kept as objects with one of these keys.
SHORT = 40
SENTENCE = 24
TEXT, WORD, UUID, JSON, PICTURE = "$text", "$word", "$uuid", "$json", "$picture"
UUID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PICTURE_PATTERN = re.compile(r"data:(image/\w+);base64,")
# A PNG of one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
# Who asks whom, and how long it is, is the next sender's own.
NOT_KEPT = {"authorization", "connection", "content-length", "host", "x-api-key"}
Shape = dict[str, Any]


def request_shape(asked: Asked) -> Shape:
    """Return *asked* without its prompts, as JSON."""
    headers = {k: v for k, v in asked.headers.items() if k not in NOT_KEPT}
    return {
        "method": asked.method,
        "path": asked.path,
        "headers": shape(headers),
        "body": shape(json.loads(asked.body)) if asked.body else None,
    }


def shape(value: Any) -> Any:
    """Return parsed JSON with everything that is said in it told by its length."""
    if isinstance(value, Mapping):
        return {_key(key): shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return _string(value) if isinstance(value, str) else value


def _key(key: str) -> str:
    """Return *key*, unless it is a path on the machine where the client ran."""
    return "a-folder" if key.startswith("/") else key


def _string(text: str) -> Any:
    if text.startswith(("{", "[")) and (parsed := _parsed(text)) is not None:
        return {JSON: shape(parsed)}
    if found := PICTURE_PATTERN.match(text):
        return {PICTURE: found[1]}
    if UUID_PATTERN.search(text) and len(text) <= SHORT:
        return {UUID: len(text)}
    blank = any(character.isspace() for character in text)
    if text.startswith("/") or len(text) > (SENTENCE if blank else SHORT):
        return {TEXT if blank else WORD: len(text)}
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def filled(value: Any) -> Any:
    """Return *value* with something in each place whose words were not kept."""
    if isinstance(value, list):
        return [filled(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(kind, of)] = value.items()
        if kind in FILLINGS:
            return FILLINGS[kind](of)
    return {key: filled(each) for key, each in value.items()}


FILLINGS: dict[str, Callable[[Any], str]] = {
    TEXT: lambda length: ("word " * length)[:length].rstrip().ljust(length, "."),
    WORD: lambda length: "x" * length,
    UUID: lambda length: str(uuid4()).rjust(length, "x"),
    JSON: lambda parsed: json.dumps(filled(parsed)),
    PICTURE: lambda kind: f"data:{kind};base64,{PIXEL}",
}
