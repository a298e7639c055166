"""The texts of a completion, as they grow."""

import time
import uuid
from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict, get_args

from attrs import define, field

from providers import Choice, Chunk, Usage
from server.json_types import Count, JSONObject
from server.wire.chat.payloads import CompletionHead, UsagePayload

from .logprobs import completion_logprobs
from .request import CompletionRequest

CompletionFinish = Literal["stop", "length", "content_filter"]
FINISHES = get_args(CompletionFinish)


class CompletionChoice(TypedDict):
    text: str
    index: Count
    logprobs: JSONObject | None
    finish_reason: CompletionFinish


class TextCompletion(CompletionHead):
    object: Literal["text_completion"]
    choices: list[CompletionChoice]
    usage: NotRequired[UsagePayload]


class CompletionChunkChoice(TypedDict):
    text: str
    index: Count
    logprobs: JSONObject | None
    finish_reason: CompletionFinish | None


class TextCompletionChunk(CompletionHead):
    object: Literal["text_completion"]
    choices: list[CompletionChunkChoice]
    usage: NotRequired[UsagePayload]


@define(eq=False)
class Texts:
    """The texts of one answer, as they grow: what streams and whole answers share."""

    request: CompletionRequest
    provider: str
    model: str
    usage: Usage | None = field(default=None, init=False)
    id: str = field(factory=lambda: f"cmpl-{uuid.uuid4().hex}", init=False)
    created: int = field(factory=lambda: int(time.time()), init=False)
    _lengths: dict[int, int] = field(factory=dict, init=False)
    _finished: set[int] = field(factory=set, init=False)

    def take(self, chunk: Chunk) -> list[JSONObject]:
        """Take in *chunk*; return the choices that it adds to."""
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        return [one for c in chunk.choices if (one := self._choice(c))]

    def payload(self, choices: Sequence[JSONObject]) -> JSONObject:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            "choices": choices,
        }

    def _choice(self, choice: Choice) -> JSONObject | None:
        index, reason = choice.index, choice.finish_reason
        if index in self._finished:
            return None
        text = choice.delta.content or choice.delta.refusal or ""
        if not text and reason is None and choice.logprobs is None:
            return None
        if self.request.echo and index not in self._lengths:
            place = min(index // self.request.each, len(self.request.prompts) - 1)
            text = self.request.prompts[place] + text
        begin = self._lengths.get(index, 0)
        self._lengths[index] = begin + len(text)
        if reason is not None:
            self._finished.add(index)
            reason = reason if reason in FINISHES else "stop"
        return {
            "text": text,
            "index": index,
            "logprobs": completion_logprobs(choice.logprobs, begin),
            "finish_reason": reason,
        }
