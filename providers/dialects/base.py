"""What a dialect is: one wire format, pure, one instance a call."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import orjson
from attrs import Factory, field, frozen

from providers.chat import ChatPiece, ChatRequest
from providers.errors import (
    ERRONEOUS,
    ProviderDenied,
    ProviderError,
    error_class,
)
from providers.settings import ProviderSettings

from .translation import refused

# What a dialect raises when it meets data of a shape that it does not know.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
# Google's words for a 400 that is not the request's fault: a bad key, an account
# without billing, a region that is not served.
DENIALS = frozenset({"API_KEY_INVALID", "FAILED_PRECONDITION"})
Made = TypeVar("Made")
DURATION = re.compile(r"(\d{1,9}(?:\.\d+)?)s", re.ASCII)
# A day's quota is back at midnight, wherever that is: ask every hour.
DAILY_QUOTA = 3600.0

# Where vendors say why something failed.
REASONS = ("message", "error", "detail", "errors", "msg", "error_msg")


@frozen
class Call:
    """An HTTP request to an upstream; *path* is relative to its base URL."""

    path: str
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)


def written(body: Any) -> bytes:
    """
    Return what an upstream is sent, as JSON.

    Raises ProviderRefusedRequest for what is nested more deeply than it can be written:
    254 levels, and four times as many can be read.
    """
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as exc:
        raise refused(f"the request can't be written as JSON: {exc}") from exc


def noted(make: Callable[[list[str]], Made]) -> Made:
    """Return a dialect's attribute that is made of its notes, and adds to them."""
    of_notes = Factory(lambda dialect: make(dialect.notes), takes_self=True)
    made: Made = field(default=of_notes, init=False)
    return made


class Dialect(Protocol):
    """
    One call's translator: the request to bytes, the answer's bytes to chunks.

    Besides ProviderError, *receive* and *end* may raise what Python raises for data
    of an unexpected shape (ValueError, TypeError, KeyError, AttributeError): whoever
    drives the dialect takes that as a frame that can't be parsed. The chunks that they
    yield before stand.
    """

    def __init__(self, settings: ProviderSettings) -> None: ...

    # Whether the answer's last event has come: nothing more need be read.
    done: bool
    # What was put right, in the request or in the answer; for the race's story.
    notes: list[str]
    # What of the request was not sent, as clients are told: "tools.web_search".
    dropped: list[str]

    @property
    def finished(self) -> bool:
        """Whether all that the answer must have is there, so that an end is an end."""
        ...

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why it ended."""
        ...

    def encode(self, request: ChatRequest, model: str) -> Call: ...

    def receive(self, received: bytes) -> Iterable[ChatPiece]: ...

    def end(self) -> Iterable[ChatPiece]:
        """Yield what the end of the body completes; raise if the answer is cut."""
        ...

    def list_models(self) -> Call: ...

    def read_models(self, body: bytes) -> tuple[str, ...]: ...


class WholeDialect(Dialect, Protocol):
    """A dialect whose answers may also be asked for in one piece."""

    def encode_whole(self, request: ChatRequest, model: str) -> Call: ...

    def read_whole(self, body: bytes) -> Iterable[ChatPiece]:
        """Yield what is in the body of an answer; raise as *receive* and *end* do."""
        ...


def read_error(status: int, body: bytes) -> ProviderError:
    """
    Make the error that an upstream's answer with an error *status* stands for.

    Vendors put it in `{"error": {...}}`, in a list of one, as plain text, as
    `{"message"}` or `{"detail"}`, or send a page of HTML.
    """
    try:
        found = error_in(orjson.loads(body), status)
    except orjson.JSONDecodeError:
        found = None
    return found or error_class(status)(_plain(status, body), status=status)


def error_in(payload: Any, status: int | None = None) -> ProviderError | None:
    """
    Return the error that a JSON value from an upstream carries, if it does.

    *status* is the one that the answer has, unless it is an answer in good order.
    """
    if (
        type(payload) is dict
        and not payload.get("error")
        and (payload.get("choices") is not None or _succeeded(payload))
    ):
        return None  # nearly all
    if isinstance(payload, list):
        return error_in(payload[0], status) if payload else None
    error: Any = _error_object(payload) if isinstance(payload, Mapping) else None
    return _made(error, payload, status) if error else None


def _error_object(payload: Mapping[str, Any]) -> Any:
    return payload.get("error") or (payload if _message(payload) else None)


def _made(error: Any, payload: Mapping[str, Any], status: int | None) -> ProviderError:
    """Make the error that *error* stands for, a part of *payload*."""
    if not isinstance(error, Mapping):
        message = _words(error) or "the upstream names no reason"
        return error_class(status or _status(payload))(message, status=status)
    status = status or _status(error) or _status(payload)
    code = _code(error)
    made = ProviderDenied if code in DENIALS else error_class(status)
    return made(
        _message(error) or "the upstream names no reason",
        status=status,
        upstream_code=code,
        retry_after=_retry_after(error),
    )


def _code(error: Mapping[str, Any]) -> str | None:
    """Return a vendor's own word; Google's `code` but repeats the HTTP status."""
    for detail in _details(error):
        if (reason := str(detail.get("reason"))) in DENIALS:
            return reason
    code, status = error.get("code"), error.get("status")
    if isinstance(code, int) and isinstance(status, str) and not status.isdecimal():
        return status
    code = code or error.get("type")
    return None if code is None else str(code)


def _retry_after(error: Mapping[str, Any]) -> float | None:
    """Return the seconds to wait that Google's RetryInfo and QuotaFailure speak of."""
    waits = [_seconds(each.get("retryDelay")) for each in _details(error)]
    if any("PerDay" in str(each.get("violations")) for each in _details(error)):
        waits.append(DAILY_QUOTA)
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(duration: Any) -> float | None:
    """Read a duration as protocol buffers have it in JSON: "34.5s"."""
    found = DURATION.fullmatch(duration) if isinstance(duration, str) else None
    return float(found[1]) if found else None


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [each for each in details if isinstance(each, Mapping)]


