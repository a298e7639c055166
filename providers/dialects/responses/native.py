"""Responses that pass as they are, between a client and an upstream of the same API."""

import re
from collections.abc import Mapping

from attrs import define, field

from providers.chat import RESPONSES, Chunk, NativeEvent, NativeRequest
from providers.dialects.framing import MAX_EVENT_BYTES, EventTooLarge
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .conversation import LONGEST_ID
from .reasoning import BLOCKS, items_from
from .request import OPENAI

# What is kept at one upstream only, and would be kept by those that lose a race, too.
KEPT_THERE = ("previous_response_id", "conversation", "background")
# Hosts that take no reasoning back but what they have sealed.
SEALING = (*OPENAI, "api.x.ai/")
# What can stand behind `event:`.
NAME = re.compile(r"[\w.-]+")
KEEPALIVE = "keepalive"


def passed_body(
    request: NativeRequest, model: str, settings: ProviderSettings
) -> JSONObject:
    """
    Return what the client said, but for the model, and asking for a stream that is
    stored nowhere.

    Nothing is in the input that only a store could know: no references, no reasoning
    without its seal, or of other upstreams.
    """
    body = {n: v for n, v in request.body.items() if n not in KEPT_THERE}
    if isinstance(body.get("input"), list | tuple):
        body["input"] = _carried(body["input"], settings)
    return {**body, "model": model, "store": False, "stream": True}


def _carried(items: JSON, settings: ProviderSettings) -> list[JSON]:
    """
    Return the items that an upstream can read which has none of them stored.

    Ids of messages say which reasoning they belong to, so with the one the other goes.
    """
    seals = any(host in settings.base_url + "/" for host in SEALING)
    left: list[JSON] = []
    whole = True
    for item in items:
        kept = _item(item, settings.id, seals=seals)
        whole = whole and kept == [item]
        left += kept
    return left if whole else [_without_id(item) for item in left]


def _item(item: JSON, provider: str, *, seals: bool) -> list[JSON]:
    if not isinstance(item, Mapping):
        return [item]
    if item.get("type") == "reasoning":
        return _reasoning(item, provider, seals=seals)
    if item.get("type") == "item_reference":
        return []
    name = item.get("id")
    too_long = isinstance(name, str) and len(name) > LONGEST_ID
    return [_without_id(item)] if too_long else [item]


def _reasoning(item: JSONMapping, provider: str, *, seals: bool) -> list[JSONMapping]:
    if BLOCKS in item:  # sealed by us: for each provider what is its own
        return list(items_from(item, provider))
    if item.get("encrypted_content") or (item.get("content") and not seals):
        return [item]
    return []


def _without_id(item: JSON) -> JSON:
    if not isinstance(item, Mapping) or "id" not in item:
        return item
    if "call_id" not in item and str(item.get("type")).endswith("_output"):
        return item  # a shell's output has no other name for its call
    return {name: value for name, value in item.items() if name != "id"}


@define(eq=False)
class EventPassage:
    """
    Puts an answer's events into its chunks.

    What comes before the first token waits for it, since whatever has no token by then
    is not kept, and might belong to a racer that loses.
    """

    _held: list[NativeEvent] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _spoke: bool = field(default=False, init=False)

    def carry(self, chunks: list[Chunk], kind: JSON, data: bytes) -> list[Chunk]:
        """
        Return *chunks*, what an event has been read as, with the event in them; *kind*
        is its type.
        """
        if not isinstance(kind, str) or kind == KEEPALIVE or not NAME.fullmatch(kind):
            return chunks
        event = NativeEvent(RESPONSES, kind, data)
        if self._spoke:
            chunks = chunks or [Chunk()]
            chunks[0].native = (event,)
            return chunks
        self._held.append(event)
        for chunk in chunks:
            if chunk.has_token or chunk.choices[0].finish_reason:
                chunk.native, self._held = tuple(self._held), []
                self._spoke = True
                return chunks
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            text = f"what comes before the first token is over {MAX_EVENT_BYTES} bytes"
            raise EventTooLarge(text)
        return chunks
