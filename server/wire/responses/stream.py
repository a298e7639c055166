"""A response as it goes to its client: typed events, or one object."""

import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from attrs import define, field, frozen

from providers import (
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    TextRun,
    Usage,
    chunks_of,
)
from server.errors import GatewayError
from server.wire.chat import joined
from server.wire.format import Format

from .output import Item, Output, Part, Piece, new_id
from .request import NO_REASONING, NO_TEXT, ResponseRequest
from .stored import Stored, input_to_store

# The event of a piece, and of a part's end, by the kind of the part.
DELTA = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
    "summary_text": "response.reasoning_summary_text",
    "arguments": "response.function_call_arguments",
}
# Stands for a text in a frame that is to be cut there.
PLACEHOLDER = f"text-{uuid.uuid4().hex}"
# A chunk that adds text to the first choice, and does nothing else, less its text.
PLAIN = Choice(delta=Delta(content=""))
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@define(eq=False)
class _Response:
    """One response, whichever way it is shown."""

    asked: ResponseRequest
    items: list[Mapping[str, Any]]
    provider: str | None
    model: str
    output: Output = field()
    id: str = field(factory=lambda: new_id("resp"), init=False)
    created: int = field(factory=lambda: int(time.time()), init=False)
    _named: bool = field(default=False, init=False)
    _completed: int | None = field(default=None, init=False)

    @output.default
    def _new_output(self) -> Output:
        return Output("summary_text" if self.asked.summarized else "reasoning_text")

    def take(self, chunk: Chunk) -> Iterator[Piece]:
        if chunk.model and not self._named:
            self.model, self._named = chunk.model, True
        return self.output.take(chunk)

    @property
    def status(self) -> str:
        """What has become of it, now that its answer is whole."""
        self._completed = self._completed or int(time.time())
        cut = self.output.finish_reason in INCOMPLETE
        return "incomplete" if cut else "completed"

    def payload(self, status: str, **more: Any) -> dict[str, Any]:
        """Return the response object, less its output."""
        asked = self.asked
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
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "model": self.model,
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "reasoning": _reasoning(asked),
            "temperature": asked.temperature,
            "text": _text(asked),
            "tool_choice": asked.tool_choice or "auto",
            "tools": _tools(asked),
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": asked.top_p,
            "truncation": asked.truncation or "disabled",
            "usage": _usage(usage) if usage else None,
            "user": asked.body.get("user"),
            "metadata": asked.metadata or {},
            "provider": self.provider,
            **more,
        }

    def whole(self) -> dict[str, Any]:
        """Return the response object of an answer that is whole."""
        opaque = self.asked.shows_opaque
        output = self.output.payload(opaque=opaque, last=self.status)
        return self.payload(self.status) | {"output": output}

    def stored(self) -> Stored:
        """Return what is to be stored of an answer that is whole."""
        return Stored(
            id=self.id,
            previous=self.asked.previous_response_id,
            body=self.payload(self.status),
            input=input_to_store(self.items),
            output=self.output.payload(opaque=True, last=self.status),
        )


@define(eq=False)
class ResponseAnswer:
    """Chunks to one response object."""

    response: _Response

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        for chunk in map(joined, pieces):
            deque(self.response.take(chunk), maxlen=0)

    def body(self) -> bytes:
        return orjson.dumps(self.response.whole())


