"""The pieces of an answer, as its renderers take them."""

from providers import ChatPiece, Chunk, Completion, TextRun, with_text


def as_chunk(piece: ChatPiece) -> Chunk:
    """Return a piece as one chunk; the texts of a run are joined."""
    if isinstance(piece, TextRun):
        return with_text(piece.like, "".join(piece.texts()))
    if isinstance(piece, Completion):
        return piece.chunk()
    return piece
