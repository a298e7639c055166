"""What a client is told: one error object, and one verdict on all that failed."""

import json

import pytest

from providers.errors import (
    ProviderBusy,
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
    ProviderUnreachable,
)
from server import errors
from server.errors import GatewayError, InvalidRequest
from server.racing.errors import Loss, NobodyWon, StreamInterrupted
from server.wire.errors import error_answer

SLOW = ProviderTimeout("no token within 30 s", phase="first_token")
BROKEN = ProviderProtocolError("unreadable answer", phase="stream")
GONE = ProviderUnreachable("it hung up", phase="connect")
FAILED = ProviderFailed("overloaded", status=503)
DENIED = ProviderDenied("bad key", status=401)
QUOTA = ProviderBusy("pay", status=429, upstream_code="insufficient_quota")
CREDIT = ProviderBusy("pay", status=429, upstream_code="credit_balance_exhausted")


def refused(status: int | None, code: str | None = None) -> ProviderError:
    return ProviderRefusedRequest(f"no {status}", status=status, upstream_code=code)


def busy(wait: float | None = None) -> ProviderError:
    return ProviderBusy("slow down", status=429, retry_after=wait)


def nobody_won(*failures: ProviderError) -> NobodyWon:
    losses = [
        Loss(id=name, error=error, ms=1.26)
        for name, error in zip("ABC", failures, strict=False)
    ]
    return NobodyWon(losses)


ALL_FAILED = (502, "upstream_error", "all_providers_failed")
BUSY = (429, "rate_limit_error", "rate_limit_exceeded")
VERDICTS = [
    ([refused(400)] * 2, (400, "invalid_request_error", "request_refused")),
    ([refused(404)], (404, "invalid_request_error", "request_refused")),
    ([refused(413)] * 3, (413, "invalid_request_error", "request_refused")),
    ([refused(422, "bad")] * 2, (422, "invalid_request_error", "bad")),
    ([refused(400), refused(422)], ALL_FAILED),
    ([refused(400), FAILED], ALL_FAILED),
    ([refused(405)] * 2, ALL_FAILED),
    ([refused(None)] * 2, ALL_FAILED),
    ([busy(), busy()], BUSY),
    ([QUOTA, CREDIT], BUSY),
    ([busy(), SLOW], ALL_FAILED),
    ([SLOW] * 3, (504, "upstream_error", "timeout")),
    ([SLOW, BROKEN], ALL_FAILED),
    ([DENIED, DENIED], ALL_FAILED),
    ([FAILED, FAILED], ALL_FAILED),
    ([GONE, BROKEN, FAILED], ALL_FAILED),
]


@pytest.mark.parametrize(("failures", "expected"), VERDICTS)
def test_verdicts(
    failures: list[ProviderError], expected: tuple[int, str, str]
) -> None:
    """What all have failed of decides the status; a mixture is a 502."""
    error = nobody_won(*failures)

    assert (error.status, error.type, error.code) == expected
    assert error.payload()["type"] == expected[1]
    assert error.payload()["code"] == expected[2]


def test_a_shared_refusal_has_the_upstreams_message() -> None:
    """A request that is wrong everywhere is explained in the upstream's own words."""
    error = nobody_won(refused(400, "context_length_exceeded"), refused(400))

    assert error.message == "no 400"
    assert error.code == "context_length_exceeded"


def test_a_chat_that_is_too_long() -> None:
    """It has OpenAI's code, whatever its vendors call it, in the log as well."""
    full = ProviderRefusedRequest(
        "the request exceeds the available context size",
        status=400,
        upstream_code="exceed_context_size_error",
    )

    assert nobody_won(full, full).code == "context_length_exceeded"
    assert nobody_won(full).cause == "context_length_exceeded"


def test_what_is_logged_of_a_shared_refusal() -> None:
    """Its code may be any words of an upstream's; what is kept of it is our own."""
    assert nobody_won(refused(400, "said: my secret")).cause == "request_refused"
    assert nobody_won(SLOW).cause == "timeout"
    assert nobody_won(FAILED, SLOW).cause == "all_providers_failed"


def test_other_verdicts_have_everybodys_message() -> None:
    """Otherwise the message says of each provider what it failed of."""
    assert nobody_won(SLOW, FAILED).message == "A: no token within 30 s; B: overloaded"


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([busy(7), busy(2.4)], "3"),
        ([busy(), busy(60)], "60"),
        ([busy(0), busy(5)], "1"),
        ([busy(0.2)], "1"),
        ([busy(), busy()], None),
        ([busy(2), FAILED], None),
    ],
)
def test_retry_after(failures: list[ProviderError], expected: str | None) -> None:
    """All busy: the smallest Retry-After, in whole seconds; else none."""
    assert nobody_won(*failures).headers.get("Retry-After") == expected


