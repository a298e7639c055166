"""Why an answer ended: vendors' words for it, read by their meaning."""

import re

from attrs import frozen

from providers.chat import FinishReason
from providers.errors import ProviderFailed
from providers.json_types import JSON

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
}
# Words that stand where no reason is meant, less all that is no letter.
UNSET = frozenset(
    ("", "null", "none", "undefined", "unspecified", "finishreasonunspecified")
)
NO_LETTERS = re.compile(r"[^a-z]")
BROKEN = re.compile(
    "error|abort|fail|cancel|interrupt|insufficient|resource|network|timeout|timedout"
    "|overload|malform|functioncallfilter|unexpected|toomany|missing|invalid|exhaust"
    "|unavailable|exception|crash|disconnect|ratelimit|quota|deadline|evict|preempt"
    "|killed|capacity|busy"
)
FILTERED = re.compile(
    "filter|safety|sensitive|recitation|blocklist|blocked|prohibited|spii|language"
    "|armor|moderat|policy|guardrail|refus|harm|censor|violat|flagged|unsafe"
)
TOO_LONG = re.compile(
    "length|max|limit|context|truncat|window|exceed|budget|incomplete|toolong"
    "|outof|(?<!stop)(?<!eos)(?<!end)tokens"
)
CALLS = re.compile("tool|function|^calls?$")
ENDED = re.compile("stop|eos|eot|eom|end|complete|done|finish|success|normal")
# Of a vendor's own word, so much is told.
MAX_WORD = 64


@frozen
class EndReason:
    """A finish reason; *native* is the upstream's word for it if nobody knows that."""

    reason: FinishReason
    native: str | None = None

    def after(self, earlier: "EndReason | None") -> "EndReason":
        """Return which holds: the later, but `stop` takes no other reason back."""
        kept = earlier is not None and self.reason == "stop" != earlier.reason
        return earlier if earlier is not None and kept else self


def read_ending(word: JSON, why: str = "") -> EndReason | None:
    """
    Return what an upstream's *word* means; None if it is no reason at all.

    Raises ProviderFailed, saying *why* if that is known, for words that say that the
    vendor broke off, or that a call came out malformed.
    """
    if type(word) is str and (known := FINISH_REASONS.get(word)):
        return EndReason(known)
    if not isinstance(word, str | int | None):
        raise TypeError(f"a finish_reason expected, not {type(word).__name__}")
    said = str(word or "").strip()
    letters = NO_LETTERS.sub("", said.lower())
    if letters in UNSET and not any(sign.isdigit() for sign in said):
        return None
    if BROKEN.search(letters):
        text = f"the upstream ended with finish_reason '{said[:MAX_WORD]}'"
        raise ProviderFailed(
            f"{text}: {why}" if why else text, upstream_code=said[:MAX_WORD]
        )
    return _by_meaning(letters, said[:MAX_WORD])


def _by_meaning(letters: str, said: str) -> EndReason:
    if FILTERED.search(letters):
        return EndReason("content_filter")
    if TOO_LONG.search(letters):
        return EndReason("length")
    if letters == "functioncall":
        return EndReason("function_call")
    if CALLS.search(letters):
        return EndReason("tool_calls")
    return EndReason("stop", None if ENDED.search(letters) else said)


def is_filter(word: JSON) -> bool:
    """Whether a *word* means that content was not let pass."""
    return bool(FILTERED.search(NO_LETTERS.sub("", str(word).lower())))
