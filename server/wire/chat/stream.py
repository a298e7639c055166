"""A chat completion as a stream of chunks."""

from collections.abc import Sequence

from attrs import define, field

from providers import (
    ChatPiece,
    Choice,
    Chunk,
    Delta,
    TextRun,
    ToolCallDelta,
    Usage,
    with_text,
)
from server.json_types import JSONObject
from server.wire.frames import DONE, PLACEHOLDER, TEXT_MARK, cut, data_frame
from server.wire.pieces import as_chunk

from .custom_calls import NO_CUSTOM_CALLS, CustomCalls
from .payloads import Identity, new_call_id, usage_payload


@define(eq=False)
class TextFrames:
    """The frames of all chunks that are *like* one, around and between their texts."""

    like: Chunk
    before: bytes
    after: bytes
    between: bytes

    def of(self, words: list[bytes]) -> bytes:
        """Return the frames of texts, which are JSON strings."""
        return b"%b%b%b" % (self.before, self.between.join(words), self.after)


@define(eq=False)
class ChatCompletionStream:
    """
    Chunks to server-sent events, in the order that OpenAI's API keeps.

    The role comes in a choice's first delta only, each choice finishes once, nothing
    follows its finish, and usage is shown at the end, to clients that asked for it.
    """

    identity: Identity
    include_usage: bool
    _customs: CustomCalls = NO_CUSTOM_CALLS
    # The choices whose role, and whose finish, has been sent.
    _has_role: set[int] = field(factory=set, init=False)
    _finished: set[int] = field(factory=set, init=False)
    # The choice and the index of each tool call whose id, or name, has been sent.
    _calls_with_id: set[tuple[int, int]] = field(factory=set, init=False)
    _calls_with_name: set[tuple[int, int]] = field(factory=set, init=False)
    _usage: Usage | None = field(default=None, init=False)
    _text_frames: TextFrames | None = field(default=None, init=False)

    def render(self, pieces: Sequence[ChatPiece]) -> bytes:
        """Return the frames for what arrived together."""
        if len(pieces) == 1:
            return self._piece(pieces[0])
        return b"".join([self._piece(piece) for piece in pieces])

    def end(self, cost: float | None = None) -> bytes:
        """Return the last frames of a stream that is whole."""
        if not self.include_usage or self._usage is None:
            return DONE
        payload = self.identity.payload("chat.completion.chunk")
        payload |= {"choices": [], "usage": usage_payload(self._usage, cost)}
        return data_frame(payload) + DONE

    def _piece(self, piece: ChatPiece) -> bytes:
        if not isinstance(piece, TextRun):
            return self._frame(as_chunk(piece))
        frames = self._text_frames
        if frames is not None and frames.like is piece.like and not self._finished:
            return frames.of(piece.words)
        return self._run(piece)

    def _run(self, run: TextRun) -> bytes:
        index = run.like.choices[0].index
        if index not in self._has_role or index in self._finished:
            return b"".join([self._frame(chunk) for chunk in run.chunks()])
        frames = self._text_frames
        if frames is None or frames.like is not run.like:
            frames = self._text_frames = self._cut_frame(run.like)
        return frames.of(run.words)

    def _cut_frame(self, like: Chunk) -> TextFrames:
        """Render one such chunk, for its frame to be cut where the text stands."""
        frame = self._frame(with_text(like, PLACEHOLDER))
        before, after = cut(frame, TEXT_MARK)
        return TextFrames(like, before, after, after + before)

    def _frame(self, chunk: Chunk) -> bytes:
        self.identity.learn(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage
        shown = map(self._customs.shown, chunk.choices)
        choices = [one for c in shown if (one := self._choice(c))]
        if not choices:
            return b""
        payload = self.identity.payload("chat.completion.chunk")
        return data_frame({**payload, "choices": choices, **chunk.extra})

    def _choice(self, choice: Choice) -> JSONObject | None:
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
        if index not in self._has_role:
            self._has_role.add(index)
            delta = {"role": "assistant", **delta}
        if choice.finish_reason is not None:
            self._finished.add(index)
        payload: JSONObject = {"index": index, "delta": delta}
        if choice.logprobs is not None:
            payload["logprobs"] = choice.logprobs
        payload["finish_reason"] = choice.finish_reason
        return payload

    def _call(self, choice: int, call: ToolCallDelta) -> JSONObject:
        """
        Return a piece of a tool call: its id and its name are sent once.

        Clients append what comes to what they have; some upstreams repeat both with
        every piece.
        """
        key = (choice, call.index)
        payload: JSONObject = {**call.extra, "index": call.index}
        kind, name, piece = "function", call.name, {"arguments": call.arguments or ""}
        if (custom := call.custom) is not None:
            kind, name = "custom", custom.get("name")
            piece = {"input": custom.get("input") or ""}
        if (call.id or name) and key not in self._calls_with_id:
            payload |= {"id": call.id or new_call_id(), "type": call.type or kind}
            self._calls_with_id.add(key)
        if name and key not in self._calls_with_name:
            piece = {"name": name, **piece}
            self._calls_with_name.add(key)
        return {**payload, kind: piece}


def delta_payload(delta: Delta) -> JSONObject:
    """Return a delta as a chunk has it, without its role and its tool calls."""
    payload: JSONObject = {}
    if delta.content:
        payload["content"] = delta.content
    if delta.reasoning_content:
        payload["reasoning_content"] = delta.reasoning_content
    if delta.refusal:
        payload["refusal"] = delta.refusal
    if delta.audio:
        payload["audio"] = delta.audio
    if delta.function_call:
        payload["function_call"] = delta.function_call
    return {**payload, **delta.extra} if delta.extra else payload
