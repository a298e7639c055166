"""The messages of a chat as one vendor takes them: what its table says of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from attrs import frozen

from providers.dialects import call_ids
from providers.dialects.gemini.request import NO_SIGNATURE, needs_signatures
from providers.dialects.translation import refused
from providers.settings import EVERYTHING, MessageRules, ProviderSettings

Sent = Mapping[str, Any]
# How `unsupported_fields` names a field of every message, and of every tool call.
IN_MESSAGES = "messages."
IN_CALLS = "tool_calls."
SIGNING = "extra_content"
# What the assistant says where a vendor wants it to say something.
WORD = "I see."
TURNS = "the assistant given a word to say"


@frozen(kw_only=True)
class Fitting:
    """What must be done to messages before a vendor's model is sent them."""

    rules: MessageRules
    fields: frozenset[str]
    call_fields: frozenset[str]
    # Whether calls without a signature get Google's word for none.
    signed: bool

    @property
    def looks_into(self) -> bool:
        """Whether each message has to be looked into."""
        rules = self.rules
        named = self.fields or self.call_fields or rules.roles
        return bool(
            named or self.signed or rules.text_content or not rules.custom_calls
        )


def fitting(settings: ProviderSettings, model: str) -> Fitting | None:
    """Return what is to be done for a provider's *model*; None for nothing."""
    signed = "gemini" in model and needs_signatures(model)
    unsupported = tuple(settings.unsupported_fields)
    return _fitting(unsupported, settings.messages, signed=signed)


@lru_cache(maxsize=200)
def _fitting(
    unsupported: tuple[str, ...], rules: MessageRules, *, signed: bool
) -> Fitting | None:
    names = [
        name.removeprefix(IN_MESSAGES)
        for name in unsupported
        if name.startswith(IN_MESSAGES)
    ]
    in_calls = frozenset(
        name.removeprefix(IN_CALLS) for name in names if name.startswith(IN_CALLS)
    )
    made = Fitting(
        rules=rules,
        fields=frozenset(name for name in names if not name.startswith(IN_CALLS)),
        call_fields=in_calls,
        signed=signed and SIGNING not in in_calls,
    )
    return made if made.looks_into or rules != EVERYTHING else None


def fit(messages: Sequence[Sent], fitting: Fitting, notes: list[str]) -> Sequence[Sent]:
    """
    Return *messages* as the vendor takes them; *messages* themselves if they fit.

    What was done beyond leaving fields out is noted.
    """
    rules = fitting.rules
    if fitting.looks_into:
        messages = _each(messages, fitting, notes)
    if rules.strict_turns:
        messages = _noted(messages, list(_in_turns(messages)), TURNS, notes)
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
    if role == "developer" and rules.roles and role not in rules.roles:
        message = {**message, "role": "system"}
        _note(notes, "developer as system")
    if rules.text_content and type(message.get("content")) is not str:
        message = {**message, "content": _joined(message.get("content"))}
        _note(notes, "content as one text")
    if calls := message.get("tool_calls"):
        made = _fit_calls(calls, fitting, notes)
        if made is not calls:
            message = {**message, "tool_calls": made}
    return message


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


def _joined(parts: Any) -> str:
    """Return the text of a content; raises ProviderRefusedRequest for pictures."""
    texts = []
    for part in parts or ():
        if part.get("type") not in ("text", "refusal"):
            kind = part.get("type")
            raise refused(f"this provider takes text only, no parts of type {kind!r}")
        texts.append(part.get("text") or part.get("refusal") or "")
    return "\n".join(texts)


def _fit_calls(
    calls: Sequence[Sent], fitting: Fitting, notes: list[str]
) -> Sequence[Sent]:
    made = [less(call, fitting.call_fields) for call in calls]
    if not fitting.rules.custom_calls:
        made = [_as_function(call, notes) for call in made]
    if fitting.signed and not _is_signed(made[0]):
        made[0] = _signed(made[0])
        _note(notes, "call signed with a word for none")
    if all(new is old for new, old in zip(made, calls, strict=True)):
        return calls
    return made


def _as_function(call: Sent, notes: list[str]) -> Sent:
    """Return a custom call as one of a function whose argument is its input."""
    custom = call.get("custom")
    if call.get("type") != "custom" or not isinstance(custom, Mapping):
        return call
    _note(notes, "custom call as function")
    arguments = orjson.dumps({"input": custom.get("input") or ""}).decode()
    function = {"name": custom.get("name") or "", "arguments": arguments}
    return {"id": call.get("id"), "type": "function", "function": function}


def _google(call: Sent) -> Sent:
    extra = call.get(SIGNING)
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return google if isinstance(google, Mapping) else {}


def _is_signed(call: Sent) -> bool:
    return bool(_google(call).get("thought_signature"))


def _signed(call: Sent) -> Sent:
    extra = call.get(SIGNING)
    google = {**_google(call), "thought_signature": NO_SIGNATURE}
    beside = extra if isinstance(extra, Mapping) else {}
    return {**call, SIGNING: {**beside, "google": google}}


def _in_turns(messages: Sequence[Sent]) -> Iterator[Sent]:
    """Yield messages so that an assistant's follows a tool's, and none is empty."""
    before = ""
    for message in messages:
        role = message.get("role")
        if role != "assistant":
            if before == "tool" and role != "tool":
                yield {"role": "assistant", "content": WORD}
            yield message
        elif message.get("content") or message.get("tool_calls"):
            yield message
        else:
            yield {**message, "content": WORD}
        before = role or ""


def less(payload: Sent, names: frozenset[str]) -> Sent:
    """Return *payload* less the fields *names*; itself if it has none of them."""
    if names.isdisjoint(payload):
        return payload
    return {name: value for name, value in payload.items() if name not in names}


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)
