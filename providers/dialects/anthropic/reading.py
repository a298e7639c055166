"""What Anthropic's API says of an answer as a whole: its end, its usage, its errors."""

from providers.chat import NOTHING, FinishReason, Usage
from providers.dialects.finish import EndReason, read_ending
from providers.dialects.upstream_errors import error_in
from providers.errors import ProviderError, ProviderFailed, error_class
from providers.json_types import JSON

from .whole import Event

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# The API's own words for reasons that an upstream had other words for.
STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
CACHE = {
    "cache_read_input_tokens": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
# The HTTP statuses that the errors have when they come before the stream.
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def ending_of(reason: JSON) -> EndReason | None:
    """
    Return what a stop_reason means; None if it is none.

    Raises ProviderFailed for a word that says that the upstream broke off.
    """
    known = FINISH_REASONS.get(reason) if type(reason) is str else None
    return EndReason(known) if known else read_ending(reason)


def usage_of(counted: Event) -> Usage:
    """Count as OpenAI does: what was read from a cache is a part of the prompt."""
    cache = {
        ours: counted[theirs] for theirs, ours in CACHE.items() if theirs in counted
    }
    prompt = counted.get("input_tokens", 0) + sum(cache.values())
    completion = counted.get("output_tokens", 0)
    extra = {"prompt_tokens_details": cache} if cache else {}
    thinking = counted.get("output_tokens_details", NOTHING).get("thinking_tokens")
    if thinking is not None:
        extra["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        extra=extra,
    )


def failed(event: Event) -> bool:
    """Whether an event is an error's, be it in a shape that is not the API's."""
    kind = event.get("type")
    return bool(
        kind == "error" or event.get("error") or (kind is None and error_in(event))
    )


def error_of(event: Event) -> ProviderError:
    """Return the error that an event tells of."""
    error = error_in(event) or ProviderFailed("the upstream names no reason")
    status = error.status or STATUS.get(error.upstream_code or "")
    return error_class(status)(
        error.message, status=status, upstream_code=error.upstream_code
    )


def text_of(value: JSON) -> str | None:
    """Return a text, None for one with nothing in it; raises TypeError for no text."""
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError(f"text expected, not {type(value).__name__}")
