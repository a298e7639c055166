"""Text completions, streamed and whole."""

from collections.abc import Iterable

import orjson
from attrs import define, field

from providers import ChatPiece, chunks_of
from server.json_types import JSONObject
from server.wire.bound import AnswerSize
from server.wire.chat.payloads import usage_payload
from server.wire.errors import error_frame
from server.wire.format import Rendering
from server.wire.frames import DONE, data_frame
from server.wire.pieces import as_chunk

from .logprobs import joined_logprobs
from .request import CompletionRequest
from .texts import Texts


@define(eq=False)
class CompletionStream:
    """Chunks to server-sent events, each a completion that goes on from the last."""

    texts: Texts
    include_usage: bool

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        added = map(self.texts.take, chunks_of(pieces))
        payloads = (self.texts.payload(choices) for choices in added if choices)
        return b"".join(map(data_frame, payloads))

    def end(self, cost: float | None = None) -> bytes:
        usage = self.texts.usage
        if not self.include_usage or usage is None:
            return DONE
        last = self.texts.payload([]) | {"usage": usage_payload(usage, cost)}
        return data_frame(last) + DONE


@define(eq=False)
class CompletionAnswer:
    """Chunks to one completion."""

    texts: Texts
    _choices: dict[int, JSONObject] = field(factory=dict, init=False)
    _pieces: dict[int, list[str]] = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for chunk in map(as_chunk, pieces):
            for new in self.texts.take(chunk):
                choice = self._choices.setdefault(
                    new["index"], {**new, "logprobs": None}
                )
                choice["finish_reason"] = new["finish_reason"]
                choice["logprobs"] = joined_logprobs(
                    choice["logprobs"], new["logprobs"]
                )
                self._pieces.setdefault(new["index"], []).append(new["text"])
                self._size.grow(len(new["text"]) + len(str(new["logprobs"])))

    def body(self, cost: float | None = None) -> bytes:
        choices = [
            {
                **choice,
                "text": "".join(self._pieces[index]),
                "finish_reason": choice["finish_reason"] or "stop",
            }
            for index, choice in sorted(self._choices.items())
        ]
        payload = self.texts.payload(choices)
        if self.texts.usage is not None:
            payload["usage"] = usage_payload(self.texts.usage, cost)
        return orjson.dumps(payload)


def rendering_of(request: CompletionRequest, *, include_usage: bool) -> Rendering:
    """Return how *request* is answered."""
    return Rendering(
        lambda _, provider, model: CompletionStream(
            Texts(request, provider, model), include_usage
        ),
        lambda _, provider, model: CompletionAnswer(Texts(request, provider, model)),
        error_frame,
    )
