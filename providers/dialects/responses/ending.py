"""How an answer ends: its reason, its usage, or what has gone wrong."""

import re
from collections.abc import Mapping

from providers.chat import NOTHING, FinishReason, Usage
from providers.dialects.upstream_errors import error_in
from providers.errors import ProviderError, ProviderFailed, error_class
from providers.json_types import JSON, JSONMapping

REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
FAILED = ("failed", "cancelled")
# The HTTP statuses that failures have when they come before the stream. What is
# not listed, and is no policy's or image's, is the upstream's own fault.
STATUS = {
    "authentication_error": 401,
    "context_length_exceeded": 400,
    "data_residency_mismatch": 400,
    "failed_to_download_image": 400,
    "insufficient_quota": 402,
    "invalid_api_key": 401,
    "invalid_encrypted_content": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 503,
    "server_is_overloaded": 503,
    "slow_down": 429,
    "usage_not_included": 402,
}
REFUSED = 400
INPUT = re.compile(r"policy|image|base64")
WAIT = re.compile(r"try again in (\d{1,6}(?:\.\d+)?) ?(ms|s)\b", re.IGNORECASE)
DETAILS = {
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}


def finish_reason(name: str, response: JSONMapping, *, calls: bool) -> FinishReason:
    """
    Return why an answer has ended; *name* is what its last event says of it, *calls*
    whether it calls a tool of the client's.

    Some copies send the event of a completed response for one that is not.
    """
    status = response.get("status") or name
    why = (response.get("incomplete_details") or NOTHING).get("reason")
    if status == "incomplete" or why:
        return REASONS.get(why or "", "length")
    return "tool_calls" if calls else "stop"


def usage_of(counts: JSONMapping) -> Usage:
    """Return a response's usage by the names that a chat's has."""
    prompt = counts.get("input_tokens") or 0
    completion = counts.get("output_tokens") or 0
    extra = {
        ours: {name: count for name, count in details.items() if count is not None}
        for ours, theirs in DETAILS.items()
        if (details := counts.get(theirs))
    }
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=counts.get("total_tokens") or prompt + completion,
        extra=extra or NOTHING,
    )


def failure(event: JSONMapping) -> ProviderError:
    """
    Return the error that an event tells of: `error`, flat or with an object in it, a
    response that has failed, or what an API of another shape would send.
    """
    response = event.get("response") or NOTHING
    error = response.get("error") or event.get("error") or event
    if response.get("status") == "cancelled":
        error = {"message": "the upstream has cancelled its answer", "code": None}
    if isinstance(error, Mapping) and error.get("type") == "error":
        error = {**error, "type": None}  # the event's name is no error's
    made = error_in({"error": error}) or ProviderFailed("the upstream names no reason")
    code = made.upstream_code or ""
    status = made.status or _status(event.get("status")) or _status_of(code)
    return error_class(status)(
        made.message,
        status=status,
        upstream_code=made.upstream_code,
        retry_after=made.retry_after or _wait(made.message),
    )


def _status(value: JSON) -> int | None:
    return value if type(value) is int else None


def _status_of(code: str) -> int | None:
    return STATUS.get(code) or (REFUSED if INPUT.search(code) else None)


def _wait(message: str) -> float | None:
    """Return the seconds that the text of a failure says to wait."""
    found = WAIT.search(message)
    if found is None:
        return None
    return float(found[1]) / (1000 if found[2].lower() == "ms" else 1)
