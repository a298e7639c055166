"""How far an answer is: its choices' finish reasons and its usage, kept to its end.

A finish reason ends nothing by itself: upstreams give it early, on every chunk, or
twice. So it is told once, with the usage that holds, when the answer is over.
"""

from collections.abc import Mapping

from attrs import define, evolve, field

from providers.chat import NO_DELTA, NOTHING, Choice, Chunk, Delta, ToolCallDelta, Usage
from providers.json_types import JSON, JSONMapping

from .finish import EndReason
from .tolerant import note

NO_FRAME = Chunk()


@define(eq=False)
class Endings:
    """
    The choices that are open, and those that have a reason to end.

    *frame* is the last chunk with such a reason, which the closing chunk repeats.
    *broken*: an error came, so no reason counts. *unsaid*: a choice was closed without
    a reason of its own. *over*: what follows was kept back for the end.
    """

    notes: list[str]
    open: set[int] = field(factory=set, init=False)
    reasons: dict[int, EndReason] = field(factory=dict, init=False)
    usage: Usage | None = field(default=None, init=False)
    frame: Chunk = field(default=NO_FRAME, init=False)
    broken: bool = field(default=False, init=False)
    unsaid: bool = field(default=False, init=False)
    over: bool = field(default=False, init=False)

    @property
    def finished(self) -> bool:
        return bool(self.reasons) and not self.open and not self.broken

    @property
    def sound(self) -> bool:
        """Whether the upstream gave a reason for every end."""
        return self.finished and not self.unsaid

    def end(self, index: int, ending: EndReason) -> None:
        """Take in a reason of the choice *index*."""
        self.open.discard(index)
        if ending.native:
            note(self.notes, f"finish reason '{ending.native}' read as stop")
        self.reasons[index] = ending.after(self.reasons.get(index))

    def go_on(self, index: int, delta: Delta) -> None:
        """Take in that the choice *index* says more after its reason to end."""
        if self.over or not delta.has_token:
            return
        note(self.notes, "finish reason before the end")
        if delta.tool_calls:
            self.end(index, EndReason("tool_calls").after(self._unless_stop(index)))

    def _unless_stop(self, index: int) -> EndReason | None:
        earlier = self.reasons[index]
        return None if earlier.reason == "stop" else earlier

    def count(self, usage: Usage | None) -> Usage | None:
        """Return the usage that holds: the last that counts something."""
        if usage is not None and (self.usage is None or _counts(usage)):
            self.usage = usage
        return self.usage

    def without_end(self, chunk: Chunk) -> Chunk | None:
        """Return what of a *chunk* does not wait for the end, if there is anything."""
        if any(choice.finish_reason for choice in chunk.choices):
            self.frame = chunk
        said = [c for c in chunk.choices if _says(c)]
        if not (said or chunk.native):
            if chunk.extra and chunk.extra != self.frame.extra:
                extra = {**self.frame.extra, **chunk.extra}
                self.frame = evolve(self.frame, extra=extra)
            return None
        said = [evolve(c, finish_reason=None, native_finish_reason=None) for c in said]
        return evolve(chunk, choices=tuple(said), usage=None)

    def closing(self, calls: Mapping[int, list[ToolCallDelta]]) -> Chunk | None:
        """
        Return the chunk that ends the answer, with what its *calls* lack; None where
        there is nothing to end. Open choices end with `stop`.
        """
        ended = sorted(self.open | self.reasons.keys())
        if not ended:
            return None
        self.unsaid = bool(self.open)
        self.reasons = {i: self.reasons.get(i, EndReason("stop")) for i in ended}
        self.open.clear()
        choices = [self._closed(i, calls.get(i, [])) for i in ended]
        frame = self.frame
        return Chunk(
            id=frame.id,
            created=frame.created,
            model=frame.model,
            choices=tuple(choices),
            usage=self.usage,
            extra=frame.extra,
        )

    def _closed(self, index: int, calls: list[ToolCallDelta]) -> Choice:
        ending = self.reasons[index]
        return Choice(
            index=index,
            delta=Delta(tool_calls=tuple(calls)) if calls else NO_DELTA,
            finish_reason=ending.reason,
            native_finish_reason=ending.native,
        )


def _says(choice: Choice) -> bool:
    if choice.delta is NO_DELTA:  # as most are that have a reason to end
        return bool(choice.logprobs)
    return choice.delta != NO_DELTA or bool(choice.logprobs)


def _counts(usage: Usage) -> bool:
    return bool(usage.prompt_tokens or usage.completion_tokens or usage.total_tokens)


def number(value: JSON) -> int:
    """Return a count of tokens; some vendors count in floats."""
    if value is None or isinstance(value, int | float):
        return int(value or 0)
    raise TypeError(f"a number expected, not {type(value).__name__}")


def first_number(counts: JSONMapping, *names: str) -> int:
    """Return the first of these counts that is there, and not 0."""
    for name in names:
        if count := number(counts.get(name)):
            return count
    return 0


def object_in(value: JSON, name: str) -> JSONMapping:
    """Return the object under a name, {} if there is none."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else NOTHING
