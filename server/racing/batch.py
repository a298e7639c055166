"""Several chats in one race: each racer answers all of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from attrs import define, evolve, field, frozen

from providers import Attempt, ChatPiece, ChatRequest, Chunk, Usage, chunks_of

from .entrants import Entrant
from .lineup import Lineup
from .streams import RacerStream

# So many of a racer's streams are open at a time; the next waits for one to end.
AT_A_TIME = 8

Reading = asyncio.Task[Sequence[ChatPiece]]


ChatLineup = Lineup[ChatRequest, ChatPiece]


def batched(
    lineup: ChatLineup, chats: tuple[ChatRequest, ...], each: int
) -> ChatLineup:
    """
    Return *lineup* with racers that answer all of *chats*, each with *each* choices.

    The choices of a chat have the numbers that follow those of the chat before. A racer
    that fails at one chat is out.
    """
    if len(chats) == 1:
        return lineup
    batch = [
        Batch(e.provider, e.model, e.limits, e.hurried, chats=chats, each=each)
        for e in lineup.entrants
    ]
    return evolve(lineup, entrants=tuple(batch))


@frozen
class Batch(Entrant[ChatRequest, ChatPiece]):
    """A provider that is asked for the answers of all *chats*, which race as one."""

    chats: tuple[ChatRequest, ...] = field(kw_only=True)
    each: int = field(kw_only=True)

    def stream(self, _: ChatRequest) -> "BatchStream":
        def start(chat: ChatRequest) -> RacerStream[ChatPiece]:
            return self.provider.chat(chat, self.model, self.limits)

        return BatchStream(start, deque(enumerate(self.chats)), self.each)


@define(eq=False)
class BatchStream:
    """
    The chunks of several answers, as they come, and the sum of their usage at the end.

    *close* hangs up on all of them at once; *attempt* has the sums of their counts.
    """

    _start: Callable[[ChatRequest], RacerStream[ChatPiece]]
    _waiting: deque[tuple[int, ChatRequest]]
    _each: int
    attempt: Attempt = field(factory=Attempt, init=False)
    _attempts: list[Attempt] = field(factory=list, init=False)
    _reading: dict[Reading, tuple[int, RacerStream[ChatPiece]]] = field(
        factory=dict, init=False
    )
    _usages: dict[int, Usage] = field(factory=dict, init=False)

    def __aiter__(self) -> "BatchStream":
        return self

    async def __anext__(self) -> list[Chunk]:
        while self._waiting and len(self._reading) < AT_A_TIME:
            number, chat = self._waiting.popleft()
            stream = self._start(chat)
            self._attempts.append(stream.attempt)
            self._read(number, stream)
        if not self._reading:
            return self._total_usage()
        try:
            done, _ = await asyncio.wait(
                self._reading, return_when=asyncio.FIRST_COMPLETED
            )
            self._count()
            return [chunk for task in done for chunk in self._chunks_of(task)]
        except BaseException:
            self.close()
            raise

    def cut_off(self) -> None:
        self.close()

    def close(self) -> None:
        self._waiting.clear()
        for task, (_, stream) in self._reading.items():
            task.cancel()  # also one that has failed: the first error is raised
            stream.close()
        self._reading.clear()
        self._count()

    def _count(self) -> None:
        """Sum up what the calls have received; the times are the first call's."""
        for name in ("received", "chunks", "tokens"):
            setattr(self.attempt, name, sum(getattr(a, name) for a in self._attempts))
        for name in ("connected", "headers"):
            times = [t for a in self._attempts if (t := getattr(a, name)) is not None]
            setattr(self.attempt, name, min(times, default=None))
        self.attempt.usage = _sum([a.usage for a in self._attempts if a.usage])
        notes = (note for attempt in self._attempts for note in attempt.notes)
        self.attempt.notes = [*dict.fromkeys(notes)]

    def _read(self, number: int, stream: RacerStream[ChatPiece]) -> None:
        task = asyncio.ensure_future(stream.__anext__())
        self._reading[task] = (number, stream)

    def _chunks_of(self, task: Reading) -> Iterator[Chunk]:
        number, stream = self._reading.pop(task)
        try:
            pieces = task.result()
        except StopAsyncIteration:
            return
        except BaseException:
            stream.close()
            raise
        self._read(number, stream)
        for chunk in chunks_of(pieces):
            if chunk.usage is not None:
                self._usages[number] = chunk.usage
            choices = [
                evolve(c, index=c.index + number * self._each) for c in chunk.choices
            ]
            yield evolve(chunk, choices=tuple(choices), usage=None)

    def _total_usage(self) -> list[Chunk]:
        """Return one last chunk, with the sum of all usages, less their details."""
        if not self._usages:
            raise StopAsyncIteration
        usages = list(self._usages.values())
        self._usages.clear()
        return [Chunk(usage=_sum(usages))]


def _sum(usages: Sequence[Usage]) -> Usage | None:
    if not usages:
        return None
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        total_tokens=sum(usage.total_tokens for usage in usages),
    )