def _message(error: Mapping[str, Any]) -> str:
    """Return the words that say why, with those that a gateway has put beside them."""
    said = [_words(error.get(name)) for name in REASONS]
    said.append(_words(_object(error.get("base_resp")).get("status_msg")))
    message = next(filter(None, said), "")
    raw = _inner(_object(error.get("metadata")).get("raw"))
    for more in (raw, _words(error.get("failed_generation"))):
        if message and more and more not in message:
            message = f"{message}: {more}"
    return message


def _words(value: Any) -> str:
    """Return the words of a text, an object with a message, or a list of these."""
    if isinstance(value, Mapping):
        said = _message(value) or _words(value.get("text"))
        return said or (str(value) if value else "")
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value)))
    return str(value) if value else ""


def _inner(raw: Any) -> str:
    """Return a text, or the message of the JSON text that it is."""
    if isinstance(raw, str) and raw.lstrip().startswith(("{", "[")):
        try:
            return _words(orjson.loads(raw))
        except orjson.JSONDecodeError:
            return raw
    return _words(raw)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _succeeded(payload: Mapping[str, Any]) -> bool:
    """Whether what has no error says that all went well, as some vendors do."""
    if payload.get("success") is True:
        return True
    if payload.get("success") is False:
        return False
    codes = (
        _object(payload.get("base_resp")).get("status_code"),
        payload.get("code"),
    )
    return any(str(code) in ("0", "200") for code in codes)


def _status(error: Mapping[str, Any]) -> int | None:
    """Find an HTTP status where vendors repeat it: in `code` or `status_code`."""
    for name in ("status_code", "code", "status"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and value in ERRONEOUS:
            return value
    return None


def _plain(status: int, body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if not text or text.startswith("<"):
        kind = "a page of HTML" if text else "no explanation"
        return f"HTTP status {status} with {kind}"
    return f"HTTP status {status}: {text}"
