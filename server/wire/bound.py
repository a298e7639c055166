"""The bound of an answer: how much of it this server keeps in memory."""

from attrs import define, field

from providers import ProviderProtocolError

MAX_ANSWER = 64 * 1024 * 1024


@define(eq=False)
class AnswerSize:
    """Counts what is kept of one answer, which may take MAX_ANSWER bytes."""

    _size: int = field(default=0, init=False)

    def grow(self, size: int) -> None:
        """Count *size* bytes more; raises ProviderProtocolError beyond the bound."""
        self._size += size
        if self._size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")
