"""A request for a response as an upstream of the same API is sent it."""

from collections.abc import Sequence

from attrs import evolve, frozen

from providers import RESPONSES, ChatRequest, Message, NativeRequest
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.racing.batch import ChatLineup
from server.wire.opaque import BLOCKS, unsealed

from .request import OPAQUE, ResponseRequest

# Fields about responses that are stored here, and not at the upstream.
OURS = ("previous_response_id", "store")


@frozen
class RaceableRequest:
    """
    A chat, with the request as upstreams of the same API are sent it.

    *obstacle* says why it can't be translated for upstreams of other APIs, if it can't.
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
    Return a request as a chat, with the client's own words for upstreams of this API.

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
        # The next response may go on from it, and then needs its sealed reasoning.
        body["include"] = [*include, OPAQUE]
    if earlier or not isinstance(request.input, str):
        own = request.items()
        body["input"] = [
            *(_unsealed(_without_id(item)) for item in earlier),
            *(
                _unsealed(item if item is original else _without_id(item))
                for item, original in zip(items, own, strict=True)
            ),
        ]
    return body


def _without_id(item: JSON) -> JSON:
    """Return a stored item without its id, which only this server knows."""
    if not isinstance(item, dict):
        return item
    if "call_id" not in item and str(item.get("type")).endswith("_output"):
        return item
    return {name: value for name, value in item.items() if name != "id"}


def _unsealed(item: JSON) -> JSON:
    """Return *item*; reasoning that was sealed here has its blocks unsealed."""
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return item
    blocks, beside = unsealed(item.get("encrypted_content"))
    return {**item, BLOCKS: blocks} if blocks or beside else item
