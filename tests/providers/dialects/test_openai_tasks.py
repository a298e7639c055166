"""OpenAI's images, speech, transcriptions and embeddings, on real sockets."""

import asyncio
import socket
import struct
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.abc import ResolveResult
from attrs import evolve

from providers import (
    EmbeddingsRequest,
    ImageRequest,
    ProviderBusy,
    ProviderProtocolError,
    SpeechRequest,
    TranscriptionRequest,
    open_session,
)
from providers.errors import ProviderDenied, ProviderFailed, ProviderUnreachable
from providers.http.addresses import PublicResolver
from tests.conftest import MakeUpstream
from tests.providers.conftest import WAITS, Connect
from tests.rig.pictures import generated, picture
from tests.rig.task_calls import blob, drawing, failure, paint
from tests.rig.upstream import Step, Upstream, answers, chunked

KEY = "sk-0123456789abcdef"
RED, BLUE = picture(), picture("JPEG", "blue")
RED_BASE64 = b64encode(RED).decode()
BIG = picture("WEBP", side=512)
JSON = ["Content-Type: application/json"]
PNG = ["Content-Type: image/png"]
HTML = b"<!doctype html><title>Just a moment...</title>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
# A host that stands for the public ones.
PUBLIC = "images.example"


def sends(payload: Any) -> list[Step]:
    return answers(200, payload, JSON)


def names(*urls: str) -> list[Step]:
    """Return the script of an answer with URLs."""
    return sends({"created": 1, "data": [{"url": url} for url in urls]})


def redirects(url: str) -> list[Step]:
    return answers(302, headers=[f"Location: {url}"])


class Resolver(PublicResolver):
    """Knows one public name, and says in truth where this machine is."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != PUBLIC:
            return await super().resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=0,
            )
        ]


@asynccontextmanager
async def public_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session for what answers name; PUBLIC can be found with it."""
    async with open_session(public=True) as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector._resolver = Resolver()  # noqa: SLF001 - its DNS is the network
        yield session


@pytest.fixture
async def public() -> AsyncIterator[aiohttp.ClientSession]:
    async with public_session() as session:
        yield session


async def test_images_in_the_answer(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """Each is decoded and known by its bytes; OpenAI's own fields go on as they are."""
    answer = generated(RED, BLUE, revised_prompt="very red") | {"model": "painter-2"}
    upstream = await make_upstream(sends(answer))
    provider = connect(upstream.url, api_key=KEY)
    asked = drawing(n=2, quality="high", user="me", response_format="url")

    made = await paint(provider, asked)

    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/images/generations")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json == {
        "model": "upstream-model",
        "prompt": "a red square",
        "n": 2,
        "quality": "high",
        "user": "me",
    }
    assert made.model == "painter-2"
    assert [(i.data, i.extension, i.media_type) for i in made.images] == [
        (RED, "png", "image/png"),
        (BLUE, "jpg", "image/jpeg"),
    ]
    assert made.images[0].revised_prompt == "very red"


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"width": 64, "height": 32}, "64x32"),
        ({"width": 64, "height": 32, "size": "16x16"}, "64x32"),
        ({"size": "16x16"}, "16x16"),
        ({"size": "16x16", "width": 64}, "64x16"),
        ({"size": "auto"}, "auto"),
        ({"width": 64}, None),
        ({}, None),
    ],
    ids=repr,
)
async def test_size_is_said_as_openai_says_it(
    make_upstream: MakeUpstream, connect: Connect, said: dict[str, Any], sent: str
) -> None:
    """Width and height become a size; half of a size is none."""
    upstream = await make_upstream(sends(generated(RED)))

    await paint(connect(upstream.url), drawing(**said))

    body = upstream.requests[0].json
    assert body.get("size") == sent
    assert not {"width", "height"} & body.keys()


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_base64_may_be_a_data_url(
    make_upstream: MakeUpstream, connect: Connect, prefix: str
) -> None:
    """Some copies of the API put what a browser shows where base64 belongs."""
    data = prefix + RED_BASE64
    upstream = await make_upstream(sends({"data": [{"b64_json": data}]}))

    made = await paint(connect(upstream.url))

    assert made.images[0].data == RED


