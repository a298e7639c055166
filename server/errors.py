"""What a client is told when its request can't be answered: a class a row."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Annotated, NotRequired, TypedDict

from attrs import frozen

from providers import (
    Phase,
    ProviderBusy,
    ProviderError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from server.json_types import Keywords, Milliseconds, ProviderId

# The refusals that mean the same at every provider: the request itself is wrong.
REQUEST_STATUSES = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class LossPayload(TypedDict):
    id: ProviderId
    phase: Annotated[Phase, Keywords(description="How far it has come.")]
    status: Annotated[int | None, Keywords(description="Its HTTP status.")]
    code: str
    message: str
    ms: Milliseconds


class ErrorPayload(TypedDict):
    message: str
    type: str
    param: str | None
    code: str | None
    providers: NotRequired[
        Annotated[
            list[LossPayload],
            Keywords(description="Why each racer is out, where nobody has won."),
        ]
    ]


# OpenAI's code for a conversation that has no room in a model's context.
CONTEXT_FULL = "context_length_exceeded"
# Characters of what may quote a client, who can send a name of 16 MB.
LONGEST = 2000


def bounded(text: str) -> str:
    """Return *text*, or the beginning of a long one."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class GatewayError(Exception):
    """
    Why a request can't be answered as it wants; only its subclasses are raised.

    *type* and *code* are OpenAI's words where it has one for the case, *param* is the
    field of the request that is to blame.
    """

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = dict(headers or {})

    @property
    def cause(self) -> str | None:
        """The code in our own words, where *code* may be an upstream's."""
        return self.code

    def payload(self) -> ErrorPayload:
        """Return the error object, as it stands under `error`."""
        return {
            "message": bounded(self.message),
            "type": self.type,
            "param": None if self.param is None else bounded(self.param),
            "code": self.code,
        }


class InvalidRequest(GatewayError):
    status: int = HTTPStatus.BAD_REQUEST
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidJSON(InvalidRequest):
    code = "invalid_json"


class TooManyRacers(InvalidRequest):
    code = "too_many_providers"


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"


class MissingCapability(InvalidRequest):
    code = "unsupported_by_provider"


class InvalidAPIKey(GatewayError):
    status = HTTPStatus.UNAUTHORIZED
    type = "invalid_request_error"
    code = "invalid_api_key"


class ProviderNotAllowed(GatewayError):
    status = HTTPStatus.FORBIDDEN
    type = "permission_error"
    code = "provider_not_allowed"


class ModelNotAllowed(ProviderNotAllowed):
    code = "model_not_allowed"


class AdminOnly(ProviderNotAllowed):
    code = "admin_only"


class HostNotAllowed(GatewayError):
    status = HTTPStatus.FORBIDDEN
    type = "permission_error"
    code = "host_not_allowed"


class OriginNotAllowed(GatewayError):
    status = HTTPStatus.FORBIDDEN
    type = "permission_error"
    code = "origin_not_allowed"


class RouteNotFound(GatewayError):
    status = HTTPStatus.NOT_FOUND
    type = "invalid_request_error"
    code = "not_found"


class ProviderNotFound(RouteNotFound):
    code = "provider_not_found"


class ModelNotFound(RouteNotFound):
    code = "model_not_found"


class KeyNotFound(RouteNotFound):
    code = "key_not_found"


class ResponseNotFound(RouteNotFound):
    code = "response_not_found"


class ItemNotFound(RouteNotFound):
    code = "item_not_found"


class MethodNotAllowed(GatewayError):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    type = "invalid_request_error"
    code = "method_not_allowed"


class KeyNameTaken(GatewayError):
    status = HTTPStatus.CONFLICT
    type = "invalid_request_error"
    code = "key_name_taken"


class LimitReached(GatewayError):
    """
    A limit of the client's key is reached. The *type* is what the limit counts, as
    OpenAI has it: `requests` or `tokens`.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limit_exceeded"


class QuotaReached(LimitReached):
    """What is allowed for a day or a month is used."""

    type = code = "insufficient_quota"


class StateUnavailable(GatewayError):
    """What machines share can't be reached, and nobody is let in without it."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "state_unavailable"


