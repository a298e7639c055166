"""The answer to one HTTP/1.1 request, from bytes: its head, its body, its end. No I/O.

httptools parses; here is what a client needs besides: interim answers passed over, a
body that ends with its connection, compression that nobody asked for, and bounds.
"""

import zlib
from collections.abc import Mapping

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict

# Bytes that may come with nothing of a body in them: headers, trailers, extensions.
MAX_DRY = 256 * 1024
# Bytes that one read may be once it is inflated.
MAX_INFLATED = 16 * 1024 * 1024
# Either of zlib's formats, told apart by their headers; and the one that has none.
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
RAW = -zlib.MAX_WBITS
INFLATED = frozenset((b"gzip", b"x-gzip", b"deflate"))
UNREADABLE = frozenset((b"br", b"zstd", b"compress"))
CONTINUE, SWITCHING, OK = 100, 101, 200


class AnswerParser:
    """
    Bytes in, the body's bytes out.

    *status* is 0 until the head is there; *complete*: the end has come; *reusable*:
    the connection may be used again then; *error*: why nothing more can come of it.
    """

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.reusable = False
        self.error: Exception | None = None
        self._head: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._dry = 0
        self._encoding = b""
        self._inflater: zlib._Decompress | None = None
        # It looks for the callbacks once, now; this one is called for every chunk.
        self.on_body = self._parts.append
        self._parser = HttpResponseParser(self)
        # What real servers do, and other clients bear.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, by name in any case."""
        return CIMultiDict(
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
            for name, value in self._head
        )

    def feed(self, received: bytes) -> bytes:
        """Return the part of the body that has come with *received*."""
        self._dry += len(received)
        try:
            self._parser.feed_data(received)
        except (HttpParserError, HttpParserUpgrade) as exc:
            if not self.complete:
                self.error = broken("the answer is not valid HTTP", exc)
        parts = self._parts
        if not parts:
            if self._dry > MAX_DRY:
                self.error = broken("its headers have no end")
            return b""
        self._dry = 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return self._decompressed(body) if self._encoding else body

    def lost(self, exc: Exception | None) -> None:
        """Take in that the connection has ended: in good order, if without *exc*."""
        if self.status and exc is None and self._ends_with_the_connection():
            self.complete = True
        elif self.status or self._dry:
            self.error = broken("the answer was broken off", exc)
        elif exc is None:
            self.error = aiohttp.ServerDisconnectedError()
        else:
            self.error = aiohttp.ClientOSError(*exc.args)

    def close(self) -> None:
        """Let go of what knows this object as this knows it: an error will, too."""
        del self._parser
        self.error = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False
            raise ValueError("there is more than an answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.append((name, value))
        if name.lower() == b"content-encoding":
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if CONTINUE <= status < OK and status != SWITCHING:
            self._head.clear()  # another head follows
        else:
            self.status = status

    def on_message_complete(self) -> None:
        self.complete = self.status > 0
        self.reusable = self.status >= OK and self._parser.should_keep_alive()

    def _ends_with_the_connection(self) -> bool:
        """Say whether the body is as long as the connection (RFC 9112, 6.3)."""
        return not any(
            name.lower() in (b"content-length", b"transfer-encoding")
            for name, _ in self._head
        )

    def _decompressed(self, body: bytes) -> bytes:
        """Return a part of the body as it was before it was compressed."""
        if self._encoding in UNREADABLE:
            self.error = broken("unknown compression", ContentEncodingError(""))
            return b""
        if self._encoding not in INFLATED:
            return body
        if self._inflater is None:
            # Some that say `deflate` leave zlib's header out, whose first byte is x8.
            bare = self._encoding == b"deflate" and body[0] & 0x0F != zlib.DEFLATED
            self._inflater = zlib.decompressobj(RAW if bare else GZIP_OR_ZLIB)
        try:
            inflated = self._inflater.decompress(body, MAX_INFLATED)
        except zlib.error as exc:
            self.error = broken("wrong compression", ContentEncodingError(str(exc)))
            return b""
        if self._inflater.unconsumed_tail:
            self.error = broken("it inflates to more than is bearable")
        return inflated


def broken(text: str, cause: Exception | None = None) -> aiohttp.ClientPayloadError:
    """Return the error of an answer that can't be read on."""
    error = aiohttp.ClientPayloadError(text)
    # Less what it came up through, which are calls of whoever will keep this error.
    error.__cause__ = None if cause is None else cause.with_traceback(None)
    return error
