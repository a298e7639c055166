"""Calls of custom tools, where a provider was shown functions in their place."""

from collections.abc import Iterator

from attrs import define, evolve, field

from providers import ChatRequest, Choice, ToolCallDelta
from server.wire.bound import AnswerSize
from server.wire.custom import input_in

# What a piece takes at least, even if it says nothing.
PIECE_SIZE = 100


@define(eq=False)
class HeldCall:
    """A call whose name is not known yet, or whose input must be whole to be shown."""

    custom: bool = False
    id: str | None = None
    pieces: list[str] = field(factory=list)


@define(eq=False)
class CustomCalls:
    """
    Gives calls of the custom tools *names* back as such, whatever the model was shown.

    The input comes in one piece at the end of its choice: it stands in JSON.
    """

    names: frozenset[str]
    # By the choice and the index of a call; None: it is a function's.
    _held: dict[tuple[int, int], HeldCall | None] = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)

    def shown(self, choice: Choice) -> Choice:
        """Return *choice* as the client sees it; raises ProviderProtocolError."""
        if not self.names or not (choice.delta.tool_calls or choice.finish_reason):
            return choice
        calls = [
            piece
            for call in choice.delta.tool_calls
            for piece in self._take((choice.index, call.index), call)
        ]
        if choice.finish_reason:
            calls += self._rest(choice.index)
        if not calls and not choice.delta.tool_calls:
            return choice
        return evolve(choice, delta=evolve(choice.delta, tool_calls=tuple(calls)))

    def _take(
        self, key: tuple[int, int], call: ToolCallDelta
    ) -> Iterator[ToolCallDelta]:
        held = self._held.setdefault(key, HeldCall())
        if held is None or call.custom is not None:
            self._held[key] = None
            yield call
            return
        held.pieces.append(call.arguments or "")
        self._size.grow(PIECE_SIZE + len(held.pieces[-1]))
        held.id = held.id or call.id
        if held.custom or not call.name:
            return
        if call.name in self.names:
            held.custom = True
            extra = {**call.extra, "custom": {"name": call.name, "input": ""}}
            yield ToolCallDelta(
                index=call.index, id=held.id, type="custom", extra=extra
            )
            return
        self._held[key] = None
        yield evolve(call, id=held.id, arguments="".join(held.pieces))

    def _rest(self, choice: int) -> Iterator[ToolCallDelta]:
        for (of, index), held in self._held.items():
            if of == choice and held is not None and held.custom:
                extra = {"custom": {"input": input_in("".join(held.pieces))}}
                yield ToolCallDelta(index=index, extra=extra)


def custom_calls(chat: ChatRequest) -> CustomCalls:
    """Return what gives the calls of a chat's custom tools back as such."""
    tools = chat.tools or ()
    return CustomCalls(frozenset(t.custom.name for t in tools if t.custom is not None))
