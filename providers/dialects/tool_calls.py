"""Tool calls as they come in pieces: which piece is whose, under which id and name.

Out goes what every client can read: calls numbered from 0, each with an id that no
other call of the answer has. The start of a call, its id and name, is held back until
its arguments begin or the answer ends, since a name may come in pieces.
"""

from collections.abc import Callable, Mapping
from uuid import uuid4

import orjson
from attrs import define, evolve, field

from providers.chat import NOTHING, ToolCallDelta
from providers.json_types import JSONMapping

from .arguments import ArgumentText
from .tolerant import note


@define
class CallIds:
    """The ids of an answer's calls: each is given once."""

    notes: list[str]
    _given: set[str] = field(factory=set, init=False)

    def unique(self, wanted: str | None) -> str:
        """Return *wanted*, or a new id if it is none, or taken by another call."""
        if wanted in self._given:
            note(self.notes, "call id used twice")
            wanted = None
        given = wanted or f"call_{uuid4().hex[:24]}"
        self._given.add(given)
        return given


@define(kw_only=True, eq=False)
class _OpenCall:
    """A call that may grow: what it is, and what of it has gone out."""

    number: int = -1
    id: str | None = None
    type: str | None = None
    name: str = ""
    extra: JSONMapping = NOTHING
    started: bool = False
    pieces: list[str] = field(factory=list)
    text: ArgumentText | None = None  # once there is an escape in them

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are an object that nothing can be added to."""
        try:
            return isinstance(orjson.loads("".join(self.pieces)), dict)
        except orjson.JSONDecodeError:
            return False


@define(eq=False)
class CallPieces:
    """The calls of one choice, put in order from their pieces."""

    ids: CallIds
    notes: list[str]
    _calls: list[_OpenCall] = field(factory=list, init=False)
    _by_index: dict[int, _OpenCall] = field(factory=dict, init=False)
    _by_id: dict[str, _OpenCall] = field(factory=dict, init=False)
    _held: list[_OpenCall] = field(factory=list, init=False)
    _started: int = field(default=0, init=False)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(
        self, piece: ToolCallDelta, index: int | None, *, whole: bool = False
    ) -> list[ToolCallDelta]:
        """
        Return what goes out for *piece*, which has the upstream's *index*.

        *whole*: it is an entry of a whole message, so it is a call.
        """
        call = None if whole else self._going_on(piece, index)
        if call is None:
            call = self._begin(piece, index)
        else:
            self._learn(call, piece)
        if whole:
            self._by_index.clear()
        return self._out(call, piece)

    def release(self) -> list[ToolCallDelta]:
        """Return the starts of the calls that are held back still."""
        return self._starts(lambda call: bool(call.name))

    def close(self) -> list[ToolCallDelta]:
        """Return what the calls lack at the end of the answer."""
        starts = self.release()
        for call in self._calls:
            rest = call.text.rest() if call.text is not None else ""
            if rest:
                call.pieces.append(rest)
                starts.append(ToolCallDelta(index=call.number, arguments=rest))
            empty = not "".join(call.pieces).strip()
            if call.started and empty and "custom" not in call.extra:
                # Clients parse the arguments, so even none are an object.
                starts.append(ToolCallDelta(index=call.number, arguments="{}"))
        return _joined(starts)

    def _going_on(self, piece: ToolCallDelta, index: int | None) -> _OpenCall | None:
        """Return the call that *piece* goes on with; None if it begins one."""
        call = self._open_at(piece, index)
        if call is None or not _name(piece) or _continues(call, piece, index):
            return call
        reused = index is not None
        note(self.notes, "call index reused" if reused else "call without an index")
        return None

    def _open_at(self, piece: ToolCallDelta, index: int | None) -> _OpenCall | None:
        last = self._calls[-1] if self._calls else None
        if index is None:
            return self._by_id.get(piece.id or "", last)
        if call := self._by_index.get(index):
            return call
        if last is not None and not self._by_index and not _name(piece):
            return last  # the others of its pieces had no index
        return None

    def _begin(self, piece: ToolCallDelta, index: int | None) -> _OpenCall:
        call = _OpenCall(
            id=piece.id,
            type=piece.type,
            name=_name(piece),
            extra=piece.extra,
        )
        if index is not None:
            self._by_index[index] = call
        elif piece.id:
            self._by_id[piece.id] = call
        self._calls.append(call)
        self._held.append(call)
        return call

    def _learn(self, call: _OpenCall, piece: ToolCallDelta) -> None:
        """Take in what comes late: an id, or the next piece of the name."""
        call.id = call.id or piece.id
        call.type = call.type or piece.type
        if not call.started and piece.extra:
            call.extra = {**call.extra, **piece.extra}
        if piece.name and piece.name != call.name and not call.pieces:
            if call.name:
                note(self.notes, "call name in pieces")
            call.name += piece.name

    def _out(self, call: _OpenCall, piece: ToolCallDelta) -> list[ToolCallDelta]:
        arguments = self._checked(call, piece.arguments) if piece.arguments else None
        if arguments:
            call.pieces.append(arguments)
        custom = "custom" in piece.extra
        if not (arguments or custom):
            if call.started and piece.extra:
                return [ToolCallDelta(index=call.number, extra=piece.extra)]
            return []
        starts: list[ToolCallDelta] = []
        if not call.started:
            at = self._held.index(call)
            earlier = [each for each in self._held[:at] if each.name]
            starts = self._starts(lambda each: each is call or each in earlier)
            more = ToolCallDelta(index=call.number, arguments=arguments)
        else:
            more = ToolCallDelta(
                index=call.number, arguments=arguments, extra=piece.extra
            )
        return _joined([*starts, more])

    def _checked(self, call: _OpenCall, arguments: str) -> str:
        """Return what of a piece of arguments can go out: no half of an escape."""
        if call.text is None:
            if "\\" not in arguments:
                return arguments  # nearly all
            call.text = ArgumentText(self.notes)
        return call.text.add(arguments)

    def _starts(self, ready: Callable[[_OpenCall], bool]) -> list[ToolCallDelta]:
        """Start those of the calls that are *ready*, in their order."""
        starts = [self._start(call) for call in self._held if ready(call)]
        self._held = [call for call in self._held if not call.started]
        return starts

    def _start(self, call: _OpenCall) -> ToolCallDelta:
        call.started, call.number = True, self._started
        self._started += 1
        return ToolCallDelta(
            index=call.number,
            id=self.ids.unique(call.id),
            type=call.type or "function",
            name=call.name or None,
            extra=call.extra,
        )


def _name(piece: ToolCallDelta) -> str:
    if piece.name:
        return piece.name
    custom = piece.extra.get("custom")
    return str(custom.get("name") or "") if isinstance(custom, Mapping) else ""


def _continues(call: _OpenCall, piece: ToolCallDelta, index: int | None) -> bool:
    """Say whether a piece with a name is one of *call*, which is open at its index."""
    if not (call.name or call.pieces):
        return index is not None or not (piece.id and call.id) or piece.id == call.id
    if index is None and not piece.id:
        return False
    if piece.id and piece.id != call.id and (call.id or call.pieces):
        return False
    return not _repeats(call, piece)


def _repeats(call: _OpenCall, piece: ToolCallDelta) -> bool:
    """Say whether a piece with a name is a call of its own, since *call* is whole."""
    anew = piece.arguments and piece.arguments.lstrip().startswith("{")
    return bool(call.pieces and (anew or piece.name != call.name) and call.is_whole)


def _joined(pieces: list[ToolCallDelta]) -> list[ToolCallDelta]:
    """Put the start of a call and its arguments into one piece."""
    made: list[ToolCallDelta] = []
    for piece in pieces:
        if made and made[-1].index == piece.index:
            made[-1] = evolve(
                made[-1],
                arguments=piece.arguments,
                extra={**made[-1].extra, **piece.extra} or NOTHING,
            )
        else:
            made.append(piece)
    return made
