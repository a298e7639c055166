"""What a dialect is: one wire format, pure, one instance a call."""

from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from attrs import field, frozen

from providers.chat import ChatRequest, Chunk
from providers.errors import ProviderError, error_class
from providers.settings import ProviderSettings

MAX_MESSAGE = 1000


@frozen
class Call:
    """An HTTP request to an upstream; *path* is relative to its base URL."""

    path: str
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)


class Dialect(Protocol):
    """
    One call's translator: the request to bytes, the answer's bytes to chunks.

    Besides ProviderError, *receive* and *end* may raise what Python raises for data
    of an unexpected shape (ValueError, TypeError, KeyError, AttributeError): whoever
    drives the dialect takes that as a frame that can't be parsed.
    """

    def __init__(self, settings: ProviderSettings) -> None: ...

    @property
    def done(self) -> bool:
        """Whether the answer's last event has come: nothing more need be read."""
        ...

    @property
    def finished(self) -> bool:
        """Whether all that the answer must have is there, so that an end is an end."""
        ...

    def encode(self, request: ChatRequest, model: str) -> Call: ...

    def receive(self, received: bytes) -> list[Chunk]: ...

    def end(self) -> list[Chunk]:
        """Return what the end of the body completes; raise if the answer is cut."""
        ...

    def list_models(self) -> Call: ...

    def read_models(self, body: bytes) -> tuple[str, ...]: ...


def read_error(status: int, body: bytes) -> ProviderError:
    """
    Make the error that an upstream's answer with an error *status* stands for.

    Vendors put it in `{"error": {...}}`, in a list of one, as plain text, as
    `{"message"}` or `{"detail"}`, or send a page of HTML.
    """
    try:
        found = error_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        found = None
    if found is None:
        return error_class(status)(_plain(status, body), status=status)
    return error_class(status)(
        found.message, status=status, upstream_code=found.upstream_code
    )


def error_in(payload: Any) -> ProviderError | None:
    """Return the error that a JSON value from an upstream carries, if it does."""
    if isinstance(payload, list):
        return error_in(payload[0]) if payload else None
    if not isinstance(payload, Mapping):
        return None
    error: Any = payload.get("error")
    if not error and (payload.get("object") == "error" or "choices" not in payload):
        error = payload if _message(payload) else None
    if not error:
        return None
    if not isinstance(error, Mapping):
        return error_class(_status(payload))(str(error)[:MAX_MESSAGE])
    status = _status(error) or _status(payload)
    code = error.get("code") or error.get("type")
    return error_class(status)(
        _message(error) or "the upstream names no reason",
        status=status,
        upstream_code=None if code is None else str(code),
    )


def _message(error: Mapping[str, Any]) -> str:
    for name in ("message", "detail", "errors"):
        if error.get(name):
            return str(error[name])[:MAX_MESSAGE]
    return ""


def _status(error: Mapping[str, Any]) -> int | None:
    """Find an HTTP status where vendors repeat it: in `code` or `status_code`."""
    for name in ("status_code", "code", "status"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004 - HTTP errors
            return value
    return None


def _plain(status: int, body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if not text or text.startswith("<"):
        kind = "a page of HTML" if text else "no explanation"
        return f"HTTP status {status} with {kind}"
    return f"HTTP status {status}: {text[:MAX_MESSAGE]}"
