"""Log probabilities as text completions have them: lists side by side."""

from server.json_types import JSON, JSONMapping, JSONObject


def completion_logprobs(logprobs: JSONMapping | None, begin: int) -> JSONObject | None:
    """
    Return log probabilities in the shape that completions have: lists side by side.

    A chat's are a list of rows, as are those of some upstreams' completions.
    """
    if logprobs is None:
        return None
    rows = logprobs.get("content")
    if not isinstance(rows, list):
        return {name: v for name, v in logprobs.items() if isinstance(v, list)} or None
    rows = [row for row in rows if isinstance(row, dict)]
    tokens = [str(row.get("token", "")) for row in rows]
    offsets = [begin + sum(map(len, tokens[:i])) for i in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [row.get("logprob") for row in rows],
        "top_logprobs": [_tops(row.get("top_logprobs")) for row in rows],
        "text_offset": offsets,
    }


def _tops(rows: JSON) -> JSONObject:
    tops = [row for row in rows or () if isinstance(row, dict)]
    return {str(top.get("token", "")): top.get("logprob") for top in tops}


def joined_logprobs(
    before: JSONObject | None, new: JSONObject | None
) -> JSONObject | None:
    """Return the log probabilities of a text, and of the text that follows it."""
    if before is None or new is None:
        return new or before
    return {name: before.get(name, []) + new.get(name, []) for name in before | new}
