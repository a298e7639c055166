"""A response as a stream of typed events, which begin and end items and parts."""

from collections.abc import Iterable, Iterator

from attrs import define, field, frozen

from providers import ChatPiece, Choice, Chunk, Delta, TextRun, chunks_of
from server.errors import ErrorPayload
from server.wire.frames import PLACEHOLDER, TEXT_MARK, cut
from server.wire.ordering import Ordering

from .events import EventWriter, PartPlace
from .items import OutputItem, OutputPart, OutputPiece
from .payloads import COMMAND_TYPES, OF_CALLS, ItemStatus
from .response import GrowingResponse, ResponseError

# The choice of a chunk that adds text to the first choice and nothing else: empty.
PLAIN = Choice(delta=Delta(content=""))


@frozen
class TextFrame:
    """The frame of a part's text, cut around its number and around the text."""

    part: OutputPart
    before: bytes
    between: bytes
    after: bytes


@define(eq=False)
class ResponseStream:
    """
    Chunks to typed events, numbered.

    Items are shown one after another, as OpenAI shows them. Where an upstream begins
    another item while a call's arguments still come, that one waits.
    """

    response: GrowingResponse
    _events: EventWriter = field(factory=EventWriter, init=False)
    _order: Ordering[OutputItem, OutputPiece] = field(factory=Ordering, init=False)
    # The parts of the item being shown that have begun: the last one has not ended.
    _open_parts: list[OutputPart] | None = field(default=None, init=False)
    _text_frame: TextFrame | None = field(default=None, init=False)

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        """Return the events for what arrived together."""
        frames: list[bytes] = []
        for piece in pieces:
            if isinstance(piece, TextRun) and self._continues_text(piece.like):
                frames += self._run(piece)
            else:
                for chunk in chunks_of([piece]):
                    frames += self._chunk(chunk)
        return b"".join(frames)

    def end(self, cost: float | None = None) -> bytes:
        """Return the last events of a stream that is whole."""
        self.response.cost = cost
        frames = [*self._start()]
        status = self.response.finish()
        frames += self._advance(status, ended=True)
        frames.append(self._events.response(status, self.response.whole()))
        return b"".join(frames)

    def fail(self, code: str, error: ErrorPayload) -> bytes:
        """
        Return the last events of a stream that breaks off, wherever it is.

        *code* is the API's own word for *error*, an error object of ours.
        """
        frames = [*self._start()]
        reason: ResponseError = {"code": code, "message": error["message"]}
        frames.append(self._events.response("failed", self.response.failed(reason)))
        frames.append(self._events.error(error))
        return b"".join(frames)

    def _continues_text(self, like: Chunk) -> bool:
        """Say whether chunks like this one add to the text being shown, only."""
        output = self.response.output
        return (
            like.choices == (PLAIN,)
            and like.usage is None
            and output.finish_reason is None
            and bool(self._open_parts)
            and self._part.kind == "output_text"
        )

    def _run(self, run: TextRun) -> Iterator[bytes]:
        """Show texts, each in a frame like the last: most of an answer is such runs."""
        part, events = self._part, self._events
        frame = self._text_frame
        if frame is None or frame.part is not part:
            frame = self._text_frame = self._cut_frame(part)
        self.response.output.extend(part, run.texts())
        before, between, after = frame.before, frame.between, frame.after
        for word in run.words:
            yield b"%b%d%b%b%b" % (before, events.number, between, word, after)
            events.number += 1

    def _cut_frame(self, part: OutputPart) -> TextFrame:
        """Write an event of this part's text, to be cut at its number and its text."""
        item = self._order.first
        number = self._events.number
        frame = EventWriter(number).delta(
            OutputPiece(item, part, PLACEHOLDER), self._place(item)
        )
        mark = b'"sequence_number":'
        before, between, after = cut(frame, mark + b"%d" % number, TEXT_MARK)
        return TextFrame(part, before + mark, between, after)

    def _chunk(self, chunk: Chunk) -> Iterator[bytes]:
        pieces = self.response.take(chunk)
        yield from self._start()
        for piece in pieces:
            self._order.add(piece.item, piece)
            yield from self._advance()

    def _start(self) -> Iterator[bytes]:
        """Begin the stream, unless it has begun."""
        if not self._events.number:
            payload = self.response.in_progress()
            yield self._events.response("created", payload)
            yield self._events.response("in_progress", payload)

    def _advance(
        self, last: ItemStatus = "completed", *, ended: bool = False
    ) -> Iterator[bytes]:
        """Show what can be shown; *last* is what becomes of the last item."""
        for item, pieces, over in self._order.advance(ended=ended):
            if self._open_parts is None:
                item.settle()
                self._open_parts = []
                yield self._events.item("added", item.index, item.start())
            for piece in pieces:
                yield from self._piece(item, piece)
            if over:
                status = last if self._order.is_last(item) else "completed"
                yield from self._end_item(item, status)

    def _piece(self, item: OutputItem, piece: OutputPiece) -> Iterator[bytes]:
        if piece.part not in item.parts or item.type in COMMAND_TYPES:
            return  # it has no text of its own: it is shown with its item
        if piece.part not in self._parts:
            yield from self._end_part(item)
            self._parts.append(piece.part)
            if piece.part.kind not in OF_CALLS:
                empty = OutputPart(piece.part.kind)
                yield self._events.part("added", empty, self._place(item))
        if (piece.text or piece.logprobs) and piece.part.kind != "input":
            yield self._events.delta(piece, self._place(item))

    def _end_item(self, item: OutputItem, status: ItemStatus) -> Iterator[bytes]:
        yield from self._end_part(item)
        payload = item.payload(status, opaque=self.response.request.shows_opaque)
        yield self._events.item("done", item.index, payload)
        self._open_parts = None

    def _end_part(self, item: OutputItem) -> Iterator[bytes]:
        if not self._open_parts:
            return
        part, place = self._part, self._place(item)
        if part.kind == "input" and (text := part.text):
            # In one piece, since only its end tells whether it is wrapped in JSON.
            yield self._events.delta(OutputPiece(item, part, text), place)
        yield self._events.whole_text(part, place)
        if part.kind not in OF_CALLS:
            yield self._events.part("done", part, place)

    @property
    def _parts(self) -> list[OutputPart]:
        if self._open_parts is None:
            raise AssertionError("no item has begun")
        return self._open_parts

    @property
    def _part(self) -> OutputPart:
        """The part that has begun and not ended."""
        return self._parts[-1]

    def _place(self, item: OutputItem) -> PartPlace:
        """Return where the part that has begun stands: its index among its like."""
        place: PartPlace = {"output_index": item.index, "item_id": item.id}
        if self._part.kind == "summary_text":
            place["summary_index"] = len(self._parts) - 1
        elif self._part.kind not in OF_CALLS:
            place["content_index"] = len(self._parts) - 1
        return place
