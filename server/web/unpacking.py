"""Compressed bodies of requests, unpacked within bounds of size, ratio and memory."""

import asyncio
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import brotli

from server.errors import BodyTooLarge, InvalidRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Bytes that go into a decoder in one step, and about as many that come out of it.
STEP = 65_536
# Bytes that may come out in the event loop itself, which takes it about 1 ms.
AT_ONCE = 262_144
# Past FREE bytes, a body may be RATIO times as large as it came, at most: text that
# repeats itself compresses 50 to 1, and no honest body 500 to 1.
FREE = 4_194_304
RATIO = 500
# Files packed in parallel have a member for each piece; a body has no use for more.
MEMBERS = 1024
# Bytes of the window that every decoder of zstd supports (RFC 8878, 3.1.1.1.2).
WINDOW = 8_388_608
# How its frames begin, and the bytes of their longest head.
FRAME = b"\x28\xb5\x2f\xfd"
FRAME_HEAD = 18
BROKEN = (zlib.error, zstd.ZstdError, brotli.error, EOFError)

_threads = ThreadPoolExecutor(2, "unpacking")


class Decoder(Protocol):
    """Decodes one member of a body, as zlib's and zstd's decoders do."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


async def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """
    Return what *body*, in one of ENCODINGS, unpacks to: *limit* bytes at most.

    Large bodies are unpacked in a thread. Raises BodyTooLarge as soon as the bound is
    passed, and InvalidRequest if the body is not in this encoding.
    """
    try:
        pieces = _bounded(ENCODINGS[encoding](body, limit), len(body), limit)
        content, complete = _collected(pieces, AT_ONCE)
        if not complete:
            loop = asyncio.get_running_loop()
            rest, _ = await loop.run_in_executor(
                _threads, _collected, pieces, limit + 1
            )
            content += rest
    except BROKEN as exc:
        raise InvalidRequest(
            f"The request body is not what its 'Content-Encoding', {encoding}, says."
        ) from exc
    return content


def _collected(pieces: Iterator[bytes], enough: int) -> tuple[bytes, bool]:
    """Return *pieces* until they have *enough* bytes, and whether those were all."""
    chunks, size = [], 0
    for piece in pieces:
        chunks.append(piece)
        size += len(piece)
        if size >= enough:
            return b"".join(chunks), False
    return b"".join(chunks), True


def _bounded(pieces: Iterator[bytes], packed: int, limit: int) -> Iterator[bytes]:
    most = min(limit, max(FREE, packed * RATIO))
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise _too_large(limit)
        yield piece


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body unpacks to more than {limit} bytes.")


def _gzip(body: bytes, _: int) -> Iterator[bytes]:
    return _members(body, lambda: _Inflater(16 + zlib.MAX_WBITS))


def _deflate(body: bytes, _: int) -> Iterator[bytes]:
    """Decode it with zlib's head, as HTTP means it, or without, as many send it."""
    headed = body[:1] != b"" and body[0] & 15 == zlib.DEFLATED
    headed = headed and int.from_bytes(body[:2], "big") % 31 == 0
    return _members(body, lambda: _Inflater(zlib.MAX_WBITS * (1 if headed else -1)))


def _zstd(body: bytes, limit: int) -> Iterator[bytes]:
    largest = max(WINDOW, 1 << (limit - 1).bit_length())
    if _zstd_window(body) > largest:
        raise _too_large(limit)
    window_log_max = min(largest.bit_length() - 1, 30)
    options: dict[int, int] = {
        zstd.DecompressionParameter.window_log_max: window_log_max
    }
    return _members(body, lambda: zstd.ZstdDecompressor(options=options))


def _zstd_window(body: bytes) -> int:
    """Return the bytes of a frame's window: all of it, where it is one segment."""
    if not body.startswith(FRAME) or len(body) < len(FRAME) + 2:
        return 0
    single_segment = body[4] & 32
    if single_segment:
        return zstd.get_frame_info(body[:FRAME_HEAD]).decompressed_size or 0
    base = 1 << (10 + (body[5] >> 3))
    return base + base // 8 * (body[5] & 7)


def _brotli(body: bytes, _: int) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    for start in range(0, len(body), STEP):
        if decoder.is_finished():
            raise EOFError("there is more after the end")
        piece = decoder.process(body[start : start + STEP], output_buffer_limit=STEP)
        while piece or not decoder.can_accept_more_data():
            yield piece
            piece = decoder.process(b"", output_buffer_limit=STEP)
    if body and not decoder.is_finished():
        raise EOFError("the end is missing")


class _Inflater:
    """zlib's decoder, which keeps unused input itself, as zstd's does."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _members(body: bytes, make: Callable[[], Decoder]) -> Iterator[bytes]:
    """Unpack one member, or frame, after another."""
    at = members = 0
    while at < len(body):
        members += 1
        if members > MEMBERS:
            raise EOFError("there are too many members")
        decoder = make()
        while not decoder.eof:
            wants = decoder.needs_input
            data = body[at : at + STEP] if wants else b""
            at += len(data)
            piece = decoder.decompress(data, STEP)
            if wants and not (piece or data or decoder.eof):
                raise EOFError("the end is missing")
            yield piece
        at -= len(decoder.unused_data)


ENCODINGS: dict[str, Callable[[bytes, int], Iterator[bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
