"""What a client is told of a race that has no winner, or a winner that failed."""

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil

from attrs import frozen

from providers import (
    ProviderBusy,
    ProviderError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from server.errors import ErrorPayload, InvalidRequest, LossPayload, UpstreamError

# The refusals that mean the same at every provider: the request itself is wrong.
REQUEST_STATUSES = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


# OpenAI's code for a conversation that has no room in a model's context.
CONTEXT_FULL = "context_length_exceeded"


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


class NobodyWon(UpstreamError):
    """
    All racers are out. What they failed of decides what the client is told.

    A refusal that all share is the request's own fault and is passed on; all busy, or
    all too slow, says so; anything else is a 502.
    """

    code = "all_providers_failed"

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__("; ".join(f"{loss.id}: {loss.error}" for loss in losses))
        self.losses = losses
        # Those that were meant, too, and were not called, each with why.
        self.not_called: Sequence[tuple[str, str]] = ()
        errors = [loss.error for loss in losses]
        if shared := _shared_refusal(errors):
            self._refuse(shared, errors[0])
        elif all(isinstance(error, ProviderBusy) for error in errors):
            self._ask_for_patience(errors)
        elif all(isinstance(error, ProviderTimeout) for error in errors):
            self.status, self.code = HTTPStatus.GATEWAY_TIMEOUT, "timeout"
        if not any(error.retryable for error in errors):
            self.headers["x-should-retry"] = "false"

    def _refuse(self, status: HTTPStatus, error: ProviderError) -> None:
        """Pass on the refusal that all share, in the words of the first."""
        self.status, self.type = status, InvalidRequest.type
        self.code = error.upstream_code or ProviderRefusedRequest.code
        if self.too_long:
            self.code = CONTEXT_FULL  # whatever each upstream calls it
        self.message = error.message

    def _ask_for_patience(self, errors: Sequence[ProviderError]) -> None:
        """Say that all are busy, and until when, if one of them has said that."""
        self.status, self.type = HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"
        self.code = "rate_limit_exceeded"
        waits = [e.retry_after for e in errors if e.retry_after is not None]
        if waits:
            self.headers["Retry-After"] = str(max(ceil(min(waits)), 1))

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
        refused = self.type == InvalidRequest.type
        return ProviderRefusedRequest.code if refused else self.code

    def payload(self) -> ErrorPayload:
        return {
            **super().payload(),
            "providers": [
                *(loss.payload() for loss in self.losses),
                *(_not_called(name, why) for name, why in self.not_called),
            ],
        }


class StreamInterrupted(UpstreamError):
    """The winner failed after its first token, when there was no way back."""

    code = "stream_interrupted"

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"{loss.id} failed in the middle of its answer: {loss.error}")
        self.loss = loss

    def payload(self) -> ErrorPayload:
        return {**super().payload(), "providers": [self.loss.payload()]}


def _shared_refusal(errors: Sequence[ProviderError]) -> HTTPStatus | None:
    """Return the status with which all providers refused the request, if they did."""
    statuses = {error.status for error in errors}
    refused = all(isinstance(error, ProviderRefusedRequest) for error in errors)
    status = statuses.pop() if len(statuses) == 1 else None
    if not refused or status not in REQUEST_STATUSES:
        return None
    return HTTPStatus(status)


def _not_called(name: str, why: str) -> LossPayload:
    return {
        "id": name,
        "phase": "connect",
        "status": None,
        "code": "not_called",
        "message": f"It was not called: {why}",
        "ms": 0.0,
    }
