"""Server-sent events from bytes, however the bytes are cut."""

from time import process_time

import pytest

from providers.dialects.framing import (
    MAX_EVENT_BYTES,
    AnswerDecoder,
    EventTooLarge,
    SSEDecoder,
)
from tests.rig.samples import WIRE

SAMPLES = sorted(str(path.relative_to(WIRE)) for path in WIRE.glob("*/*.sse"))
EVENTS = {
    "LF": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed": (
        b"data: a\r\n\ndata: b\n\rdata: c\r\r\ndata: d\n\r\n",
        [b"a", b"b", b"c", b"d"],
    ),
    "several lines": (b"data: a\r\ndata: b\ndata:\rdata: c\n\n", [b"a\nb\n\nc"]),
    "no space": (b"data:a\n\n", [b"a"]),
    "two spaces": (b"data:  a \n\ndata:  b \ndata: c\n\n", [b" a ", b" b \nc"]),
    "CR, later LF": (b"data: a\rdata: b\n\ndata: c\n\n", [b"a\nb", b"c"]),
    "colons": (b"data: a: b:\n\n", [b"a: b:"]),
    "comments": (b": hi\n\ndata: a\n: ho\n\n:\n\n:data: b\n\n", [b"a"]),
    "other fields": (b"event: x\nid: 1\nretry: 5\ndata: a\nmore\n\n", [b"a"]),
    "no data": (b"event: ping\n\ndatum: x\n\ndata: a\n\n", [b"a"]),
    "blank lines": (b"\n\n\n\ndata: a\n\n\n\n\n\r\n\r\n\rdata: b\n\n", [b"a", b"b"]),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "short and open": (b":", []),
    "open event": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "open event, ended line": (b"data: a\n\ndata: b\r", [b"a", b"b"]),
    "other separators": (
        "data: a\u2028b\u0085c\vd\fe\n\n".encode(),
        ["a\u2028b\u0085c\vd\fe".encode()],
    ),
    "nothing": (b"", []),
}


def decode(stream: bytes, size: int) -> list[bytes]:
    """Decode *stream*, delivered in pieces of *size* bytes."""
    decoder = SSEDecoder()
    events = []
    for start in range(0, len(stream), size):
        events += decoder.feed(stream[start : start + size])
    return events + decoder.flush()


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(("stream", "events"), EVENTS.values(), ids=EVENTS)
def test_events(stream: bytes, events: list[bytes], size: int) -> None:
    """An event's data is found as the HTML standard says, however the bytes are cut."""
    assert events == decode(stream, size)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_byte_at_a_time(sample: str, line_end: bytes) -> None:
    """A sample's events are the same byte by byte as all at once, for any line end."""
    stream = (WIRE / sample).read_bytes()
    events = decode(stream, len(stream))

    assert events
    assert events == decode(stream.replace(b"\n", line_end), len(stream) * 2)
    assert events == decode(stream.replace(b"\n", line_end), 1)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_any_cut(line_end: bytes) -> None:
    """There is no place where a cut changes the events, nor one that loses one."""
    stream = "data: é\n: x\ndata: b\n\n\ndata: c\n\n".encode().replace(b"\n", line_end)
    for i in range(len(stream)):
        decoder = SSEDecoder()
        events = [*decoder.feed(stream[:i]), *decoder.feed(stream[i:])]

        assert ["é\nb".encode(), b"c"] == events


def test_cut_inside_crlf() -> None:
    """An event is there with its last CR; the LF that follows begins no blank line."""
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a\r\n\r") == [b"a"]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\ndata: c\r\n") == []
    assert decoder.feed(b"\r") == [b"b\nc"]
    assert decoder.flush() == []


def test_no_event_waits() -> None:
    """An event is given out with its last byte, not with the next event's first."""
    decoder = SSEDecoder()
    fed = [decoder.feed(bytes([byte])) for byte in b"data: a\n\ndata: b\n\n"]

    assert [fed[8], fed[17]] == [[b"a"], [b"b"]]
    assert not any(fed[:8] + fed[9:17])


def test_flush_once() -> None:
    """An event left open by the end of the body is given out once."""
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a") == []
    assert decoder.flush() == [b"a"]
    assert decoder.flush() == []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_bound(size: int) -> None:
    """An event that does not end is an error as soon as it is past the bound."""
    decoder = SSEDecoder(max_bytes=100)
    for _ in range(100 // size):
        assert decoder.feed(b"x" * size) == []

    with pytest.raises(EventTooLarge, match="larger than 100 bytes"):
        decoder.feed(b"x" * size)


def test_bound_is_for_one_event() -> None:
    """A stream of any length passes, as long as no event of it is too large."""
    decoder = SSEDecoder(max_bytes=100)
    event = b"data: " + b"x" * 90 + b"\n\n"
    cut = [event[:50], event[50:] + event[:50], event[50:] + event * 5]

    events = [found for piece in cut * 20 for found in decoder.feed(piece)]

    assert events == [b"x" * 90] * 140


@pytest.mark.parametrize("body", [b'{"a": 1}', b"data: 1\n\n"], ids=["JSON", "SSE"])
def test_blanks_before_an_answer(body: bytes) -> None:
    """Blanks come for as long as an upstream thinks; what they precede is the same."""
    decoder = AnswerDecoder()
    fed = [decoder.feed(piece) for piece in (b"\n", b" ", b"\r\n", b"\n", body)]

    (found,) = [event for events in fed for event in events] + decoder.flush()
    assert found.strip() == body.removeprefix(b"data: ").strip()


def test_blanks_cost_nothing() -> None:
    """Millions of them, in small pieces, are no work: each is looked at once."""
    decoder = AnswerDecoder()
    started = process_time()
    for _ in range(2**12):
        assert decoder.feed(b" " * 512) == []

    assert process_time() - started < 1
    with pytest.raises(EventTooLarge):
        decoder.feed(b" " * MAX_EVENT_BYTES)


@pytest.mark.parametrize(
    ("sent", "data"),
    [
        (b"event: a\ndata: 1\n\nevent: a\ndata: 2\n\n", [b"1", b"2"]),
        (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", [b"1", b"2"]),
        (b"event: a\ndata: 1\ndata: 2\n\nevent: a\ndata: 3\n\n", [b"1\n2", b"3"]),
        (b"event: a\ndata: 1\nid: 7\n\nevent: a\ndata: 3\n\n", [b"1", b"3"]),
        (b"event: a\ndata: 1\n\n: ping\n\nevent: a\ndata: 2\n\n", [b"1", b"2"]),
        (b"event: a\ndata: \n\nevent: a\ndata: 2\n\n", [b"2"]),
        (b"event: a\n\nevent: a\ndata: 2\n\n", [b"2"]),
        (b"event: a\nid: 1\ndata: 1\n\n", [b"1"]),
        (b"event: a\ndata: 1\n\ndata: 2\n\nevent: a\ndata: 3\n\n", [b"1", b"2", b"3"]),
    ],
    ids=repr,
)
def test_named_events(sent: bytes, data: list[bytes]) -> None:
    """Events with names are those of their data lines, in the usual form or not."""
    assert [each for each in SSEDecoder().feed(sent) if each] == data
