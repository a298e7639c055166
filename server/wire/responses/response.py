"""The response object: the request's settings, the answer's status, and its output."""

import time
from collections.abc import Iterator
from typing import Annotated, Literal, NotRequired, TypedDict

from attrs import define, field

from providers import Chunk, Usage
from server.json_types import (
    Cost,
    Count,
    JSONMapping,
    JSONObject,
    Keywords,
    UpstreamModel,
)

from .items import OutputPiece, new_id
from .output import Output
from .payloads import ItemPayload
from .request import ResponseRequest
from .settings import NO_REASONING, NO_TEXT
from .stored import StoredResponse, input_to_store

ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]
FinalStatus = Literal["completed", "incomplete"]
# Why an answer is incomplete, by the reason of a chat's finish.
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseError(TypedDict):
    code: str
    message: str


class IncompleteDetails(TypedDict):
    reason: str


class ReasoningPayload(TypedDict):
    effort: str | None
    summary: str | None


class TextPayload(TypedDict):
    format: JSONMapping
    verbosity: str | None


class InputTokensDetails(TypedDict):
    cached_tokens: Count
    cache_write_tokens: Count


class OutputTokensDetails(TypedDict):
    reasoning_tokens: Count


class ResponseUsage(TypedDict):
    input_tokens: Count
    input_tokens_details: InputTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails
    total_tokens: Count
    cost: NotRequired[Cost]


class ResponseHead(TypedDict):
    """A response object without its output."""

    id: str
    object: Literal["response"]
    created_at: Count
    status: ResponseStatus
    completed_at: Count | None
    background: Literal[False]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: Count | None
    model: UpstreamModel
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningPayload
    temperature: float | None
    text: TextPayload
    tool_choice: str | JSONMapping
    tools: list[JSONObject]
    top_logprobs: Count
    top_p: float | None
    truncation: str
    usage: ResponseUsage | None
    user: str | None
    store: NotRequired[
        Annotated[
            Literal[False],
            Keywords(description="There where it was to be kept, and could not be."),
        ]
    ]
    metadata: JSONMapping
    provider: Annotated[
        str | None,
        Keywords(description="The id of the provider that has won; null: nobody has."),
    ]


class ResponsePayload(ResponseHead):
    output: list[ItemPayload]


@define(eq=False)
class GrowingResponse:
    """One response, from its first chunk to its end, streamed or whole."""

    request: ResponseRequest
    items: list[JSONMapping]
    provider: str | None
    model: str
    output: Output = field()
    id: str = field(factory=lambda: new_id("resp"), init=False)
    created: int = field(factory=lambda: int(time.time()), init=False)
    _model_known: bool = field(default=False, init=False)
    _completed: int | None = field(default=None, init=False)
    # In dollars, once it is known.
    cost: float | None = field(default=None, init=False)

    @output.default
    def _new_output(self) -> Output:
        summarized, toolbox = self.request.summarized, self.request.toolbox
        return Output("summary_text" if summarized else "reasoning_text", toolbox)

    def take(self, chunk: Chunk) -> Iterator[OutputPiece]:
        """Take in *chunk*; yield what it adds to the output."""
        if chunk.model and not self._model_known:
            self.model, self._model_known = chunk.model, True
        return self.output.take(chunk)

    def finish(self) -> FinalStatus:
        """Note when the answer has ended, and return its final status."""
        self._completed = self._completed or int(time.time())
        cut_off = self.output.finish_reason in INCOMPLETE
        return "incomplete" if cut_off else "completed"

    def in_progress(self) -> ResponsePayload:
        """Return the response object before there is any output."""
        return {**self._head("in_progress"), "output": []}

    def whole(self) -> ResponsePayload:
        """Return the response object of an answer that is whole."""
        status = self.finish()
        opaque = self.request.shows_opaque
        output = self.output.payload(opaque=opaque, last=status)
        return {**self._head(status), "output": output}

    def failed(self, error: ResponseError) -> ResponsePayload:
        """Return the response object of an answer that breaks off with *error*."""
        opaque = self.request.shows_opaque
        output = self.output.payload(opaque=opaque, last="incomplete")
        return {**self._head("failed"), "error": error, "output": output}

    def stored(self) -> StoredResponse:
        """Return what is to be stored of an answer that is whole."""
        status = self.finish()
        return StoredResponse(
            id=self.id,
            previous=self.request.previous_response_id,
            body=self._head(status),
            input=input_to_store(self.items),
            output=self.output.payload(opaque=True, last=status),
        )

    def _head(self, status: ResponseStatus) -> ResponseHead:
        request = self.request
        reason = INCOMPLETE.get(self.output.finish_reason or "")
        usage = self.output.usage
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "completed_at": self._completed if status == "completed" else None,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "model": self.model,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "reasoning": _reasoning(request),
            "temperature": request.temperature,
            "text": _text(request),
            "tool_choice": request.tool_choice or "auto",
            "tools": _tools(request),
            "top_logprobs": request.top_logprobs or 0,
            "top_p": request.top_p,
            "truncation": request.truncation or "disabled",
            "usage": _usage(usage, self.cost) if usage else None,
            "user": request.body.get("user"),
            "metadata": request.metadata or {},
            "provider": self.provider,
        }


def _reasoning(request: ResponseRequest) -> ReasoningPayload:
    reasoning = request.reasoning or NO_REASONING
    return {"effort": reasoning.effort, "summary": reasoning.summary}


def _text(request: ResponseRequest) -> TextPayload:
    text = request.body.get("text") or {}
    return {
        "format": text.get("format") or {"type": "text"},
        "verbosity": (request.text or NO_TEXT).verbosity,
    }


def _tools(request: ResponseRequest) -> list[JSONObject]:
    """Return the tools as they were declared; functions have two fields in any case."""
    defaults: JSONObject = {"parameters": None, "strict": None}
    return [
        defaults | tool if tool.get("type") == "function" else tool
        for tool in request.body.get("tools") or ()
    ]


def _usage(usage: Usage, cost: float | None) -> ResponseUsage:
    prompt = usage.extra.get("prompt_tokens_details") or {}
    answer = usage.extra.get("completion_tokens_details") or {}
    payload: ResponseUsage = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": prompt.get("cached_tokens") or 0,
            "cache_write_tokens": prompt.get("cache_write_tokens") or 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {
            "reasoning_tokens": answer.get("reasoning_tokens") or 0
        },
        "total_tokens": usage.total_tokens,
    }
    if cost is not None:
        payload["cost"] = cost
    return payload
