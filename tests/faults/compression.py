"""Compressed bodies, also of the kinds that Python can't make by itself."""

import zlib
from collections.abc import Iterable, Iterator

RAW = -zlib.MAX_WBITS
GZIP = 16 + zlib.MAX_WBITS
BLANKS = 32 * 1024 * 1024


def deflated(body: bytes) -> bytes:
    """Return *body* as what some servers take `deflate` for: without zlib's head."""
    made = zlib.compressobj(wbits=RAW)
    return made.compress(body) + made.flush()


def gzipped(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream frame by frame, each of which can be read when it comes."""
    made = zlib.compressobj(wbits=GZIP)
    for frame in frames:
        yield made.compress(frame) + made.flush(zlib.Z_SYNC_FLUSH)
    yield made.flush()


def bomb(_: bytes) -> bytes:
    """Return 32 KB of gzip that come to 32 MB of nothing."""
    return b"".join(gzipped([b" " * BLANKS]))


def brotli(body: bytes) -> bytes:
    """Return *body* in one meta-block that is not compressed (RFC 7932, 9.2)."""
    # A window of 16 bits; not the last; four nibbles of length; uncompressed.
    head = (len(body) - 1) << 4 | 1 << 20
    return head.to_bytes(3, "little") + body + b"\x03"


def zstandard(body: bytes) -> bytes:
    """Return *body* in one raw block, in one segment (RFC 8878, 3.1.1)."""
    size = len(body)
    block = 1 | size << 3
    head = b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little")
    return head + block.to_bytes(3, "little") + body
