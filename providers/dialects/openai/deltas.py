"""What the choices of OpenAI's chunks add to a message, with calls put in order."""

from attrs import define, field

from providers.chat import NO_DELTA, NOTHING, Delta, ToolCallDelta
from providers.dialects.tolerant import note
from providers.dialects.tool_calls import CallIds, CallPieces
from providers.json_types import JSON, JSONMapping

from .reading import (
    arguments_of,
    call_index,
    content_of,
    object_of,
    rest_of,
    said_in,
    says,
    text_of,
    thought_of,
)

KNOWN_IN_DELTA = frozenset(
    (
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "tool_calls",
        "audio",
        "function_call",
    )
)
PLAIN = frozenset(("role", "content"))
KNOWN_IN_CALL = frozenset(("index", "id", "type", "function"))


@define(eq=False)
class DeltaReader:
    """
    The deltas of one answer, or the messages that stand for them.

    *calls* are the pieces of the tool calls that have begun, by their choice.
    """

    notes: list[str]
    calls: dict[int, CallPieces] = field(factory=dict, init=False)
    _ids: CallIds | None = field(default=None, init=False)  # once there is a call
    _spoke: bool = field(default=False, init=False)

    def read(self, within: JSONMapping, choice: int, *, whole: bool) -> Delta:
        """Return what a choice adds; *whole*: it is one of a whole answer."""
        delta = self._said(within, whole=whole)
        if delta.keys() <= PLAIN:  # most are, and need no look at all else
            plain = delta.get("content")
            if plain is None or plain == "":
                return NO_DELTA
            if type(plain) is str:
                return Delta(content=plain)
        content, thinking = content_of(delta.get("content"))
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or thinking
        return Delta(
            content=content,
            reasoning_content=thought_of(reasoning),
            refusal=text_of(delta.get("refusal")),
            tool_calls=self._tool_calls(delta.get("tool_calls"), choice, whole=whole),
            audio=object_of(delta.get("audio")),
            function_call=object_of(delta.get("function_call")),
            extra=rest_of(delta, KNOWN_IN_DELTA),
        )

    def _said(self, choice: JSONMapping, *, whole: bool) -> JSONMapping:
        """
        Return a choice's delta, or what stands for it: a message, where no delta is.

        A message beside a delta, or after deltas, repeats what they have said.
        """
        delta: JSONMapping | None = choice.get("delta")
        if delta:
            self._spoke = self._spoke or says(delta)
            return delta
        said = said_in(choice)
        if whole or not ("delta" in choice or self._spoke):
            return said
        if choice.get("message"):
            note(self.notes, "whole message beside its pieces")
        return NOTHING

    def _tool_calls(
        self, calls: JSON, choice: int, *, whole: bool
    ) -> tuple[ToolCallDelta, ...]:
        if not calls:
            return ()
        pieces = self.calls.get(choice)
        if pieces is None:
            self._ids = self._ids or CallIds(self.notes)
            pieces = self.calls[choice] = CallPieces(self._ids, self.notes)
        out: list[ToolCallDelta] = []
        for call in calls:
            if call is None:
                continue
            index = call_index(call.get("index"))
            out += pieces.add(_piece(call), index, whole=whole)
        return tuple(out)


def _piece(call: JSONMapping) -> ToolCallDelta:
    function = call.get("function") or NOTHING
    return ToolCallDelta(
        index=0,
        id=text_of(call.get("id")),
        type=text_of(call.get("type")),
        name=text_of(function.get("name")),
        arguments=arguments_of(function.get("arguments")),
        extra=rest_of(call, KNOWN_IN_CALL),
    )
