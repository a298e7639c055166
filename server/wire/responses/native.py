"""A request for a response as an upstream of the same API is sent it."""

from collections.abc import Sequence

from attrs import evolve, frozen

from providers import RESPONSES, ChatRequest, Message, NativeRequest
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.racing.batch import ChatLineup
from server.wire.opaque import BLOCKS, unsealed

from .request import OPAQUE, ResponseRequest

# What points to responses that are stored here, and not at the upstream.
OURS = ("previous_response_id", "store")


@frozen
class RaceableRequest:
    """
    A chat as both kinds of upstreams are asked for it.

    *obstacle* says why it can't be translated for those of other APIs, if it can't.
    """

    chat: ChatRequest
    obstacle: InvalidRequest | None = None

    def admitted(self, lineup: ChatLineup) -> ChatLineup:
        """Return *lineup*; raise *obstacle* if nobody in it speaks this API."""
        speakers = (each.provider.speaks_responses for each in lineup.entrants)
        if self.obstacle is not None and not any(speakers):
            raise self.obstacle
        return lineup


def raceable(
    request: ResponseRequest, earlier: Sequence[JSONMapping], items: Sequence[JSON]
) -> RaceableRequest:
    """
    Return a request as a chat, with what its client said for upstreams of this API.

    *earlier* are the items of the responses that it goes on from, *items* its own.
    """
    native = NativeRequest(format=RESPONSES, body=_body(request, earlier, items))
    try:
        chat = request.chat(earlier, items)
    except InvalidRequest as exc:
        only = evolve(native, only=f"what this request says ({exc.message})")
        return RaceableRequest(_untranslated(request, only), exc)
    return RaceableRequest(evolve(chat, native=native))


def _untranslated(request: ResponseRequest, native: NativeRequest) -> ChatRequest:
    """Return a chat that stands for what has no translation."""
    return ChatRequest(
        model=request.model,
        messages=(Message(role="user", content=native.only),),
        stream=request.stream,
        body={"messages": []},
        native=native,
    )


def _body(
    request: ResponseRequest, earlier: Sequence[JSONMapping], items: Sequence[JSON]
) -> JSONObject:
    body = {name: v for name, v in request.body.items() if name not in OURS}
    include = list(request.include or ())
    if request.kept and OPAQUE not in include:
        # What the next response goes on from is stored here alone.
        body["include"] = [*include, OPAQUE]
    if earlier or not isinstance(request.input, str):
        own = request.items()
        body["input"] = [
            *(_opened(_nameless(item)) for item in earlier),
            *(
                _opened(item if item is sent else _nameless(item))
                for item, sent in zip(items, own, strict=True)
            ),
        ]
    return body


def _nameless(item: JSON) -> JSON:
    """Return an item out of our store without its id, which is known nowhere else."""
    if not isinstance(item, dict):
        return item
    if "call_id" not in item and str(item.get("type")).endswith("_output"):
        return item
    return {name: value for name, value in item.items() if name != "id"}


def _opened(item: JSON) -> JSON:
    """Return reasoning that was sealed here with what is in it, for who has made it."""
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return item
    blocks, beside = unsealed(item.get("encrypted_content"))
    return {**item, BLOCKS: blocks} if blocks or beside else item
