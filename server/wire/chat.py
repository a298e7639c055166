"""OpenAI's chat completions, as we serve them: a request in, an answer out."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, evolve, field

from providers import (
    NO_DELTA,
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Delta,
    ProviderProtocolError,
    TextRun,
    ToolCallDelta,
    Usage,
    with_text,
)
from server.errors import GatewayError
from server.racing.lineup import Selection

from .format import Format
from .reading import make, read_object, take_selection
from .reasoning import DETAILS, joined_details

DONE = b"data: [DONE]\n\n"
# Stands for a text in a frame that is to be cut there: no id or model contains it.
PLACEHOLDER = f"text-{uuid.uuid4().hex}"
MAX_ANSWER = 64 * 1024 * 1024
# What a piece of a tool call takes at least, even if it says nothing.
CALL_SIZE = 100


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ChatRequest, Selection]:
    """Return the chat that *body* asks for, and whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    request = make({**payload, "body": payload}, ChatRequest)
    return request, selection


def error_frame(error: GatewayError) -> bytes:
    return b"data: " + error.body() + b"\n\n"


@define(eq=False)
class Identity:
    """What every chunk of an answer repeats: taken from the first that has it."""

    provider: str
    model: str
    id: str = ""
    created: int = 0

    def learn(self, chunk: Chunk) -> None:
        if not self.id:
            self.id = chunk.id or f"chatcmpl-{uuid.uuid4().hex}"
            self.created = chunk.created or int(time.time())
            self.model = chunk.model or self.model

    def payload(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
        }


