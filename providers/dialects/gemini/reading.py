"""What Gemini's responses say of an answer: its usage, pictures, likelihoods, ends."""

from providers.chat import NOTHING, Usage
from providers.dialects.finish import is_filter
from providers.errors import ProviderError, ProviderFailed, ProviderRefusedRequest
from providers.json_types import JSON, JSONMapping, JSONObject


def filtered(message: str, reason: str) -> ProviderError:
    """Make the error for content that the API does not let pass."""
    return ProviderRefusedRequest(message, status=400, upstream_code=reason)


def muted(reason: JSON, message: str | None) -> ProviderError:
    """Make the error for an answer that ends for *reason* with nothing said."""
    said = f": {message}" if message else ""
    text = f"it said nothing and gave the finishReason {reason}{said}"
    if is_filter(reason):
        return filtered(text, reason)
    return ProviderFailed(text, upstream_code=reason)


def images_in(data: JSONMapping) -> list[JSONObject]:
    """Return an image as the part of a message; there is none for other media."""
    if not data["mimeType"].startswith("image/"):
        return []
    url = f"data:{data['mimeType']};base64,{data['data']}"
    return [{"type": "image_url", "image_url": {"url": url}}]


def usage_of(counts: JSONMapping) -> Usage:
    """Add up what the API counts apart: thoughts are no part of the candidates."""
    prompt = counts.get("promptTokenCount") or 0
    prompt += counts.get("toolUsePromptTokenCount") or 0
    thoughts = counts.get("thoughtsTokenCount")
    completion = (counts.get("candidatesTokenCount") or 0) + (thoughts or 0)
    cached = counts.get("cachedContentTokenCount")
    extra: JSONObject = {}
    if cached is not None:
        extra["prompt_tokens_details"] = {"cached_tokens": cached}
    if thoughts is not None:
        extra["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=counts.get("totalTokenCount") or prompt + completion,
        extra=extra or NOTHING,
    )


def logprobs_of(result: JSONMapping) -> JSONObject:
    chosen = [_logprob(each) for each in result.get("chosenCandidates") or ()]
    tops = result.get("topCandidates") or ()
    for row, top in zip(chosen, tops, strict=False):
        row["top_logprobs"] = [_logprob(each) for each in top.get("candidates") or ()]
    rows = [{"top_logprobs": [], **row} for row in chosen]
    return {"content": rows, "refusal": None}


def _logprob(candidate: JSONMapping) -> JSONObject:
    token = candidate.get("token") or ""
    return {
        "token": token,
        "logprob": candidate.get("logProbability") or 0.0,
        "bytes": list(token.encode()),
    }
