"""Why a provider is out of a race, cut by whose fault it is and what can be done.

Messages are for clients: they carry no secret, no address of ours, no prompt.
"""

import errno
import re
from http import HTTPStatus
from typing import Any, ClassVar, Literal, TypeVar

from .http.masking import Secrets

MAX_MESSAGE = 1000
E = TypeVar("E", bound="ProviderError")
# The words of OpenAI and its copies, llama.cpp, Anthropic and Gemini for it.
TOO_LONG = re.compile(
    r"context[ _](length|size|window)|prompt is too long|input token count .*exceeds",
    re.IGNORECASE,
)
# The statuses that HTTP calls successful, and those of errors.
SUCCESSFUL = range(200, 300)
ERRONEOUS = range(400, 600)
Phase = Literal["connect", "headers", "first_token", "stream"]


class ProviderError(Exception):
    """
    A provider failed; never raised itself.

    *status* is the upstream's HTTP status, *code* its own word for the failure,
    *retry_after* the seconds it asked to be left alone, *phase* how far the call was.
    """

    code: ClassVar[str]
    # Whether the same request may succeed later.
    retryable = True
    # Whether it is the request's fault, and the provider is none the worse for it.
    blames_request: ClassVar[bool] = False
    # Whether it was never called, for a reason that is ours or the client's.
    ours = False

    def __init__(
        self,
        message: str,
        *,
        phase: Phase = "headers",
        status: int | None = None,
        upstream_code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase: Phase = phase
        self.status = status
        self.upstream_code = upstream_code
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message

    def clean(self, secrets: Secrets) -> None:
        """
        Take *secrets* out of all that it says: upstreams do echo keys. Its length is
        bounded only then, so that no part of a secret is left over.
        """
        self.message = secrets.masked(self.message)
        if self.upstream_code is not None:
            self.upstream_code = secrets.masked(self.upstream_code)
        self.message = self.message[:MAX_MESSAGE]
        self.args = (self.message,)


class ProviderUnreachable(ProviderError):
    """No connection, or one that broke: refused, reset, no such host, bad TLS."""

    code = "unreachable"


class ProviderTimeout(ProviderError):
    """It was too slow: to connect, to its first token, or between two events."""

    code = "timeout"


class ProviderRefusedRequest(ProviderError):
    """It says that the request itself is wrong (400, 404, 413, 422)."""

    code = "request_refused"
    retryable = False
    blames_request = True

    @property
    def too_long(self) -> bool:
        """Whether it says that the chat has no room in the model's context."""
        return TOO_LONG.search(f"{self.upstream_code} {self.message}") is not None


class ProviderDenied(ProviderError):
    """It does not accept our key, or the key's account has no means (401, 402, 403)."""

    code = "denied"
    retryable = False


class ProviderBusy(ProviderError):
    """It has too much to do, or we asked too often (429)."""

    code = "rate_limited"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.retryable = self.upstream_code not in SPENT


class ProviderFailed(ProviderError):
    """It failed by its own word: a 5xx, an error object, an error frame."""

    code = "upstream_error"


class ProviderProtocolError(ProviderError):
    """It sent what can't be understood, or ended before it had said anything."""

    code = "bad_response"


# 429s of OpenAI's that no waiting ends: the account's means are spent.
SPENT = frozenset({"insufficient_quota", "credit_balance_exhausted"})
# What we lack when the system opens no more files, connections among them.
LACKS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
DENIALS = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}
)


def error_class(status: int | None) -> type[ProviderError]:
    """Return the class of error that an upstream's HTTP *status* stands for."""
    if status is None:
        return ProviderFailed
    if status in REFUSALS:
        return ProviderRefusedRequest
    if status in DENIALS:
        return ProviderDenied
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderBusy
    return ProviderFailed


def not_called(error: E) -> E:
    """Return *error* as one for which the provider was never called."""
    error.ours = True
    return error
