"""The errors that upstreams tell of, wherever they put the words that say why."""

import re
from collections.abc import Mapping

import orjson

from providers.errors import ERRONEOUS, ProviderDenied, ProviderError, error_class
from providers.json_types import JSON, JSONMapping

# Google's words for a 400 that is not the request's fault: a bad key, an account
# without billing, a region that is not served.
DENIALS = frozenset({"API_KEY_INVALID", "FAILED_PRECONDITION"})
DURATION = re.compile(r"(\d{1,9}(?:\.\d+)?)s", re.ASCII)
# A day's quota is back at midnight, wherever that is: ask every hour.
DAILY_QUOTA = 3600.0
# Where vendors say why something failed.
REASONS = ("message", "error", "detail", "errors", "msg", "error_msg")


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


def error_in(payload: JSON, status: int | None = None) -> ProviderError | None:
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
    error: JSON = _error_object(payload) if isinstance(payload, Mapping) else None
    return _made(error, payload, status) if error else None


def _error_object(payload: JSONMapping) -> JSON:
    return payload.get("error") or (payload if _message(payload) else None)


def _made(error: JSON, payload: JSONMapping, status: int | None) -> ProviderError:
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


def _code(error: JSONMapping) -> str | None:
    """Return a vendor's own word; Google's `code` but repeats the HTTP status."""
    for detail in _details(error):
        if (reason := str(detail.get("reason"))) in DENIALS:
            return reason
    code, status = error.get("code"), error.get("status")
    if isinstance(code, int) and isinstance(status, str) and not status.isdecimal():
        return status
    code = code or error.get("type")
    return None if code is None else str(code)


def _retry_after(error: JSONMapping) -> float | None:
    """Return the seconds to wait that Google's RetryInfo and QuotaFailure speak of."""
    waits = [_seconds(each.get("retryDelay")) for each in _details(error)]
    if any("PerDay" in str(each.get("violations")) for each in _details(error)):
        waits.append(DAILY_QUOTA)
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(duration: JSON) -> float | None:
    """Read a duration as protocol buffers have it in JSON: "34.5s"."""
    found = DURATION.fullmatch(duration) if isinstance(duration, str) else None
    return float(found[1]) if found else None


def _details(error: JSONMapping) -> list[JSONMapping]:
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [each for each in details if isinstance(each, Mapping)]


def _message(error: JSONMapping) -> str:
    """Return the words that say why, with those that a gateway has put beside them."""
    said = [_words(error.get(name)) for name in REASONS]
    said.append(_words(_object(error.get("base_resp")).get("status_msg")))
    message = next(filter(None, said), "")
    raw = _inner(_object(error.get("metadata")).get("raw"))
    for more in (raw, _words(error.get("failed_generation"))):
        if message and more and more not in message:
            message = f"{message}: {more}"
    return message


def _words(value: JSON) -> str:
    """Return the words of a text, an object with a message, or a list of these."""
    if isinstance(value, Mapping):
        said = _message(value) or _words(value.get("text"))
        return said or (str(value) if value else "")
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value)))
    return str(value) if value else ""


def _inner(raw: JSON) -> str:
    """Return a text, or the message of the JSON text that it is."""
    if isinstance(raw, str) and raw.lstrip().startswith(("{", "[")):
        try:
            return _words(orjson.loads(raw))
        except orjson.JSONDecodeError:
            return raw
    return _words(raw)


def _object(value: JSON) -> JSONMapping:
    return value if isinstance(value, Mapping) else {}


def _succeeded(payload: JSONMapping) -> bool:
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


def _status(error: JSONMapping) -> int | None:
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