async def test_file_of_the_upstream_itself_is_fetched(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A URL with the origin of base_url is trusted as base_url is."""
    upstream = await make_upstream()
    url = f"http://127.0.0.1:{upstream.port}/files/a.png"
    upstream.script = names(url)
    upstream.files["/files/a.png"] = answers(200, raw=RED, headers=PNG)

    made = await paint(connect(upstream.url, api_key=KEY))

    assert made.images[0].data == RED
    assert "authorization" not in upstream.requests[1].headers


async def test_file_from_elsewhere_is_fetched_without_the_key(
    make_upstream: MakeUpstream, connect: Connect, public: aiohttp.ClientSession
) -> None:
    """Another public host is asked, but is told neither key nor configured headers."""
    files = await make_upstream()
    files.files["/a.png"] = redirects("/b.png")
    files.files["/b.png"] = answers(200, raw=RED, headers=PNG)
    upstream = await make_upstream(names(f"http://{PUBLIC}:{files.port}/a.png"))
    headers = {"X-Own": "configured"}
    provider = connect(upstream.url, api_key=KEY, headers=headers, public=public)

    made = await paint(provider)

    assert made.images[0].data == RED
    assert [request.path for request in files.requests] == ["/a.png", "/b.png"]
    for request in files.requests:
        assert not {"authorization", "x-own"} & request.headers.keys()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
)
@pytest.mark.parametrize("redirected", [False, True])
async def test_private_address_is_never_asked(
    make_upstream: MakeUpstream,
    connect: Connect,
    public: aiohttp.ClientSession,
    host: str,
    redirected: bool,
) -> None:
    """No answer, and no redirect, makes us knock at a door behind the firewall."""
    secret, public_files = await make_upstream(), await make_upstream()
    secret.listing = answers(200, raw=RED, headers=PNG)
    url = f"http://{host}:{secret.port}/secret.png"
    if redirected:
        public_files.listing = redirects(url)
        url = f"http://{PUBLIC}:{public_files.port}/a.png"
    upstream = await make_upstream(names(url))

    error = await failure(connect(upstream.url, public=public))

    assert isinstance(error, ProviderProtocolError | ProviderUnreachable)
    assert secret.connections == 0
    assert public_files.connections == redirected


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64," + RED_BASE64,
        "file:///etc/passwd",
        "ftp://images.example/a.png",
        "/a.png",
        "",
        7,
        None,
    ],
)
async def test_only_http_urls_are_followed(
    make_upstream: MakeUpstream,
    connect: Connect,
    public: aiohttp.ClientSession,
    url: Any,
) -> None:
    """What is no whole URL of a web server is no image."""
    upstream = await make_upstream(names(url))
    upstream.files["/"] = answers(200, raw=RED, headers=PNG)

    error = await failure(connect(upstream.url, public=public))

    assert isinstance(error, ProviderProtocolError)
    assert len(upstream.requests) == 1


async def test_endless_redirects_end(
    make_upstream: MakeUpstream, connect: Connect, public: aiohttp.ClientSession
) -> None:
    """A file that is always somewhere else is given up."""
    files = await make_upstream()
    files.listing = redirects("/again.png")
    upstream = await make_upstream(names(f"http://{PUBLIC}:{files.port}/a.png"))

    error = await failure(connect(upstream.url, public=public))

    assert error.message == "its answer names a file that may not be fetched"


def png_with_broken_end() -> bytes:
    """Return a PNG whose pixels are right, and a chunk behind them too short."""
    broken = struct.pack(">I4sBI", 1, b"gAMA", 0, zlib.crc32(b"gAMA\0"))
    end = RED.index(b"IEND") - 4
    return RED[:end] + broken + RED[end:]


def avif_without_pixels() -> bytes:
    """Return an AVIF whose head is right, and whose pixels are noughts."""
    image = picture("AVIF", side=64)
    start = image.index(b"mdat") + 4
    return image[:start] + bytes(len(image) - start)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (sends(generated(HTML)), "no image"),
        (sends(generated(SVG)), "no image"),
        (sends(generated(b"%PDF-1.7")), "no image"),
        (sends(generated(b"BM" + bytes(60))), "no image"),
        (sends(generated(RED[:45])), "broken"),
        (sends(generated(BIG[: len(BIG) // 2])), "broken"),
        (sends(generated(png_with_broken_end())), "broken"),
        (sends(generated(avif_without_pixels())), "broken"),
        (sends(generated(RED, RED[:45])), "broken"),
        (sends({"data": [{"b64_json": "not base64!"}]}), "not valid base64"),
        (sends({"data": [{"b64_json": "!" + RED_BASE64}]}), "not valid base64"),
        (sends({"data": [{"b64_json": "abc"}]}), "not valid base64"),
        (sends({"data": [{"b64_json": "é"}]}), "unreadable"),
        (sends({"data": [{"b64_json": 7}]}), "unreadable"),
        (sends({"data": [{}]}), "unreadable"),
        (sends({"data": ["x"]}), "unreadable"),
        (sends({"data": None}), "unreadable"),
        (sends({"data": []}), "no image"),
        (sends({}), "unreadable"),
        (sends([]), "no JSON object"),
        (answers(200, raw=HTML, headers=["Content-Type: text/html"]), "unreadable"),
        (answers(200, raw=RED, headers=PNG), "unreadable"),
    ],
    ids=[
        "page",
        "svg",
        "pdf",
        "bmp",
        "truncated png",
        "truncated webp",
        "broken png",
        "broken avif",
        "second truncated",
        "no base64",
        "not only base64",
        "cut base64",
        "no ascii",
        "number",
        "empty row",
        "text row",
        "null",
        "none",
        "empty",
        "list",
        "HTML",
        "bare image",
    ],
)
async def test_what_is_no_image_loses(
    make_upstream: MakeUpstream, connect: Connect, script: list[Step], message: str
) -> None:
    """Status 200, a name and a content type prove nothing: the bytes must decode."""
    upstream = await make_upstream(script)

    error = await failure(connect(upstream.url))

    assert isinstance(error, ProviderProtocolError)
    assert message in error.message


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(HTML, "image/png"), (SVG, "image/svg+xml"), (RED[:45], "image/png")],
    ids=["page", "svg", "truncated"],
)
async def test_fetched_file_that_is_no_image_loses(
    make_upstream: MakeUpstream, connect: Connect, content: bytes, content_type: str
) -> None:
    """A file is believed no more than an answer is."""
    upstream = await make_upstream()
    upstream.script = names(f"http://127.0.0.1:{upstream.port}/files/a.png")
    upstream.files["/files/"] = answers(
        200, raw=content, headers=[f"Content-Type: {content_type}"]
    )

    error = await failure(connect(upstream.url))

    assert isinstance(error, ProviderProtocolError)


async def test_endless_file_is_cut_off(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A download is hung up on when it is larger than any image should be."""
    upstream = await make_upstream()
    upstream.script = names(f"http://127.0.0.1:{upstream.port}/files/a.png")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.files["/files/"] = [head, *[chunked(bytes(2**20))] * 65, ...]

    error = await failure(connect(upstream.url))

    assert error.message == f"it sent more than {64 * 2**20} bytes"
    async with asyncio.timeout(5):
        await upstream.hung_up.get()


@pytest.mark.parametrize("status", [302, 403, 404, 500])
async def test_missing_file_is_the_upstreams_failure(
    make_upstream: MakeUpstream, connect: Connect, status: int
) -> None:
    """A URL that has expired, or moves on, is no mistake of the client's or its key."""
    upstream = await make_upstream()
    url = f"http://127.0.0.1:{upstream.port}/files/a.png"
    upstream.script = names(url)
    upstream.files["/files/"] = answers(status, headers=["Location: /elsewhere"])

    error = await failure(connect(upstream.url))

    assert isinstance(error, ProviderFailed)
    assert f"HTTP status {status}" in error.message


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (
            answers(429, {"error": {"message": "slow down"}}, ["Retry-After: 7"]),
            ProviderBusy,
            "slow down",
        ),
        (answers(401, {"error": {"message": f"bad {KEY}"}}), ProviderDenied, "bad ***"),
        (sends({"error": {"message": "no GPU"}}), ProviderFailed, "no GPU"),
        ([None], ProviderUnreachable, ""),
    ],
    ids=["429", "401", "error with 200", "reset"],
)
async def test_errors_are_told(
    make_upstream: MakeUpstream,
    connect: Connect,
    script: list[Step],
    kind: type[Exception],
    message: str,
) -> None:
    """Whose fault it is, how long to wait, and never the key."""
    upstream = await make_upstream(script)

    error = await failure(connect(upstream.url, api_key=KEY))

    assert isinstance(error, kind)
    assert message in error.message
    assert error.retry_after == (7.0 if kind is ProviderBusy else None)


