"""What a client is told when its request can't be answered: a class a code."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, NotRequired, TypedDict

from providers import Phase
from server.json_types import Keywords, Milliseconds, ProviderId


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


# Characters of what may quote a client, who can send a name of 16 MB.
LONGEST = 2000


def bounded(text: str) -> str:
    """Return *text*, or the beginning of a long one."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class GatewayError(Exception):
    """
    Why a request can't be answered as it wants; only what has a code is raised.

    *type* and *code* are OpenAI's words where it has one for the case, *param* is the
    field of the request that is to blame. *headers* go with the answer.
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


class InternalError(GatewayError):
    """A bug; the log has more."""

    code = "internal_error"


class InvalidRequest(GatewayError):
    """The request is wrong: a field of it, unless a subclass says what."""

    status: int = HTTPStatus.BAD_REQUEST
    type = "invalid_request_error"
    code = "invalid_request"


class InvalidJSON(InvalidRequest):
    code = "invalid_json"


class TooManyRacers(InvalidRequest):
    code = "too_many_providers"


class MissingCapability(InvalidRequest):
    code = "unsupported_by_provider"


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"


class InvalidAPIKey(InvalidRequest):
    status = HTTPStatus.UNAUTHORIZED
    code = "invalid_api_key"


class RouteNotFound(InvalidRequest):
    status = HTTPStatus.NOT_FOUND
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


class MethodNotAllowed(InvalidRequest):
    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"


class KeyNameTaken(InvalidRequest):
    status = HTTPStatus.CONFLICT
    code = "key_name_taken"


class BodyTooLarge(InvalidRequest):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


class UnsupportedEncoding(InvalidRequest):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_encoding"


class ExpectationFailed(InvalidRequest):
    status = HTTPStatus.EXPECTATION_FAILED
    code = "expectation_failed"


class MalformedHTTP(InvalidRequest):
    """What HTTP's own parser has refused, so that there is no request to speak of."""

    code = "invalid_http"


class RequestLineTooLong(MalformedHTTP):
    status = HTTPStatus.REQUEST_URI_TOO_LONG


class HeaderTooLarge(MalformedHTTP):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class Forbidden(GatewayError):
    """Something that whoever asks may not do."""

    status = HTTPStatus.FORBIDDEN
    type = "permission_error"


class ProviderNotAllowed(Forbidden):
    code = "provider_not_allowed"


class ModelNotAllowed(Forbidden):
    code = "model_not_allowed"


class AdminOnly(Forbidden):
    code = "admin_only"


class HostNotAllowed(Forbidden):
    code = "host_not_allowed"


class OriginNotAllowed(Forbidden):
    code = "origin_not_allowed"


class Unavailable(GatewayError):
    """Something that the server can't do now, and will again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class ServerStopping(Unavailable):
    code = "server_stopping"


class ServerBusy(Unavailable):
    code = "server_busy"


class StorageFailed(Unavailable):
    """What is kept here can't be had, or nothing more can be kept."""

    code = "storage_failed"


class StateUnavailable(Unavailable):
    """What machines share can't be reached, and nobody is let in without it."""

    code = "state_unavailable"


class LimitReached(GatewayError):
    """
    A limit of the client's key is reached. The *type* is what the limit counts, as
    OpenAI has it: `requests` or `tokens`; *limit* the name of its setting.
    """

    limit = ""
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limit_exceeded"


class QuotaReached(LimitReached):
    """What is allowed for a day or a month is used."""

    type = code = "insufficient_quota"


class RequestTooSlow(GatewayError):
    """A head or a body that does not come."""

    status = HTTPStatus.REQUEST_TIMEOUT
    type = "timeout_error"
    code = "request_timeout"


class DeadlineExceeded(GatewayError):
    """The deadline that the client itself has set."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    type = "timeout_error"
    code = "deadline_exceeded"


class UpstreamError(GatewayError):
    """What the providers of a request have not done."""

    status: int = HTTPStatus.BAD_GATEWAY
    type = "upstream_error"


class TotalTimeout(UpstreamError):
    """All tries together have taken the time that one request has."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "timeout"
