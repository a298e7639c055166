"""What an answer's chunks come in: one by one, as runs of texts, or whole."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

import orjson
from attrs import define

from providers.json_types import JSONMapping, JSONObject

from .chunks import Choice, Chunk, Delta, NativeEvent, Usage


@define(eq=False)
class TextRun:
    """
    Chunks that arrived together and are all like one, but for the text they add.

    Most of an answer is such, and need not be taken apart to be shown: *words* are the
    texts as JSON strings, none of them empty; *like* is the chunk without its text. It
    is the same object for as long as the chunks stay alike.

    *native* is the JSON of the events that the texts came in, where these pass as they
    are: their format and their name are those of the event in *like*.
    """

    like: Chunk
    words: list[bytes]
    native: Sequence[bytes] = ()
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False
    usage: ClassVar[None] = None

    @property
    def count(self) -> int:
        return len(self.words)

    def texts(self) -> list[str]:
        texts: list[str] = orjson.loads(b"[%b]" % b",".join(self.words))
        return texts

    def chunks(self) -> list[Chunk]:
        """Return the chunks that it stands for."""
        chunks = [with_text(self.like, text) for text in self.texts()]
        for chunk, data in zip(chunks, self.native, strict=False):
            (event,) = self.like.native
            chunk.native = (NativeEvent(event.format, event.name, data),)
        return chunks


@define(eq=False)
class Completion:
    """
    A whole answer that can be passed on: *payload* is JSON in the shape of a chat
    completion, as OpenAI puts it, and says nothing but texts. *usage* is its usage.
    """

    payload: JSONObject
    _parse: Callable[[JSONMapping], Chunk]
    usage: Usage | None = None
    has_token: ClassVar[bool] = True
    says_nothing: ClassVar[bool] = False
    count: ClassVar[int] = 1

    def chunk(self) -> Chunk:
        """Return the one chunk that it stands for."""
        return self._parse(self.payload)


# What an answer comes in.
ChatPiece = Chunk | TextRun | Completion


def chunks_of(pieces: Iterable[ChatPiece]) -> Iterator[Chunk]:
    """Take pieces apart: for whoever needs each chunk."""
    for piece in pieces:
        if isinstance(piece, TextRun):
            yield from piece.chunks()
        elif isinstance(piece, Completion):
            yield piece.chunk()
        else:
            yield piece


def with_text(like: Chunk, text: str) -> Chunk:
    """Return a chunk of one choice that adds another text, and nothing besides."""
    choice = Choice(index=like.choices[0].index, delta=Delta(content=text))
    return Chunk(
        id=like.id,
        created=like.created,
        model=like.model,
        choices=(choice,),
        extra=like.extra,
    )
