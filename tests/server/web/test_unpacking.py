"""Compressed bodies: what is in them, and what they may cost."""

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable
from functools import partial
from time import perf_counter

import brotli
import pytest

from server.errors import BodyTooLarge, InvalidRequest
from server.web.unpacking import AT_ONCE, FREE, MEMBERS, RATIO, unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Pack = Callable[[bytes], bytes]
SMALL = b'{"model": "m"}'
# Compresses badly, and is more than one step of each decoder.
LARGE = b"".join(number.to_bytes(4, "big") for number in range(3 * AT_ONCE // 4))
LIMIT = 16 * 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(body) + made.flush()


def streamed_zstd(body: bytes) -> bytes:
    """Return *body* in a frame that doesn't tell its size, as Codex sends them."""
    made = zstd.ZstdCompressor(3)
    return made.compress(body) + made.flush()


def ultra_zstd(body: bytes) -> bytes:
    """Return *body* in a frame that wants 128 MB for its window."""
    window: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    made = zstd.ZstdCompressor(options=window)
    return made.compress(body) + made.flush()


PACKED: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "brotli": ("br", partial(brotli.compress, quality=4)),
    "zstd": ("zstd", zstd.compress),
    "zstd, streamed": ("zstd", streamed_zstd),
}
PACKINGS = pytest.mark.parametrize(
    ("encoding", "pack"), PACKED.values(), ids=PACKED.keys()
)


@PACKINGS
@pytest.mark.parametrize("body", [SMALL, LARGE, b" " * FREE, b"x"], ids=len)
async def test_what_was_packed_is_unpacked(
    encoding: str, pack: Pack, body: bytes
) -> None:
    """Whatever the size, and in the event loop or beside it."""
    assert await unpacked(pack(body), encoding, LIMIT) == body


@pytest.mark.parametrize(("encoding", "pack"), [PACKED["gzip"], PACKED["zstd"]])
async def test_members_are_one_body(encoding: str, pack: Pack) -> None:
    """What was packed in parallel has a member, or a frame, for each piece."""
    body = b"".join(pack(SMALL) for _ in range(MEMBERS))

    assert await unpacked(body, encoding, LIMIT) == SMALL * MEMBERS
    with pytest.raises(InvalidRequest):
        await unpacked(body + pack(SMALL), encoding, LIMIT)


@PACKINGS
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: b"\xff" + packed,
        lambda packed: packed + b"\xfftail",
        lambda _: SMALL,
    ],
    ids=["last byte missing", "half", "not its start", "something behind", "plain"],
)
@pytest.mark.parametrize("body", [SMALL, LARGE], ids=len)
async def test_what_is_broken_is_the_clients_fault(
    encoding: str, pack: Pack, body: bytes, spoil: Pack
) -> None:
    """It is refused, with the encoding's name, and never taken for a part of it."""
    with pytest.raises(InvalidRequest, match=encoding):
        await unpacked(spoil(pack(body)), encoding, LIMIT)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [*PACKED.values(), ("zstd", ultra_zstd)],
    ids=[*PACKED, "zstd, a large window"],
)
async def test_bombs_hold_up_nobody(encoding: str, pack: Pack) -> None:
    """What comes to more than the limit is given up soon, while the loop goes on."""
    bomb = pack(b"\0" * 4 * LIMIT)
    gaps, ticking = [0.0], True

    async def tick() -> None:
        last = perf_counter()
        while ticking:
            await asyncio.sleep(0)
            gaps.append(perf_counter() - last)
            last = perf_counter()

    watching = asyncio.create_task(tick())
    await asyncio.sleep(0)
    with pytest.raises(BodyTooLarge, match=str(LIMIT)):
        await unpacked(bomb, encoding, LIMIT)
    ticking = False
    await watching

    assert max(gaps) < 0.25


async def test_ratio_is_bounded_where_much_comes_of_little() -> None:
    """Within the limit, too: 30 KB that come to 30 MB are no request."""
    bomb = gzip.compress(b" " * FREE * 4)
    assert len(bomb) * RATIO < FREE * 4

    with pytest.raises(BodyTooLarge):
        await unpacked(bomb, "gzip", FREE * 8)


async def test_nothing_is_nothing() -> None:
    """An empty body is empty in every encoding."""
    for encoding in ("gzip", "deflate", "br", "zstd"):
        assert await unpacked(b"", encoding, LIMIT) == b""
