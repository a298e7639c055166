"""What a conversation so far must be before any vendor goes on with it.

Whoever answered in it, and whatever a client has cut out of it: each call has its
result, each result its call, and a call's arguments are an object. Vendors answer 400
to anything else, at every later turn.
"""

from collections.abc import Iterator, Sequence

import orjson
from attrs import define, evolve, field

from providers.chat import NOTHING, ChatRequest, ContentPart, Message, ToolCall
from providers.json_types import JSONMapping

from .arguments import argument_object, is_object_text
from .tolerant import note
from .tools import functions_only
from .translation import base64_url

Sent = JSONMapping
# A message as it was read, and as the client put it.
Told = tuple[Message, Sent]
ARGUMENTS = "arguments of a call sent as an object"
MISSING = "calls without results answered"
ORPHANS = "results without calls told as text"
PICTURES = "pictures elsewhere told as links"


def sound_history(request: ChatRequest, notes: list[str]) -> ChatRequest:
    """
    Return *request* with its calls and results in pairs, and with arguments that every
    vendor reads; itself if there is nothing to do. *notes* get what was done.
    """
    if not any(m.tool_calls or m.role == "tool" for m in request.messages):
        return request  # nearly all
    told = _told(request)
    made = list(_paired([_with_objects(each, notes) for each in told], notes))
    return _with_messages(request, told, made)


def without_links(request: ChatRequest, notes: list[str]) -> ChatRequest:
    """
    Return *request* with a text for each picture that stands elsewhere, for vendors
    that fetch none; those of the last question stay, as it may be about them.
    """
    last = max(
        (i for i, m in enumerate(request.messages) if m.role == "user"), default=0
    )
    told = _told(request)
    made = [_without_links(each, notes) for each in told[:last]] + told[last:]
    return _with_messages(request, told, made)


def sendable(
    request: ChatRequest, api: str, dropped: list[str], notes: list[str]
) -> ChatRequest:
    """
    Return *request* as an API of functions can be asked that fetches no pictures.

    *dropped* gets the names of the tools that are left out, *notes* what else was done.
    Raises ProviderRefusedRequest for tools that can't be missed.
    """
    request = functions_only(request, api, dropped)
    return without_links(sound_history(request, notes), notes)


def _told(request: ChatRequest) -> list[Told]:
    sent: Sequence[Sent] = request.body.get("messages") or ()
    rest = len(request.messages) - len(sent)
    return list(zip(request.messages, (*sent, *[NOTHING] * rest), strict=False))


def _with_messages(
    request: ChatRequest, before: Sequence[Told], made: Sequence[Told]
) -> ChatRequest:
    same = len(made) == len(before)
    if same and all(new is old for new, old in zip(made, before, strict=True)):
        return request
    if not made:
        return request  # nothing was said: the vendor may tell what it makes of that
    messages = tuple(message for message, _ in made)
    body = {**request.body, "messages": [sent for _, sent in made]}
    return evolve(request, messages=messages, body=body)


def _with_objects(told: Told, notes: list[str]) -> Told:
    """Return a message whose calls have an object each for their arguments."""
    message, sent = told
    calls = message.tool_calls
    if not calls or all(map(_has_object, calls)):
        return told
    note(notes, ARGUMENTS)
    made = tuple(call if _has_object(call) else _with_object(call) for call in calls)
    raw = sent.get("tool_calls") or ()
    sent_calls = [
        old if new is call or new.function is None else _resent(old, new)
        for old, call, new in zip(raw, calls, made, strict=False)
    ]
    return evolve(message, tool_calls=made), {**sent, "tool_calls": sent_calls}


def _has_object(call: ToolCall) -> bool:
    return call.function is None or is_object_text(call.function.arguments)


def _with_object(call: ToolCall) -> ToolCall:
    function = call.function
    if function is None:
        return call
    arguments = orjson.dumps(argument_object(function.arguments)).decode()
    return evolve(call, function=evolve(function, arguments=arguments))


def _resent(sent: Sent, call: ToolCall) -> Sent:
    function = sent.get("function") or NOTHING
    arguments = call.function.arguments if call.function is not None else ""
    return {**sent, "function": {**function, "arguments": arguments}}


@define
class _Pairs:
    """Calls that wait for their results, and results that wait for those of others."""

    notes: list[str]
    calls: list[str] = field(factory=list)
    orphans: list[Told] = field(factory=list)

    def result(self, told: Told) -> Iterator[Told]:
        name = told[0].tool_call_id or ""
        if name in self.calls:
            self.calls.remove(name)
            yield told
            return
        note(self.notes, ORPHANS)
        self.orphans += _as_text(told)
        if not self.calls:
            yield from self.close()

    def close(self) -> Iterator[Told]:
        """Yield what must come before anything but results."""
        for name in self.calls:
            note(self.notes, MISSING)
            message = Message(role="tool", tool_call_id=name, content="")
            yield message, {"role": "tool", "tool_call_id": name, "content": ""}
        orphans, self.orphans = self.orphans, []
        yield from orphans
        self.calls = []


def _paired(messages: Sequence[Told], notes: list[str]) -> Iterator[Told]:
    pairs = _Pairs(notes)
    for told in messages:
        if told[0].role == "tool":
            yield from pairs.result(told)
            continue
        yield from pairs.close()
        yield told
        pairs.calls = [call.id for call in told[0].tool_calls or ()]
    yield from pairs.close()


def _as_text(told: Told) -> list[Told]:
    """Return a result as what a user says; nothing, if it says nothing."""
    message, sent = told
    if not message.content:
        return []
    said = Message(role="user", content=message.content)
    return [(said, {"role": "user", "content": sent.get("content", message.content)})]


def _without_links(told: Told, notes: list[str]) -> Told:
    message, sent = told
    parts = message.content
    if not isinstance(parts, tuple) or not any(map(_is_link, parts)):
        return told
    note(notes, PICTURES)
    made = tuple(_as_link(part) if _is_link(part) else part for part in parts)
    return evolve(message, content=made), sent


def _is_link(part: ContentPart) -> bool:
    url = (part.image_url or NOTHING).get("url")
    return part.type == "image_url" and isinstance(url, str) and not base64_url(url)


def _as_link(part: ContentPart) -> ContentPart:
    url = (part.image_url or NOTHING).get("url")
    return ContentPart(type="text", text=f"(A picture: {url})")
