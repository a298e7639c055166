"""JSON lines from bytes, however the bytes are cut."""

import pytest

from providers.dialects.framing import EventTooLarge, LineDecoder

LINES = {
    "LF": (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    "CRLF": (b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
    "white space": (b" 1 \n\t2\n", [b"1", b"2"]),
    "blank lines": (b"\n\r\n1\n \n\n2\n\n", [b"1", b"2"]),
    "open line": (b"1\n2", [b"1", b"2"]),
    "open line, ended": (b"1\n2\r", [b"1", b"2"]),
    "no line feed": (b"1", [b"1"]),
    "other separators": (
        '"a\u2028b\u0085c"\n'.encode(),
        ['"a\u2028b\u0085c"'.encode()],
    ),
    "nothing": (b"", []),
    "only white space": (b"\n \r\n", []),
}


def decode(stream: bytes, size: int) -> list[bytes]:
    """Decode *stream*, delivered in pieces of *size* bytes."""
    decoder = LineDecoder()
    lines = []
    for start in range(0, len(stream), size):
        lines += decoder.feed(stream[start : start + size])
    return lines + decoder.flush()


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(("stream", "lines"), LINES.values(), ids=LINES)
def test_lines(stream: bytes, lines: list[bytes], size: int) -> None:
    """A line feed, and nothing else, ends a line, however the bytes are cut."""
    assert lines == decode(stream, size)


def test_no_line_waits() -> None:
    """A line is given out with its line feed, not with the next line's first byte."""
    decoder = LineDecoder()
    fed = [decoder.feed(bytes([byte])) for byte in b"12\n34\n"]

    assert fed == [[], [], [b"12"], [], [], [b"34"]]


def test_flush_once() -> None:
    """A line left open by the end of the body is given out once."""
    decoder = LineDecoder()

    assert decoder.feed(b"1") == []
    assert decoder.flush() == [b"1"]
    assert decoder.flush() == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_bound(size: int) -> None:
    """A line that does not end is an error as soon as it is past the bound."""
    decoder = LineDecoder(max_bytes=100)
    for _ in range(100 // size):
        assert decoder.feed(b"x" * size) == []

    with pytest.raises(EventTooLarge, match="larger than 100 bytes"):
        decoder.feed(b"x" * size)


def test_bound_is_for_one_line() -> None:
    """A stream of any length passes, as long as no line of it is too large."""
    decoder = LineDecoder(max_bytes=100)
    line = b"x" * 90 + b"\n"
    cut = [line[:50], line[50:] + line[:50], line[50:] + line * 5]

    lines = [found for piece in cut * 20 for found in decoder.feed(piece)]

    assert lines == [b"x" * 90] * 140


def test_a_line_may_be_long() -> None:
    """There is no bound of 64 KiB: a line may hold an image, or many logprobs."""
    line = b"x" * (1 << 20)

    assert [line] == decode(line + b"\n", 1 << 16)