@pytest.mark.parametrize("rest", [[b""], [...]], ids=["cut", "silent"])
async def test_error_without_an_end(
    make_upstream: MakeUpstream,
    connect: Connect,
    rest: list[Step],
) -> None:
    """An error's status counts, whatever becomes of its body."""
    head = b"HTTP/1.1 429 Busy\r\nContent-Length: 9\r\n\r\n"
    upstream = await make_upstream([head, b"Slow", *rest])
    provider = connect(upstream.url, waits=evolve(WAITS, error_body=0.2))

    error = await failure(provider, vectors())

    assert (type(error), error.status) == (ProviderBusy, 429)
    assert "Slow" in error.message


def spoken(**more: Any) -> SpeechRequest:
    body = {"model": "tts", "input": "hello", "voice": "alloy", **more}
    return SpeechRequest(model="tts", input="hello", voice="alloy", body=body)


@pytest.mark.parametrize(
    "content_type", ["audio/mpeg", "application/octet-stream", "text/event-stream"]
)
async def test_speech_is_passed_on_byte_for_byte(
    make_upstream: MakeUpstream, connect: Connect, content_type: str
) -> None:
    """The request goes on as it is but for the model; sound comes with its type."""
    sound = answers(200, raw=b"ID3\0\xff", headers=[f"Content-Type: {content_type}"])
    upstream = await make_upstream(sound)

    heard = await blob(connect(upstream.url, api_key=KEY), spoken(speed=2))

    (request,) = upstream.requests
    assert request.path == "/v1/audio/speech"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json == {
        "model": "upstream-model",
        "input": "hello",
        "voice": "alloy",
        "speed": 2,
    }
    assert (heard.data, heard.content_type) == (b"ID3\0\xff", content_type)