@define(eq=False)
class ResponseStream:
    """
    Chunks to typed events, numbered, each item and each part begun and ended.

    Items are shown one after another, as OpenAI shows them. Where an upstream goes on
    with another item while a call's arguments still come, the other one waits.
    """

    response: _Response
    _number: int = field(default=0, init=False)
    # Items that have not ended, with what of each has not been shown.
    _open: deque[Item] = field(factory=deque, init=False)
    _unshown: dict[int, list[Piece]] = field(factory=dict, init=False)
    # The parts of the first of them that have begun: the last one has not ended.
    _begun: list[Part] | None = field(default=None, init=False)
    _alike: "_Alike | None" = field(default=None, init=False)

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        """Return the events for what arrived together."""
        frames: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, TextRun) and self._goes_on(piece.like):
                frames += self._run(piece)
            else:
                for chunk in chunks_of([piece]):
                    frames += self._chunk(chunk)
        return b"".join(frames)

    def end(self) -> bytes:
        """Return the last events of a stream that is whole."""
        frames = [] if self._number else [*self._start()]
        frames += self._advance(self.response.status, ended=True)
        name = f"response.{self.response.status}"
        frames.append(self._event(name, response=self.response.whole()))
        return b"".join(frames)

    def fail(self, error: GatewayError) -> bytes:
        """Return the last events of a stream that breaks off, wherever it is."""
        frames = [] if self._number else [*self._start()]
        told = {"code": _code(error), "message": error.message}
        failed = self.response.payload("failed", error=told)
        opaque = self.response.asked.shows_opaque
        last = "incomplete"
        failed["output"] = self.response.output.payload(opaque=opaque, last=last)
        frames.append(self._event("response.failed", response=failed))
        # The object under `error` makes OpenAI's own packages raise.
        payload = error.payload()
        plain = {name: payload[name] for name in ("code", "message", "param")}
        frames.append(self._event("error", **plain, error=payload))
        return b"".join(frames)

    def _goes_on(self, like: Chunk) -> bool:
        """Say whether chunks like this add to the text that is being shown, no more."""
        output = self.response.output
        return (
            like.choices == (PLAIN,)
            and like.usage is None
            and output.finish_reason is None
            and bool(self._begun)
            and self._part.kind == "output_text"
        )

    def _run(self, run: TextRun) -> Iterator[bytes]:
        """Show most of what there is to show: texts, each in a frame like the last."""
        part = self._part
        if self._alike is None or self._alike.part is not part:
            self._alike = self._made_alike(part)
        self.response.output.extend(part, run.texts())
        before, between, after = self._alike.frame
        for word in run.words:
            yield b"%b%d%b%b%b" % (before, self._number, between, word, after)
            self._number += 1

    def _made_alike(self, part: Part) -> "_Alike":
        """Make a frame, to be cut where its number and its text stand."""
        number = self._number
        frame = self._of_part(self._open[0], "delta", PLACEHOLDER, [])
        self._number = number
        mark = b'"sequence_number":'
        before, rest = frame.split(mark + b"%d" % number, 1)
        between, after = rest.split(orjson.dumps(PLACEHOLDER), 1)
        return _Alike(part, (before + mark, between, after))

    def _chunk(self, chunk: Chunk) -> Iterator[bytes]:
        taken = self.response.take(chunk)
        if not self._number:
            yield from self._start()
        for piece in taken:
            yield from self._piece(piece)

    def _start(self) -> Iterator[bytes]:
        begun = self.response.payload("in_progress", output=[])
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        item = piece.item
        if item.index not in self._unshown:
            self._unshown[item.index] = []
            self._open.append(item)
        self._unshown[item.index].append(piece)
        yield from self._advance()

    def _advance(
        self, last: str = "completed", *, ended: bool = False
    ) -> Iterator[bytes]:
        """Show what can be shown: of the first item all, of others when it is over."""
        while self._open and (ended or self._open[0].named):
            first = self._open[0]
            yield from self._pieces(first)
            if not ended and (len(self._open) == 1 or not first.whole):
                return
            final = len(self._open) == 1  # and then it has ended
            yield from self._close(first, last if final else "completed")
            self._open.popleft()

    def _pieces(self, item: Item) -> Iterator[bytes]:
        if self._begun is None:
            self._begun = []
            begun = item.begun()
            yield self._event("response.output_item.added", item.index, item=begun)
        pieces, self._unshown[item.index] = self._unshown[item.index], []
        for piece in pieces:
            if piece.part not in item.parts:
                continue
            if piece.part not in self._begun:
                yield from self._end_part(item)
                self._begun.append(piece.part)
                yield from self._begin_part(item)
            if piece.text or piece.logprobs:
                yield self._of_part(item, "delta", piece.text, piece.logprobs)

    def _close(self, item: Item, status: str) -> Iterator[bytes]:
        yield from self._end_part(item)
        done = item.payload(status, opaque=self.response.asked.shows_opaque)
        yield self._event("response.output_item.done", item.index, item=done)
        self._begun = None

    def _begin_part(self, item: Item) -> Iterator[bytes]:
        part = self._part
        if part.kind != "arguments":
            yield self._framing(item, "added", Part(part.kind))

    def _end_part(self, item: Item) -> Iterator[bytes]:
        if not self._begun:
            return
        part = self._part
        yield self._of_part(item, "done", part.text, part.logprobs)
        if part.kind != "arguments":
            yield self._framing(item, "done", part)

    @property
    def _part(self) -> Part:
        """The part that has begun and not ended."""
        if not self._begun:
            raise AssertionError("no part has begun")
        return self._begun[-1]

    def _place(self, item: Item) -> dict[str, Any]:
        """Return where the part that has begun stands: its index among its like."""
        place: dict[str, Any] = {"item_id": item.id}
        if self._part.kind == "summary_text":
            place["summary_index"] = len(self._begun or ()) - 1
        elif self._part.kind != "arguments":
            place["content_index"] = len(self._begun or ()) - 1
        return place

    def _framing(self, item: Item, what: str, part: Part) -> bytes:
        summed = part.kind == "summary_text"
        name = "reasoning_summary_part" if summed else "content_part"
        return self._event(
            f"response.{name}.{what}",
            item.index,
            **self._place(item),
            part=part.payload(),
        )

    def _of_part(self, item: Item, what: str, text: str, logprobs: list[Any]) -> bytes:
        part = self._part
        names = {"refusal": "refusal", "arguments": "arguments"}
        name = "delta" if what == "delta" else names.get(part.kind, "text")
        more = self._place(item) | {name: text}
        if part.kind == "output_text":
            more["logprobs"] = [_told(row) for row in logprobs]
        return self._event(f"{DELTA[part.kind]}.{what}", item.index, **more)

    def _event(self, kind: str, index: int | None = None, **fields: Any) -> bytes:
        payload: dict[str, Any] = {"type": kind, "sequence_number": self._number}
        if index is not None:
            payload["output_index"] = index
        self._number += 1
        data = orjson.dumps(payload | fields)
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


