"""An upstream's failures, told by whose fault they are and what can be done."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from providers import ProviderBusy, ProviderError, ProviderRefusedRequest
from providers.dialects import read_error
from providers.errors import ProviderDenied, ProviderFailed
from providers.http.masking import Secrets
from providers.http.reading import retry_after

ERROR = {"message": "No", "type": "a_type", "param": None, "code": "a_code"}


@pytest.mark.parametrize(
    ("status", "body", "error", "message", "code"),
    [
        (400, {"error": ERROR}, ProviderRefusedRequest, "No", "a_code"),
        (401, {"error": {"message": "No", "type": "t"}}, ProviderDenied, "No", "t"),
        (402, {"error": {"message": "No"}}, ProviderDenied, "No", None),
        (403, {"message": "No"}, ProviderDenied, "No", None),
        (404, {"error": "No"}, ProviderRefusedRequest, "No", None),
        (413, {"detail": "No"}, ProviderRefusedRequest, "No", None),
        (422, {"detail": [{"loc": ["n"]}]}, ProviderRefusedRequest, "'loc'", None),
        (429, {"error": {"code": 429, "message": "No"}}, ProviderBusy, "No", "429"),
        (500, {"object": "error", "message": "No"}, ProviderFailed, "No", None),
        (503, [{"error": {"message": "No"}}], ProviderFailed, "No", None),
        (503, {"error": {"code": 7}}, ProviderFailed, "names no reason", "7"),
        (502, "<html>No</html>", ProviderFailed, "502 with a page of HTML", None),
        (502, "", ProviderFailed, "502 with no explanation", None),
        (504, "Gateway timed out\n", ProviderFailed, "Gateway timed out", None),
        (529, "Site is overloaded", ProviderFailed, "Site is overloaded", None),
        (400, {"error": {"code": "1" * 5000}}, ProviderRefusedRequest, "", "1" * 5000),
        (400, {"error": {"message": {"a": 1}}}, ProviderRefusedRequest, "'a'", None),
        (400, {}, ProviderRefusedRequest, "{}", None),
        (400, [], ProviderRefusedRequest, "[]", None),
        (418, "\ud800", ProviderFailed, "\N{REPLACEMENT CHARACTER}", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_read_error(
    status: int, body: Any, error: type[ProviderError], message: str, code: str | None
) -> None:
    """An error is of its status's class, and has the upstream's own words."""
    text = body if isinstance(body, str) else json.dumps(body)
    found = read_error(status, text.encode("utf-8", "surrogatepass"))
    found.clean(Secrets(()))

    assert type(found) is error
    assert message in found.message
    assert (found.status, found.upstream_code) == (status, code)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (429, "rate_limit_exceeded", True),
        (429, "insufficient_quota", False),
        (429, "credit_balance_exhausted", False),
        (503, "server_is_overloaded", True),
        (400, "invalid_value", False),
        (401, "invalid_api_key", False),
    ],
)
def test_retryable(status: int, code: str, retryable: bool) -> None:
    """It is known whether the same request may succeed later."""
    body = json.dumps({"error": {"message": "No", "code": code}}).encode()

    assert read_error(status, body).retryable is retryable


SECONDS = {
    "none": ({}, None),
    "seconds": ({"Retry-After": "7"}, 7.0),
    "with a fraction": ({"Retry-After": "1.5"}, 1.5),
    "milliseconds": ({"retry-after-ms": "250"}, 0.25),
    "milliseconds first": ({"Retry-After-Ms": "250", "Retry-After": "7"}, 0.25),
    "bad milliseconds": ({"Retry-After-Ms": "soon", "Retry-After": "7"}, 7.0),
    "a date gone by": ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
    "negative": ({"Retry-After": "-7"}, None),
    "negative milliseconds": ({"Retry-After-Ms": "-7"}, 0.0),
    "a word": ({"Retry-After": "soon"}, None),
    "empty": ({"Retry-After": ""}, None),
    "not a number": ({"Retry-After-Ms": "nan"}, None),
    "infinite": ({"Retry-After-Ms": "inf"}, None),
    "digits without end": ({"Retry-After": "9" * 400}, None),
    "no such year": ({"Retry-After": f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT"}, None),
    "no such zone": ({"Retry-After": f"Fri, 01 Jan 2027 00:00:00 +{'9' * 13}"}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), SECONDS.values(), ids=SECONDS)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """A wait is a number of seconds that can be waited, or there is none."""
    assert retry_after(CIMultiDict(headers)) == seconds


def test_retry_after_date() -> None:
    """A date to come is the seconds until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert retry_after({"Retry-After": date}) == pytest.approx(90, abs=5)