@pytest.mark.parametrize(
    "script",
    [
        answers(200, raw=HTML, headers=["Content-Type: text/html"]),
        sends({"error": {"message": "no voice"}}),
        [b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 0\r\n\r\n"],
    ],
    ids=["page", "JSON", "nothing"],
)
async def test_what_is_no_sound_loses(
    make_upstream: MakeUpstream, connect: Connect, script: list[Step]
) -> None:
    """Pages, errors and silence are no speech, whatever their status."""
    upstream = await make_upstream(script)

    assert isinstance(
        await failure(connect(upstream.url), spoken()), ProviderProtocolError
    )


RECORDING = TranscriptionRequest(
    model="whisper",
    file=b"RIFF\0\xff\r\n--sound",
    filename="ä b.wav",
    content_type="audio/wav",
    fields=(
        ("language", "de"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
    ),
)


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json", b'{"text":"hello"}'),
        ("text/plain", b"hello"),
        ("text/vtt", b"WEBVTT"),
        ("application/x-subrip", b"1\n00:00"),
    ],
    ids=["json", "text", "vtt", "srt"],
)
async def test_transcription_is_a_form(
    make_upstream: MakeUpstream, connect: Connect, content_type: str, text: bytes
) -> None:
    """Every field arrives, in order, repeated ones too; the text keeps its type."""
    headers = [f"Content-Type: {content_type}; charset=utf-8"]
    upstream = await make_upstream(answers(200, raw=text, headers=headers))

    written = await blob(connect(upstream.url, api_key=KEY), RECORDING)

    (request,) = upstream.requests
    assert request.path == "/v1/audio/transcriptions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert [(name, value) for name, _, _, value in request.form] == [
        ("file", RECORDING.file),
        ("model", b"upstream-model"),
        ("language", b"de"),
        ("timestamp_granularities[]", b"word"),
        ("timestamp_granularities[]", b"segment"),
    ]
    assert request.form[0][2] == "audio/wav"
    assert request.form[0][1] is not None
    assert request.form[0][1].endswith("b.wav")
    assert (written.data, written.content_type) == (text, content_type)


