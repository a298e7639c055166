"""Which whole answers can be passed on as their upstream has put them."""

from providers.json_types import JSON, JSONObject

# What OpenAI has in an answer; what another vendor means by other names is to be read.
ANSWER = frozenset(("id", "object", "created", "model", "choices", "usage"))
ANSWER_TOO = ANSWER | {"system_fingerprint", "service_tier", "provider"}
CHOICE = frozenset(("index", "message", "finish_reason"))
CHOICE_TOO = CHOICE | {"logprobs"}
MESSAGE = frozenset(("role", "content"))
MESSAGE_TOO = MESSAGE | {"refusal", "annotations"}
USAGE = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))
REASONS = ("stop", "length", "content_filter")
# Seconds since 1970; more is no time of this century or the next.
MAX_TIME = 2**33


def as_completion(payload: JSONObject) -> JSONObject | None:
    """
    Return an answer with what its vendor has left out, if it is texts in the shape of
    OpenAI's chat completions; None: it is to be read, and put together again.
    """
    if not (payload.keys() >= ANSWER and payload.keys() <= ANSWER_TOO):
        return None
    if not (payload["choices"] and _is_identified(payload)):
        return None
    for place, choice in enumerate(payload["choices"]):
        if not _is_whole(choice, place) or not _is_text(choice["message"]):
            return None
        choice.setdefault("logprobs", None)
        choice["message"].setdefault("refusal", None)
    return payload


def _is_identified(payload: JSONObject) -> bool:
    name, model = payload["id"], payload["model"]
    made, usage = payload["created"], payload["usage"]
    return (
        payload["object"] == "chat.completion"
        and type(name) is type(model) is str
        and "" not in (name, model)
        and type(made) is int
        and 0 <= made < MAX_TIME
        and type(usage) is dict
        and usage.keys() >= USAGE
    )


def _is_whole(choice: JSON, place: int) -> bool:
    return (
        type(choice) is dict
        and choice.keys() >= CHOICE
        and choice.keys() <= CHOICE_TOO
        and choice["index"] == place
        and choice["finish_reason"] in REASONS
        and choice.get("logprobs") is None
    )


def _is_text(message: JSON) -> bool:
    if type(message) is not dict or not message.keys() >= MESSAGE:
        return False
    text = message["content"]
    return (
        message.keys() <= MESSAGE_TOO
        and message["role"] == "assistant"
        and message.get("refusal") is None
        and type(text) is str
        and text != ""
    )
