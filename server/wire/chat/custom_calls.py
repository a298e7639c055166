"""Calls of custom tools by models that are shown functions in place of these."""

from collections.abc import Iterator

from attrs import define, evolve, field

from providers import ChatRequest, Choice, ToolCallDelta
from server.wire.bound import AnswerSize
from server.wire.custom import input_in

# The bytes that a piece takes in memory at least, even without a text.
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
    Shows the client calls of its custom tools, where the model has called functions.

    *names* are the custom tools'. A call's input comes in one piece at the end of its
    choice, since it stands in the JSON of the arguments.
    """

    names: frozenset[str]
    # The calls, by choice and index; None: it is a function's.
    _calls: dict[tuple[int, int], HeldCall | None] = field(factory=dict, init=False)
    _size: AnswerSize = field(factory=AnswerSize, init=False)

    def shown(self, choice: Choice) -> Choice:
        """Return *choice* as the client sees it; raises ProviderProtocolError."""
        if not self.names or not (choice.delta.tool_calls or choice.finish_reason):
            return choice
        shown_calls = [
            piece
            for call in choice.delta.tool_calls
            for piece in self._take((choice.index, call.index), call)
        ]
        if choice.finish_reason:
            shown_calls += self._rest(choice.index)
        if not shown_calls and not choice.delta.tool_calls:
            return choice
        return evolve(choice, delta=evolve(choice.delta, tool_calls=tuple(shown_calls)))

    def _take(
        self, key: tuple[int, int], call: ToolCallDelta
    ) -> Iterator[ToolCallDelta]:
        waiting = self._calls.setdefault(key, HeldCall())
        if waiting is None or call.custom is not None:
            self._calls[key] = None
            yield call
            return
        waiting.pieces.append(call.arguments or "")
        self._size.grow(PIECE_SIZE + len(waiting.pieces[-1]))
        waiting.id = waiting.id or call.id
        if waiting.custom or not call.name:
            return
        if call.name in self.names:
            waiting.custom = True
            extra = {**call.extra, "custom": {"name": call.name, "input": ""}}
            yield ToolCallDelta(
                index=call.index, id=waiting.id, type="custom", extra=extra
            )
            return
        self._calls[key] = None
        yield evolve(call, id=waiting.id, arguments="".join(waiting.pieces))

    def _rest(self, choice: int) -> Iterator[ToolCallDelta]:
        for (of, index), waiting in self._calls.items():
            if of == choice and waiting is not None and waiting.custom:
                extra = {"custom": {"input": input_in("".join(waiting.pieces))}}
                yield ToolCallDelta(index=index, extra=extra)


# Without a name, it keeps nothing: all answers can share it.
NO_CUSTOM_CALLS = CustomCalls(frozenset())


def custom_calls(chat: ChatRequest) -> CustomCalls:
    """Return what shows the calls of a chat's custom tools."""
    if not chat.tools:
        return NO_CUSTOM_CALLS
    names = (tool.custom.name for tool in chat.tools if tool.custom is not None)
    return CustomCalls(frozenset(names))