@pytest.mark.parametrize(
    "script",
    [
        answers(200, raw=HTML, headers=["Content-Type: text/html"]),
        sends({"error": {"message": "no ears"}}),
        sends(["hello"]),
    ],
    ids=["page", "error with 200", "list"],
)
async def test_what_is_no_transcription_loses(
    make_upstream: MakeUpstream, connect: Connect, script: list[Step]
) -> None:
    """Pages and errors are not what was said, whatever their status."""
    upstream = await make_upstream(script)

    error = await failure(connect(upstream.url), RECORDING)

    assert isinstance(error, ProviderProtocolError | ProviderFailed)


def vectors(**more: Any) -> EmbeddingsRequest:
    body = {"model": "m", "input": ["a", "b"], **more}
    encoding = more.get("encoding_format")
    return EmbeddingsRequest(
        model="m", input=("a", "b"), encoding_format=encoding, body=body
    )


async def test_embeddings_keep_their_encoding(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """What the client asks for goes on, and the vectors come back as they are."""
    rows = [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL8="}]
    upstream = await make_upstream(sends({"data": rows, "usage": {"total_tokens": 1}}))

    made = await blob(connect(upstream.url), vectors(encoding_format="base64"))

    assert upstream.requests[0].path == "/v1/embeddings"
    assert upstream.requests[0].json == {
        "model": "upstream-model",
        "input": ["a", "b"],
        "encoding_format": "base64",
    }
    assert made.content_type == "application/json"
    assert orjson.loads(made.data) == {
        "object": "list",
        "model": "upstream-model",
        "data": rows,
        "usage": {"total_tokens": 1},
    }


FLOATS, BASE64 = [0.5, -1.0], "AAAAPwAAgL8="


@pytest.mark.parametrize("sent", [FLOATS, BASE64], ids=["floats sent", "base64 sent"])
@pytest.mark.parametrize("asked", [None, "float", "base64"])
async def test_embeddings_come_as_asked_for(
    make_upstream: MakeUpstream, connect: Connect, sent: Any, asked: str | None
) -> None:
    """Some vendors know one encoding only, and send it whatever they are asked for."""
    rows = [{"object": "embedding", "index": i, "embedding": sent} for i in range(2)]
    upstream = await make_upstream(sends({"data": rows}))

    made = await blob(connect(upstream.url), vectors(encoding_format=asked))

    expected = BASE64 if asked == "base64" else FLOATS
    found = [row["embedding"] for row in orjson.loads(made.data)["data"]]
    assert found == [expected, expected]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (sends({"data": []}), ProviderProtocolError),
        (sends({"data": [{"index": 0}]}), ProviderProtocolError),
        (sends({"data": [{"embedding": "AAAA"}]}), ProviderProtocolError),
        (sends({"data": [{"embedding": "?"}]}), ProviderProtocolError),
        (sends({"data": [{"embedding": None}]}), ProviderProtocolError),
        (sends({"error": {"message": "no"}}), ProviderFailed),
        (answers(200, raw=HTML), ProviderProtocolError),
    ],
    ids=["none", "empty", "cut", "not base64", "null", "error with 200", "page"],
)
async def test_what_is_no_embedding_loses(
    make_upstream: MakeUpstream,
    connect: Connect,
    script: list[Step],
    kind: type[Exception],
) -> None:
    """An answer without vectors is none."""
    upstream = await make_upstream(script)

    assert isinstance(await failure(connect(upstream.url), vectors()), kind)


async def test_hanging_up_reaches_the_file_that_is_being_fetched(
    make_upstream: MakeUpstream, connect: Connect
) -> None:
    """A loser is cut off wherever its talk is."""
    upstream: Upstream = await make_upstream()
    upstream.script = names(f"http://127.0.0.1:{upstream.port}/files/a.png")
    upstream.files["/files/"] = [...]
    provider = connect(upstream.url)
    stream = provider.task(ImageRequest(prompt="x"), "m", provider.limits)

    reading = asyncio.ensure_future(anext(stream))
    await upstream.arrived.get()
    assert (await upstream.arrived.get()).path == "/files/a.png"
    reading.cancel()
    await asyncio.wait([reading])

    async with asyncio.timeout(5):
        await upstream.hung_up.get()
