"""Ids of tool calls that fit the vendor which reads them, whoever has made them.

A race changes vendors from turn to turn, so a conversation has the ids of all who have
answered in it. Those that fit stay; any other becomes a hash of itself, the same each
time, since a vendor's cache knows a prompt by its beginning.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from string import ascii_letters, digits

from attrs import define, field, frozen

from providers.json_types import JSONMapping

ALPHANUMERIC = digits + ascii_letters
NINE = 9


@frozen
class IdFormat:
    """What a vendor takes for an id: *fits* says so, *made* makes such a one of any."""

    fits: Callable[[str], object]
    made: Callable[[str], str]
    # Whether no two calls of a request may have the same.
    unique: bool = False


def _hash(name: str) -> str:
    return "call_" + sha256(name.encode("utf-8", "replace")).hexdigest()[:24]


def _nine(name: str) -> str:
    number = int.from_bytes(sha256(name.encode("utf-8", "replace")).digest())
    made = ""
    for _ in range(NINE):
        number, at = divmod(number, len(ALPHANUMERIC))
        made += ALPHANUMERIC[at]
    return made


# By what `call_ids` in a provider's table says.
FORMATS: Mapping[str, IdFormat] = {
    "any": IdFormat(lambda _: True, lambda name: name),
    "short": IdFormat(re.compile(r".{1,40}", re.DOTALL).fullmatch, _hash),
    "word": IdFormat(re.compile(r"[a-zA-Z0-9_-]+").fullmatch, _hash, unique=True),
    "nine": IdFormat(re.compile(r"[a-zA-Z0-9]{9}").fullmatch, _nine),
}


def word_id(name: str) -> str:
    """Return an id that Anthropic's API would take back: *name*, if it would."""
    format_ = FORMATS["word"]
    return name if format_.fits(name) else format_.made(name)


@define
class ConversationIds:
    """
    The ids of one conversation, in its order: a call's, and those of its result.

    Where ids must differ in the whole request, one that comes again is another's, and
    the result that follows is that call's.
    """

    format: IdFormat
    changed: bool = field(default=False, init=False)
    _uses: dict[str, int] = field(factory=dict, init=False)
    _given: set[str] = field(factory=set, init=False)
    # By the id as it came: what the calls without a result yet are sent as.
    _open: dict[str, list[str]] = field(factory=dict, init=False)
    _last: dict[str, str] = field(factory=dict, init=False)

    def call(self, name: str) -> str:
        """Return what the next call, whose id is *name*, is sent as."""
        made = self._made(name)
        self._open.setdefault(name, []).append(made)
        self._last[name] = made
        return self._noted(name, made)

    def result(self, name: str) -> str:
        """Return what the result of the call *name* is sent as."""
        waiting = self._open.get(name)
        if waiting:
            made = waiting.pop(0)
        else:
            made = self._last.get(name) or self._fitting(name)
        return self._noted(name, made)

    def end_turn(self) -> None:
        """Take in that who follows is the user: what has no result yet gets none."""
        self._open.clear()

    def _made(self, name: str) -> str:
        made = self._fitting(name)
        if not self.format.unique:
            return made
        uses = self._uses.get(name, 0)
        while made in self._given:
            uses += 1
            made = self.format.made(f"{name}#{uses}")
        self._uses[name] = uses
        self._given.add(made)
        return made

    def _fitting(self, name: str) -> str:
        return name if self.format.fits(name) else self.format.made(name)

    def _noted(self, name: str, made: str) -> str:
        self.changed = self.changed or made != name
        return made


Sent = JSONMapping


def fitted(messages: Sequence[Sent], format_: IdFormat) -> Sequence[Sent]:
    """
    Return a chat's messages with ids that fit; *messages* themselves, if all do.
    """
    ids = ConversationIds(format_)
    made = [_fitted(message, ids) for message in messages]
    return made if ids.changed else messages


def _fitted(message: Sent, ids: ConversationIds) -> Sent:
    role = message.get("role")
    if role == "tool":
        name = message.get("tool_call_id")
        return {**message, "tool_call_id": ids.result(name)} if name else message
    if role != "assistant":
        ids.end_turn()
        return message
    calls = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [_renamed(call, ids) for call in calls]}


def _renamed(call: Sent, ids: ConversationIds) -> Sent:
    name = call.get("id")
    return {**call, "id": ids.call(name)} if isinstance(name, str) else call
