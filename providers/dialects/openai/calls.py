"""A message's tool calls as a vendor takes them."""

from collections.abc import Mapping, Sequence

import orjson

from providers.dialects.gemini.request import NO_SIGNATURE
from providers.json_types import JSONMapping

Sent = JSONMapping
SIGNING = "extra_content"


def fitted_calls(
    calls: Sequence[Sent],
    notes: list[str],
    *,
    less_fields: frozenset[str],
    functions_only: bool,
    signed: bool,
) -> Sequence[Sent]:
    """
    Return *calls* as the vendor takes them; *calls* themselves if they fit.

    *functions_only*: custom calls become functions'. *signed*: the first needs Google's
    signature, or its word for none.
    """
    made = [less(call, less_fields) for call in calls]
    if functions_only:
        made = [_as_function(call, notes) for call in made]
    if signed and not _is_signed(made[0]):
        made[0] = _signed(made[0])
        note(notes, "call signed with a word for none")
    if all(new is old for new, old in zip(made, calls, strict=True)):
        return calls
    return made


def _as_function(call: Sent, notes: list[str]) -> Sent:
    """Return a custom call as one of a function whose argument is its input."""
    custom = call.get("custom")
    if call.get("type") != "custom" or not isinstance(custom, Mapping):
        return call
    note(notes, "custom call as function")
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


def less(payload: Sent, names: frozenset[str]) -> Sent:
    """Return *payload* less the fields *names*; itself if it has none of them."""
    if names.isdisjoint(payload):
        return payload
    return {name: value for name, value in payload.items() if name not in names}


def note(notes: list[str], text: str) -> None:
    """Note what was put right, once."""
    if text not in notes:
        notes.append(text)