@pytest.mark.parametrize(
    ("failures", "helps"),
    [
        ([refused(400)] * 2, False),
        ([refused(400), refused(422)], False),
        ([DENIED, DENIED], False),
        ([DENIED, refused(404)], False),
        ([QUOTA], False),
        ([QUOTA, CREDIT], False),
        ([QUOTA, busy()], True),
        ([DENIED, SLOW], True),
        ([busy(1)], True),
        ([SLOW], True),
        ([GONE], True),
        ([FAILED], True),
        ([BROKEN], True),
    ],
)
def test_should_retry(failures: list[ProviderError], helps: bool) -> None:
    """Clients are told not to retry what nobody will ever answer."""
    expected = None if helps else "false"

    assert nobody_won(*failures).headers.get("x-should-retry") == expected


def test_the_losses_are_told() -> None:
    """The error object has of each provider how far it came and when it was out."""
    payload = nobody_won(SLOW, FAILED).payload()

    assert set(payload) == {"message", "type", "param", "code", "providers"}
    slow, failed = payload["providers"]
    assert slow == {
        "id": "A",
        "phase": "first_token",
        "status": None,
        "code": "timeout",
        "message": "no token within 30 s",
        "ms": 1.3,
    }
    assert (failed["id"], failed["phase"], failed["status"]) == ("B", "headers", 503)


def test_a_stream_that_breaks() -> None:
    """A winner that fails in the middle is named, with OpenAI's error object around."""
    error = StreamInterrupted(Loss(id="A", error=BROKEN, ms=5.0))

    assert (error.status, error.code) == (502, "stream_interrupted")
    assert error.message == "A failed in the middle of its answer: unreadable answer"
    (loss,) = error.payload()["providers"]
    assert (loss["id"], loss["phase"]) == ("A", "stream")


def test_the_error_object() -> None:
    """Every error is OpenAI's: message, type, param and code under `error`."""
    error = InvalidRequest("'n' must be >= 1: 0.", param="n", headers={"X": "y"})

    assert json.loads(error_answer(error, "")[1]) == {
        "error": {
            "message": "'n' must be >= 1: 0.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        }
    }
    assert error.headers == {"X": "y"}
    assert str(error) == error.message


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("InvalidRequest", 400, "invalid_request"),
        ("InvalidJSON", 400, "invalid_json"),
        ("TooManyRacers", 400, "too_many_providers"),
        ("MissingCapability", 400, "unsupported_by_provider"),
        ("InvalidAPIKey", 401, "invalid_api_key"),
        ("ProviderNotAllowed", 403, "provider_not_allowed"),
        ("HostNotAllowed", 403, "host_not_allowed"),
        ("OriginNotAllowed", 403, "origin_not_allowed"),
        ("RouteNotFound", 404, "not_found"),
        ("ProviderNotFound", 404, "provider_not_found"),
        ("ModelNotFound", 404, "model_not_found"),
        ("MethodNotAllowed", 405, "method_not_allowed"),
        ("MalformedHTTP", 400, "invalid_http"),
        ("RequestLineTooLong", 414, "invalid_http"),
        ("HeaderTooLarge", 431, "invalid_http"),
        ("UnsupportedEncoding", 415, "unsupported_encoding"),
        ("ExpectationFailed", 417, "expectation_failed"),
        ("BodyTooLarge", 413, "body_too_large"),
        ("InternalError", 500, "internal_error"),
        ("ServerStopping", 503, "server_stopping"),
        ("DeadlineExceeded", 504, "deadline_exceeded"),
    ],
)
def test_the_table_of_errors(name: str, status: int, code: str) -> None:
    """Status and code of each error are what programs out there go by."""
    error: GatewayError = getattr(errors, name)("what")

    assert (error.status, error.payload()["code"]) == (status, code)
    assert error.payload()["type"].endswith("_error")


def test_what_quotes_a_client_is_bounded() -> None:
    """A name of 5 MB is not sent back whole, whatever field is to blame."""
    name = "x" * 5_000_000
    error = errors.InvalidRequest(f"There is no {name}.", param=f"a.{name}")

    assert len(error_answer(error, "")[1]) < 5000