@frozen
class _Alike:
    """What stands in the frames of a part's texts around their number and the text."""

    part: Part
    frame: tuple[bytes, bytes, bytes]


@define(eq=False)
class Rendering:
    """
    How one request is answered, whichever provider wins; *items* are its own input.

    *stored* is what its response leaves behind, once it is whole.
    """

    asked: ResponseRequest
    items: list[Mapping[str, Any]]
    _stream: ResponseStream | None = field(default=None, init=False)
    _response: _Response | None = field(default=None, init=False)

    @property
    def form(self) -> Format:
        return Format(self._streamed, self._answered, self._broken)

    def stored(self) -> Stored:
        if self._response is None:
            raise AssertionError("nothing has been answered")
        return self._response.stored()

    def _streamed(self, _: ChatRequest, provider: str, model: str) -> ResponseStream:
        self._response = _Response(self.asked, self.items, provider, model)
        self._stream = ResponseStream(self._response)
        return self._stream

    def _answered(self, _: ChatRequest, provider: str, model: str) -> ResponseAnswer:
        self._response = _Response(self.asked, self.items, provider, model)
        return ResponseAnswer(self._response)

    def _broken(self, error: GatewayError) -> bytes:
        stream = self._stream
        if stream is None:  # nobody has won
            nobody = _Response(self.asked, self.items, None, self.asked.model)
            stream = ResponseStream(nobody)
        return stream.fail(error)


def _code(error: GatewayError) -> str:
    """Return the API's word for an error: it has few."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    refused = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "invalid_prompt" if refused else "server_error"


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a log probability as it stands in an event: less its bytes."""
    tops = [
        {"token": top["token"], "logprob": top["logprob"]}
        for top in row["top_logprobs"]
    ]
    return {"token": row["token"], "logprob": row["logprob"], "top_logprobs": tops}


def _reasoning(asked: ResponseRequest) -> dict[str, Any]:
    reasoning = asked.reasoning or NO_REASONING
    return {"effort": reasoning.effort, "summary": reasoning.summary}


def _text(asked: ResponseRequest) -> dict[str, Any]:
    given = (asked.body.get("text") or {}).get("format") or {"type": "text"}
    return {"format": given, "verbosity": (asked.text or NO_TEXT).verbosity}


def _tools(asked: ResponseRequest) -> list[Any]:
    given = {"parameters": None, "strict": None}
    return [given | tool for tool in asked.body.get("tools") or ()]


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.extra.get("prompt_tokens_details") or {}
    answer = usage.extra.get("completion_tokens_details") or {}
    return {
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
