"""The messages of a chat as one vendor takes them: what its table says of them."""

from collections.abc import Sequence
from functools import lru_cache

from attrs import frozen

from providers.dialects import call_ids
from providers.dialects.gemini.thinking import needs_signatures
from providers.dialects.translation import refused
from providers.json_types import JSON, JSONMapping
from providers.settings import EVERYTHING, MessageRules, ProviderSettings

from .calls import SIGNING, fitted_calls, less, note
from .turns import in_turns, with_thoughts

Sent = JSONMapping
# How `unsupported_fields` names a field of every message, tool call, and part.
IN_MESSAGES = "messages."
IN_CALLS = "tool_calls."
IN_PARTS = "content."
TURNS = "the assistant given a word to say"


@frozen(kw_only=True)
class Fitting:
    """What must be done to messages before a vendor's model is sent them."""

    rules: MessageRules
    fields: frozenset[str]
    call_fields: frozenset[str]
    part_fields: frozenset[str]
    # Whether calls without a signature get Google's word for none.
    signed: bool

    @property
    def looks_into(self) -> bool:
        """Whether each message has to be looked into."""
        rules = self.rules
        named = self.fields | self.call_fields | self.part_fields or rules.roles
        return bool(
            named or self.signed or rules.text_content or not rules.custom_calls
        )


def fitting(settings: ProviderSettings, model: str) -> Fitting | None:
    """Return what is to be done for a provider's *model*; None for nothing."""
    signed = "gemini" in model and needs_signatures(model)
    rules = settings.rules
    if not (signed or rules.unsupported_fields) and rules.messages is EVERYTHING:
        return None  # nearly all
    return _fitting(rules.unsupported_fields, rules.messages, signed=signed)


@lru_cache(maxsize=200)
def _fitting(
    unsupported: tuple[str, ...], rules: MessageRules, *, signed: bool
) -> Fitting | None:
    names = [
        name.removeprefix(IN_MESSAGES)
        for name in unsupported
        if name.startswith(IN_MESSAGES)
    ]
    in_calls, in_parts = below(names, IN_CALLS), below(names, IN_PARTS)
    made = Fitting(
        rules=rules,
        fields=frozenset(name for name in names if "." not in name),
        call_fields=in_calls,
        part_fields=in_parts,
        signed=signed and SIGNING not in in_calls,
    )
    return made if made.looks_into or rules != EVERYTHING else None


def below(names: Sequence[str], prefix: str) -> frozenset[str]:
    """Return what *names* say after *prefix*, of those that begin with it."""
    return frozenset(n.removeprefix(prefix) for n in names if n.startswith(prefix))


def fit(messages: Sequence[Sent], fitting: Fitting, notes: list[str]) -> Sequence[Sent]:
    """
    Return *messages* as the vendor takes them; *messages* themselves if they fit.

    What was done beyond leaving fields out is noted.
    """
    rules = fitting.rules
    if rules.carries_thoughts:
        carried = list(with_thoughts(messages))
        messages = _noted(messages, carried, "reasoning carried on", notes)
    if fitting.looks_into:
        messages = _each(messages, fitting, notes)
    if rules.strict_turns:
        messages = _noted(messages, list(in_turns(messages)), TURNS, notes)
    if rules.call_ids != "any":
        made = call_ids.fitted(messages, call_ids.FORMATS[rules.call_ids])
        messages = _noted(messages, made, "call ids rewritten", notes)
    return messages


def _noted(
    before: Sequence[Sent], after: Sequence[Sent], note: str, notes: list[str]
) -> Sequence[Sent]:
    if after is before or list(after) == list(before):
        return before
    notes.append(note)
    return after


def _each(
    messages: Sequence[Sent], fitting: Fitting, notes: list[str]
) -> Sequence[Sent]:
    made = [_fit(message, fitting, notes) for message in messages]
    if all(new is old for new, old in zip(made, messages, strict=True)):
        return messages
    return made


def _fit(message: Sent, fitting: Fitting, notes: list[str]) -> Sent:
    role, rules = message.get("role"), fitting.rules
    if "refusal" in fitting.fields and role == "assistant":
        message = _spoken_refusal(message)
    message = less(message, fitting.fields)
    if fitting.part_fields and isinstance(message.get("content"), list):
        message = _with_parts_less(message, fitting.part_fields)
    if role == "developer" and rules.roles and role not in rules.roles:
        message = {**message, "role": "system"}
        note(notes, "developer as system")
    if rules.text_content and type(message.get("content")) is not str:
        message = {**message, "content": _joined(message.get("content"))}
        note(notes, "content as one text")
    if calls := message.get("tool_calls"):
        made = fitted_calls(
            calls,
            notes,
            less_fields=fitting.call_fields,
            functions_only=not fitting.rules.custom_calls,
            signed=fitting.signed,
        )
        if made is not calls:
            message = {**message, "tool_calls": made}
    return message


def _with_parts_less(message: Sent, names: frozenset[str]) -> Sent:
    parts = message["content"]
    if all(names.isdisjoint(part) for part in parts):
        return message
    return {**message, "content": [less(part, names) for part in parts]}


def _spoken_refusal(message: Sent) -> Sent:
    """Return a message whose refusal is its text, for who knows no such field."""
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list) and any(p.get("type") == "refusal" for p in content):
        content = [_as_text(part) for part in content]
        message = {**message, "content": content}
    if not refusal:
        return message
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": refusal}]}
    return {**message, "content": "\n".join(filter(None, (content, refusal)))}


def _as_text(part: Sent) -> Sent:
    if part.get("type") != "refusal":
        return part
    return {"type": "text", "text": part.get("refusal") or ""}


def _joined(parts: JSON) -> str:
    """Return the text of a content; raises ProviderRefusedRequest for pictures."""
    texts = []
    for part in parts or ():
        if part.get("type") not in ("text", "refusal"):
            kind = part.get("type")
            raise refused(f"this provider takes text only, no parts of type {kind!r}")
        texts.append(part.get("text") or part.get("refusal") or "")
    return "\n".join(texts)
