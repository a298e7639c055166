"""A chat's answer, from bytes to chunks: no I/O and no clock."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import IntEnum

from providers.chat import ChatPiece, TextRun
from providers.dialects import UNREADABLE, Dialect
from providers.dialects.framing import looks_sound
from providers.errors import ProviderError, ProviderProtocolError, ProviderTimeout
from providers.http.attempt import Attempt

Pieces = list[ChatPiece]
# The note for an answer that ended as its API says, and has no word in it.
WORDLESS = "an answer without a word"
Decode = Callable[[bytes], Iterable[ChatPiece]]


class State(IntEnum):
    """How far an answer is. It only goes forward, and may leave states out."""

    SILENT = 0  # no token has come
    SPOKE = 1  # a token has come: this racer may win
    SAID = 2  # all that the answer must have is there: usage and [DONE] may follow
    OVER = 3  # nothing follows


# By these names, since each look-up of `State.OVER` takes 0.2 µs before Python 3.12.
SILENT, SPOKE, SAID, OVER = State


class Answer:
    """
    Bytes in, chunks out, and how far the answer is.

    *error* says why an answer that is OVER has no good end, and is None if it has one;
    whoever raises it takes it out, since it will know the frames that know the answer.
    *spoke* stays true when all is over. The counts of *attempt* go along. With *early*,
    the first token comes out before the rest of what arrived with it is decoded: while
    *delayed*, that comes from `rest`.
    """

    def __init__(self, dialect: Dialect, attempt: Attempt, *, early: bool) -> None:
        self.state = SILENT
        self.spoke = False
        self.error: Exception | None = None
        self._dialect = dialect
        self._attempt = attempt
        self._early = early
        self._delayed: Iterator[ChatPiece] | None = None

    @property
    def delayed(self) -> bool:
        """Whether there is a rest of what came with the first token."""
        return self._delayed is not None

    @property
    def complete(self) -> bool:
        """Whether the answer's last event has come: only HTTP's end may follow."""
        return self._dialect.done

    @property
    def _whole(self) -> bool:
        """Whether what breaks from now on takes nothing away."""
        return self.state is SAID and self._dialect.finished

    def receive(self, data: bytes) -> Pieces:
        """Return the chunks that a part of the body completes."""
        if self._early and self.state is SILENT and looks_sound(data):
            return self._take_in(self._to_token, data)
        return self._take_in(self._dialect.receive, data)

    def rest(self) -> Pieces:
        """Return what came with the first token."""
        rest, self._delayed = self._delayed, None
        return self._take_in(lambda _: rest or (), b"")

    def end(self) -> Pieces:
        """Take in that the body is over; return what that completes."""
        pieces = self._take_in(lambda _: self._dialect.end(), b"")
        self._finish(None)
        return pieces

    def break_off(self, error: Exception) -> Pieces:
        """
        Take in that nothing follows because of *error*, which takes nothing away from
        an answer that has been SAID: return what is left of it.
        """
        pieces: Pieces = []
        if self._whole or self._wordless_by_now(error):
            pieces = self._last_words()
            self._finish(None)
        self._finish(error)
        return pieces

    def give_up(self) -> None:
        """Take in that nobody wants more of it."""
        self.state, self._delayed = OVER, None

    def _take_in(self, decode: Decode, data: bytes) -> Pieces:
        if self.state is OVER:
            return []
        pieces: Pieces = []
        try:
            for piece in decode(data):
                pieces.append(piece)
        except Exception as exc:  # noqa: BLE001 - to be raised where somebody reads
            return self._broken(pieces, _for_the_race(exc))
        self._follow(pieces)
        if self._dialect.done and self._delayed is None:
            self._finish(None)
        return pieces

    def _broken(self, pieces: Pieces, error: Exception) -> Pieces:
        """Take in that *error* came after *pieces*; return those that stand."""
        spoke = self.spoke
        self._follow(pieces, broken=True)
        if self._whole:
            pieces += self._last_words()
            self._finish(None)
        self._finish(error)
        # A racer that has not won is better left to the others, with its token.
        return pieces if spoke or self.error is None else []

    def _follow(self, pieces: Pieces, *, broken: bool = False) -> None:
        """Count *pieces*, and go on to the state that they stand for."""
        attempt, alike = self._attempt, True
        for piece in pieces:
            count = piece.count
            attempt.chunks += count
            if piece.has_token:
                attempt.tokens += count
            if type(piece) is not TextRun:
                alike = False
                attempt.usage = piece.usage or attempt.usage
        finished = self._dialect.finished
        if alike and self.spoke and not finished:
            return  # nearly all
        if self.state is SAID or not attempt.tokens:
            return
        if finished:
            self.state, self.spoke = SAID, True
        elif not broken:
            self.state, self.spoke = SPOKE, True

    def _finish(self, error: Exception | None) -> None:
        if self.state is OVER:
            return
        if error is None and not self.spoke:
            try:
                check_wordless(self._dialect)
            except ProviderProtocolError as exc:
                error = exc.with_traceback(None)
        self.state, self.error, self._delayed = OVER, error, None

    def _wordless_by_now(self, error: Exception) -> bool:
        """
        Whether what has a reason to end, and no token, has said so for long enough: its
        first token might still have come.
        """
        late = isinstance(error, ProviderTimeout)
        return late and self.state is SILENT and self._dialect.finished

    def _last_words(self) -> Pieces:
        """Return what is left of an answer that has been said."""
        rest, self._delayed = self._delayed or (), None
        pieces: Pieces = []
        for decode in (lambda: rest, self._dialect.end):
            with suppress(Exception):  # it is whole: nothing can be wrong any more
                pieces.extend(decode())
        for piece in pieces:
            self._attempt.usage = piece.usage or self._attempt.usage
        return pieces

    def _to_token(self, data: bytes) -> Iterator[ChatPiece]:
        """Decode a part of the body up to the first token; the rest is delayed."""
        pieces = iter(self._dialect.receive(data))
        for piece in pieces:
            yield piece
            if piece.has_token:
                self._delayed = pieces
                break


def check_wordless(dialect: Dialect) -> None:
    """
    Note that an answer has ended without a token, as it may where that is sound.

    Raises ProviderProtocolError where it is not.
    """
    if not dialect.sound_end:
        raise ProviderProtocolError("the answer ended without a token")
    dialect.notes.append(WORDLESS)


def unreadable(exc: Exception) -> ProviderProtocolError:
    """Return what a dialect's UNREADABLE is for the race."""
    return ProviderProtocolError(f"unreadable answer: {exc}")


def _for_the_race(exc: Exception) -> Exception:
    """
    Return what a dialect's exception is for the race.

    It has no traceback, which would form a reference cycle: its frames know the call
    that is to keep the error.
    """
    if isinstance(exc, UNREADABLE):
        error = unreadable(exc)
        error.__cause__ = exc.with_traceback(None)
        return error
    return exc.with_traceback(None) if isinstance(exc, ProviderError) else exc