@define(eq=False)
class ChatStream:
    """
    Chunks to server-sent events, in the order that OpenAI's API keeps.

    The role comes in a choice's first delta only, each choice finishes once, nothing
    follows its finish, and usage is shown at the end, to who asked for it.
    """

    identity: Identity
    include_usage: bool
    _spoken: set[int] = field(factory=set, init=False)
    _finished: set[int] = field(factory=set, init=False)
    _told: set[tuple[int, int, str]] = field(factory=set, init=False)
    _usage: Usage | None = field(default=None, init=False)
    _alike: "_Alike | None" = field(default=None, init=False)

    def render(self, pieces: Sequence[ChatPiece]) -> bytes:
        """Return the frames for what arrived together."""
        if len(pieces) == 1:
            return self._piece(pieces[0])
        return b"".join([self._piece(piece) for piece in pieces])

    def end(self) -> bytes:
        """Return the last frames of a stream that is whole."""
        if not self.include_usage or self._usage is None:
            return DONE
        payload = self.identity.payload("chat.completion.chunk")
        payload |= {"choices": [], "usage": usage_payload(self._usage)}
        return _data(payload) + DONE

    def _piece(self, piece: ChatPiece) -> bytes:
        if not isinstance(piece, TextRun):
            return self._frame(joined(piece))
        alike = self._alike
        if alike is not None and alike.like is piece.like and not self._finished:
            return alike.frames(piece.words)
        return self._run(piece)

    def _run(self, run: TextRun) -> bytes:
        index = run.like.choices[0].index
        if index not in self._spoken or index in self._finished:
            return b"".join([self._frame(chunk) for chunk in run.chunks()])
        alike = self._alike
        if alike is None or alike.like is not run.like:
            alike = self._alike = self._made_alike(run.like)
        return alike.frames(run.words)

    def _made_alike(self, like: Chunk) -> "_Alike":
        """Render one such chunk, for its frame to be cut where the text stands."""
        frame = self._frame(with_text(like, PLACEHOLDER))
        before, after = frame.split(orjson.dumps(PLACEHOLDER), 1)
        return _Alike(like, before, after, after + before)

    def _frame(self, chunk: Chunk) -> bytes:
        self.identity.learn(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage
        choices = [shown for c in chunk.choices if (shown := self._choice(c))]
        if not choices:
            return b""
        payload = self.identity.payload("chat.completion.chunk")
        return _data({**payload, "choices": choices, **chunk.extra})

    def _choice(self, choice: Choice) -> dict[str, Any] | None:
        index = choice.index
        if index in self._finished:
            return None
        delta = delta_payload(choice.delta)
        if choice.delta.tool_calls:
            delta["tool_calls"] = [
                self._call(index, call) for call in choice.delta.tool_calls
            ]
        if not delta and choice.finish_reason is None and choice.logprobs is None:
            return None
        if index not in self._spoken:
            self._spoken.add(index)
            delta = {"role": "assistant", **delta}
        if choice.finish_reason is not None:
            self._finished.add(index)
        shown: dict[str, Any] = {"index": index, "delta": delta}
        if choice.logprobs is not None:
            shown["logprobs"] = choice.logprobs
        shown["finish_reason"] = choice.finish_reason
        return shown

    def _call(self, choice: int, call: ToolCallDelta) -> dict[str, Any]:
        """
        Return a piece of a tool call: its id and its name are told once.

        Clients append what comes to what they have; some upstreams repeat both with
        every piece.
        """
        told = {(choice, call.index, what) for what in ("id", "name")} & self._told
        known = {what for _, _, what in told}
        shown: dict[str, Any] = {**call.extra, "index": call.index}
        function = {"arguments": call.arguments or ""}
        if (call.id or call.name) and "id" not in known:
            shown |= {"id": call.id or new_call_id(), "type": call.type or "function"}
            self._told.add((choice, call.index, "id"))
        if call.name and "name" not in known:
            function = {"name": call.name, **function}
            self._told.add((choice, call.index, "name"))
        return {**shown, "function": function}


@define(eq=False)
class _Alike:
    """The frames of all chunks that are *like* one, around and between their texts."""

    like: Chunk
    before: bytes
    after: bytes
    between: bytes

    def frames(self, words: list[bytes]) -> bytes:
        return b"%b%b%b" % (self.before, self.between.join(words), self.after)


@define(eq=False)
class ChatAnswer:
    """Chunks to one chat completion."""

    identity: Identity
    _messages: dict[int, "_Message"] = field(factory=dict, init=False)
    _usage: Usage | None = field(default=None, init=False)
    _extra: dict[str, Any] = field(factory=dict, init=False)
    _size: int = field(default=0, init=False)
    _passed: Completion | None = field(default=None, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for piece in pieces:
            if isinstance(piece, Completion):
                self._passed = piece
                break
            chunk = joined(piece)
            if not self.identity.id:
                self.identity.learn(chunk)
            self._usage = chunk.usage or self._usage
            self._extra.update(chunk.extra)
            for choice in chunk.choices:
                message = self._messages.get(choice.index)
                if message is None:
                    message = self._messages[choice.index] = _Message()
                self._size += message.add(choice)
        if self._size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")

    def body(self) -> bytes:
        if self._passed is not None:
            return orjson.dumps(
                {**self._passed.payload, "provider": self.identity.provider}
            )
        payload = self.identity.payload("chat.completion")
        payload["choices"] = [
            message.payload(index) for index, message in sorted(self._messages.items())
        ]
        if self._usage is not None:
            payload["usage"] = usage_payload(self._usage)
        return orjson.dumps({**payload, **self._extra})


@define(eq=False)
class _Message:
    """One choice's message, put together from its deltas."""

    text: dict[str, list[str]] = field(factory=dict)
    calls: dict[int, ToolCallDelta] = field(factory=dict)
    arguments: dict[int, list[str]] = field(factory=dict)
    other: dict[str, Any] = field(factory=dict)
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None

    def add(self, choice: Choice) -> int:
        """Take in a choice's delta; return how much larger that makes the message."""
        if self.finish_reason is not None:
            return 0
        self.finish_reason = choice.finish_reason
        delta = choice.delta
        if choice.logprobs is not None:
            return self._add_all(choice, delta)
        if delta is NO_DELTA:
            return 0
        if not delta.is_plain:
            return self._add_all(choice, delta)
        self.text.setdefault("content", []).append(delta.content or "")
        return len(delta.content or "")

    def _add_all(self, choice: Choice, delta: Delta) -> int:
        size = sum(self._add_call(call) for call in delta.tool_calls)
        for name in ("content", "reasoning_content", "refusal"):
            if piece := getattr(delta, name):
                self.text.setdefault(name, []).append(piece)
                size += len(piece)
        if choice.logprobs is not None:
            self.logprobs = merged(self.logprobs or {}, choice.logprobs)
        for name in ("audio", "function_call"):
            if value := getattr(delta, name):
                self.other[name] = merged(self.other.get(name, {}), value)
        self.other = merged(self.other, delta.extra)
        rest = (choice.logprobs, delta.audio, delta.function_call, delta.extra)
        return size + sum(len(str(value)) for value in rest if value)

    def _add_call(self, call: ToolCallDelta) -> int:
        known = self.calls.get(call.index, call)
        self.calls[call.index] = evolve(
            known,
            id=known.id or call.id,
            name=known.name or call.name,
            extra={**known.extra, **call.extra},
        )
        self.arguments.setdefault(call.index, []).append(call.arguments or "")
        return CALL_SIZE + len(call.arguments or "")

    def payload(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None,
            "refusal": None,
        }
        message |= {name: "".join(pieces) for name, pieces in self.text.items()}
        message |= self.other
        if DETAILS in message:
            message[DETAILS] = joined_details(message[DETAILS])
        if self.calls:
            message["tool_calls"] = [
                call_payload(call, "".join(self.arguments[at]))
                for at, call in sorted(self.calls.items())
            ]
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason or "stop",
        }


def joined(piece: ChatPiece) -> Chunk:
    """Return a piece as one chunk."""
    if isinstance(piece, TextRun):
        return with_text(piece.like, "".join(piece.texts()))
    if isinstance(piece, Completion):
        return piece.chunk()
    return piece


def delta_payload(delta: Delta) -> dict[str, Any]:
    """Return a delta as it stands in a chunk, less its role and its tool calls."""
    shown: dict[str, Any] = {}
    if delta.content:
        shown["content"] = delta.content
    if delta.reasoning_content:
        shown["reasoning_content"] = delta.reasoning_content
    if delta.refusal:
        shown["refusal"] = delta.refusal
    if delta.audio:
        shown["audio"] = delta.audio
    if delta.function_call:
        shown["function_call"] = delta.function_call
    return {**shown, **delta.extra} if delta.extra else shown


def call_payload(call: ToolCallDelta, arguments: str) -> dict[str, Any]:
    """Return a whole tool call."""
    return {
        **call.extra,
        "id": call.id or new_call_id(),
        "type": call.type or "function",
        "function": {"name": call.name or "", "arguments": arguments},
    }


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def usage_payload(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        **usage.extra,
    }


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Add a delta's object to what came before: texts and lists grow."""
    result = dict(old)
    for name, value in new.items():
        had: Any = result.get(name)
        if name != "id" and type(had) is type(value) and type(had) in (str, list):
            result[name] = had + value
        elif value is not None:
            result[name] = value
    return result


def _data(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


CHAT = Format(
    stream=lambda request, provider, model: ChatStream(
        Identity(provider, model), request.include_usage
    ),
    answer=lambda _, provider, model: ChatAnswer(Identity(provider, model)),
    error_frame=error_frame,
)