class BodyTooLarge(GatewayError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    type = "invalid_request_error"
    code = "body_too_large"


class UnsupportedEncoding(GatewayError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_encoding"


class MalformedHTTP(InvalidRequest):
    """What HTTP's own parser has refused, so that there is no request to speak of."""

    code = "invalid_http"


class ExpectationFailed(GatewayError):
    status = 417
    type = "invalid_request_error"
    code = "expectation_failed"


class RequestLineTooLong(MalformedHTTP):
    status = 414


class HeaderTooLarge(MalformedHTTP):
    status = 431


class InternalError(GatewayError):
    code = "internal_error"


class ServerStopping(GatewayError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "server_stopping"


class StorageFailed(GatewayError):
    """What is kept here can't be had, or nothing more can be kept."""

    status: int = HTTPStatus.SERVICE_UNAVAILABLE
    code = "storage_failed"


class ServerBusy(GatewayError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "server_busy"


class RequestTooSlow(GatewayError):
    """A head or a body that does not come."""

    status = HTTPStatus.REQUEST_TIMEOUT
    type = "timeout_error"
    code = "request_timeout"


class TotalTimeout(GatewayError):
    """All tries together have taken the time that one request has."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "upstream_error"
    code = "timeout"


class DeadlineExceeded(GatewayError):
    """The deadline that the client itself has set."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "timeout_error"
    code = "deadline_exceeded"


@frozen(kw_only=True)
class Loss:
    """Why a racer is out; *ms* is how long after its start that was."""

    id: str
    error: ProviderError
    ms: float

    def payload(self) -> LossPayload:
        return {
            "id": self.id,
            "phase": self.error.phase,
            "status": self.error.status,
            "code": self.error.code,
            "message": self.error.message,
            "ms": round(self.ms, 1),
        }


class NobodyWon(GatewayError):
    """
    All racers are out. What they failed of decides what the client is told.

    A refusal that all share is the request's own fault and is passed on; all busy, or
    all too slow, says so; anything else is a 502.
    """

    status: int = HTTPStatus.BAD_GATEWAY
    type = "upstream_error"
    code = "all_providers_failed"

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__("; ".join(f"{loss.id}: {loss.error}" for loss in losses))
        self.losses = losses
        # Those that were meant, too, and were not called, each with why.
        self.not_called: Sequence[tuple[str, str]] = ()
        errors = [loss.error for loss in losses]
        if shared := _shared_refusal(errors):
            self.status, self.type = shared, "invalid_request_error"
            self.code = errors[0].upstream_code or ProviderRefusedRequest.code
            if self.too_long:
                self.code = CONTEXT_FULL  # whatever each upstream calls it
            self.message = errors[0].message
        elif all(isinstance(error, ProviderBusy) for error in errors):
            self.status, self.type = HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"
            self.code = "rate_limit_exceeded"
            waits = [e.retry_after for e in errors if e.retry_after is not None]
            if waits:
                self.headers["Retry-After"] = str(max(ceil(min(waits)), 1))
        elif all(isinstance(error, ProviderTimeout) for error in errors):
            self.status, self.code = HTTPStatus.GATEWAY_TIMEOUT, "timeout"
        if not any(error.retryable for error in errors):
            self.headers["x-should-retry"] = "false"

    @property
    def too_long(self) -> bool:
        """Whether no racer's model has room for the whole chat."""
        errors = [loss.error for loss in self.losses]
        return bool(errors) and all(
            isinstance(error, ProviderRefusedRequest) and error.too_long
            for error in errors
        )

    @property
    def cause(self) -> str | None:
        if self.code == CONTEXT_FULL:
            return self.code
        refused = self.type == "invalid_request_error"
        return ProviderRefusedRequest.code if refused else self.code

    def payload(self) -> ErrorPayload:
        return {
            **super().payload(),
            "providers": [
                *(loss.payload() for loss in self.losses),
                *(_not_called(name, why) for name, why in self.not_called),
            ],
        }


def _not_called(name: str, why: str) -> LossPayload:
    return {
        "id": name,
        "phase": "connect",
        "status": None,
        "code": "not_called",
        "message": f"It was not called: {why}",
        "ms": 0.0,
    }


class StreamInterrupted(GatewayError):
    """The winner failed after its first token, when there was no way back."""

    status = HTTPStatus.BAD_GATEWAY
    type = "upstream_error"
    code = "stream_interrupted"

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"{loss.id} failed in the middle of its answer: {loss.error}")
        self.loss = loss

    def payload(self) -> ErrorPayload:
        return {**super().payload(), "providers": [self.loss.payload()]}


def _shared_refusal(errors: Sequence[ProviderError]) -> int | None:
    """Return the status with which all providers refused the request, if they did."""
    statuses = {error.status for error in errors}
    refused = all(isinstance(error, ProviderRefusedRequest) for error in errors)
    status = statuses.pop() if len(statuses) == 1 else None
    return status if refused and status in REQUEST_STATUSES else None
