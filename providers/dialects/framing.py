"""Server-sent events and JSON lines from bytes: no I/O, and a bound on each of them.

Events follow the HTML standard, section 9.2.6 (interpreting an event stream), but for
three kindnesses that real vendors need: an event without its final blank line counts at
the end of the body; JSON in no field at all counts as data, since that is how Google's
errors come in the middle of a stream; and `event:`, `id:` and `retry:` are passed over,
since every dialect repeats in the data what matters.
"""

import orjson
from attrs import define, field

from providers.errors import ProviderProtocolError

MAX_EVENT_BYTES = 16 * 1024 * 1024
FAILED = (b"event", b"error")
BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event, a line or a body grew past its bound."""


def looks_sound(received: bytes) -> bool:
    """
    Say whether nothing in a part of a body seems broken: no error, no event cut short.

    A racer whose first token came with an error would win, and fail then.
    """
    return b'"error"' not in received and received.rstrip().endswith((b"}", b"[DONE]"))


@define
class SSEDecoder:
    """
    Bytes in, the data of whole events out.

    *max_bytes* bounds an unfinished event. Line ends may be LF, CRLF or CR, and may be
    cut anywhere.
    """

    max_bytes: int = MAX_EVENT_BYTES
    _buffer: bytearray = field(factory=bytearray, init=False)
    _scanned: int = field(default=0, init=False)
    _after_cr: bool = field(default=False, init=False)
    _started: bool = field(default=False, init=False)

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that *received* completes."""
        simple = self._started or received.startswith(b"data: ")
        if self._buffer or self._after_cr or b"\r" in received:
            simple = False
        if simple and received.endswith(b"\n\n"):
            self._started = True
            return _events(received[:-2])  # as most servers send them
        self._take(received)
        # A blank line may begin one byte before what was scanned.
        end = self._buffer.rfind(b"\n\n", max(self._scanned - 1, 0))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self.max_bytes:
                raise EventTooLarge(f"an event is larger than {self.max_bytes} bytes")
            return []
        whole = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._scanned = len(self._buffer)
        return _events(whole)

    def flush(self) -> list[bytes]:
        """Return the data of an event left open by the end of the body."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return _events(rest)

    def _take(self, received: bytes) -> None:
        if self._after_cr and received[:1] == b"\n":
            received = received[1:]
            self._after_cr = False
        if b"\r" in received:
            self._after_cr = received.endswith(b"\r")
            received = received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif received:
            self._after_cr = False
        self._buffer += received
        if not self._started and len(self._buffer) >= len(BOM):
            self._started = True
            if self._buffer.startswith(BOM):
                del self._buffer[: len(BOM)]


@define
class AnswerDecoder:
    """
    Bytes in, the data of an answer's events out; of JSON instead of a stream, the whole
    at its end, as if it were one event.

    Which of both it is shows in the first byte: content types lie. A page of HTML is
    neither, and raises ProviderProtocolError.
    """

    _sse: SSEDecoder = field(factory=SSEDecoder, init=False)
    _whole: bytearray = field(factory=bytearray, init=False)
    _blank: int = field(default=0, init=False)
    _is_json: bool | None = field(default=None, init=False)

    @property
    def is_json(self) -> bool:
        """Whether JSON comes instead of a stream."""
        return self._is_json is True

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that *received* completes."""
        if self._is_json is False:
            return self._sse.feed(received)
        if not self._whole and received.startswith(b"data: "):  # most do
            self._is_json = False
            return self._sse.feed(received)
        self._whole += received
        if len(self._whole) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"a body is larger than {MAX_EVENT_BYTES} bytes")
        if self._is_json:
            return []
        begun = self._begun()
        if BOM.startswith(begun):
            return []
        if begun.startswith(b"<"):
            raise ProviderProtocolError("a page of HTML came instead of an answer")
        self._is_json = begun.startswith((b"{", b"["))
        if self._is_json:
            return []
        whole, self._whole = bytes(self._whole), bytearray()
        return self._sse.feed(whole)

    def _begun(self) -> bytes:
        """Return what has come after the blanks; each of those is looked at once."""
        begun = bytes(self._whole[self._blank :])
        if not self._blank:
            begun = begun.removeprefix(BOM)
        begun = begun.lstrip()
        if not begun:
            self._blank = len(self._whole)
        return begun

    def flush(self) -> list[bytes]:
        """Return what the end of the body completes."""
        if not self._is_json:
            return self._sse.flush()
        whole, self._whole = bytes(self._whole.removeprefix(BOM)), bytearray()
        return [whole] if whole else []


@define
class LineDecoder:
    """
    Bytes in, whole lines out, less those with nothing in them: the framing of JSON
    lines, where a line feed ends a value and can't stand inside one.

    *max_bytes* bounds an unfinished line.
    """

    max_bytes: int = MAX_EVENT_BYTES
    _buffer: bytearray = field(factory=bytearray, init=False)

    def feed(self, received: bytes) -> list[bytes]:
        """Return the lines that *received* completes."""
        scanned = len(self._buffer)
        self._buffer += received
        end = self._buffer.rfind(b"\n", scanned)
        if end < 0:
            if len(self._buffer) > self.max_bytes:
                raise EventTooLarge(f"a line is larger than {self.max_bytes} bytes")
            return []
        whole = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return _lines(whole)

    def flush(self) -> list[bytes]:
        """Return the line left open by the end of the body."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return _lines(rest)


def _lines(whole: bytes) -> list[bytes]:
    # White space around a JSON value has no meaning, a CR before the line feed neither.
    return [line for each in whole.split(b"\n") if (line := each.strip())]


def _events(whole: bytes) -> list[bytes]:
    if whole.startswith(b"data: "):
        simple = whole[6:].split(b"\n\ndata: ")
        if whole.count(b"\n") == 2 * (len(simple) - 1):
            return simple  # nearly all events have one line each
    if whole.startswith(b"event: "):
        # Most events of a stream have the same name, and each has two lines.
        before = whole[: whole.find(b"\n") + 1] + b"data: "
        named = (b"\n\n" + whole).split(b"\n\n" + before)
        alike = not named[0] and b"error" not in before
        if alike and whole.count(b"\n") == 3 * (len(named) - 1) - 2:
            return named[1:]
    return [data for event in whole.split(b"\n\n") if (data := _data(event))]


def _data(event: bytes) -> bytes:
    head, found, rest = event.partition(b"\ndata: ")
    named = found and head.startswith(b"event: ") and b"error" not in head
    if named and b"\n" not in head + rest:
        return rest
    bare = event.strip()
    if bare.startswith((b"{", b"[")):
        return bare  # no field's name begins so
    lines, failed = [], False
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        if name in {b"data", b"error"}:  # old llama.cpp's
            lines.append(value.removeprefix(b" "))
        failed = failed or name == b"error" or (name, value.strip()) == FAILED
    data = b"\n".join(lines)
    return _error(data) if failed and data.strip() else data


def _error(data: bytes) -> bytes:
    """Return what an event that is named an error says, as JSON with an `error`."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = data.decode("utf-8", "replace").strip()
    if isinstance(value, dict) and "error" in value:
        return data
    return orjson.dumps({"error": value})
