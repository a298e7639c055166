"""Speech, transcriptions and embeddings, with the official openai package."""

import json
from typing import Any

import aiohttp
import openai
import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Client
from tests.rig.upstream import Step, answers

JSON = ["Content-Type: application/json"]
EMBEDDED = {
    "object": "list",
    "model": "upstream-embedder",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
RACED = {"provider": "Broken Good"}


def package(client: Client) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="k", max_retries=0)


@pytest.fixture
def race(serve: Serve, make_upstream: MakeUpstream) -> Any:
    """Start a server with one provider that fails and one that answers so."""

    async def start(*script: Step) -> Any:
        broken = await make_upstream(answers(500, {"error": "broken"}))
        good = await make_upstream(script)
        return await serve(broken.table("Broken"), good.table("Good")), good

    return start


async def test_embeddings(race: Any) -> None:
    """The first vectors win, in the encoding that the client asked for."""
    client, upstream = await race(*answers(200, EMBEDDED, JSON))

    async with package(client) as it:
        made = await it.embeddings.create(
            model="m", input="hello", encoding_format="float", extra_body=RACED
        )

    assert made.data[0].embedding == [0.5, -1.0]
    assert upstream.requests[0].json["encoding_format"] == "float"


@pytest.mark.parametrize("sent", [[0.5, -1.0], "AAAAPwAAgL8="])
async def test_embeddings_as_the_package_asks_for_them(race: Any, sent: Any) -> None:
    """Unasked, it wants base64, which it decodes, whatever the upstream sends."""
    row = {"object": "embedding", "index": 0, "embedding": sent}
    answer = {**EMBEDDED, "data": [row]}
    client, upstream = await race(*answers(200, answer, JSON))
    options: Any = {"model": "m", "input": ["hello"], "extra_body": RACED}

    async with package(client) as it:
        unasked = await it.embeddings.create(**options)
        floats = await it.embeddings.create(encoding_format="float", **options)
        text: Any = await it.embeddings.create(encoding_format="base64", **options)

    assert unasked.data[0].embedding == floats.data[0].embedding == [0.5, -1.0]
    assert text.data[0].embedding == "AAAAPwAAgL8="
    asked = [request.json["encoding_format"] for request in upstream.requests]
    assert asked == ["base64", "float", "base64"]


async def test_speech(race: Any) -> None:
    """The first sound wins, byte for byte, with its type."""
    client, upstream = await race(
        *answers(200, raw=b"ID3sound", headers=["Content-Type: audio/mpeg"])
    )

    async with package(client) as it:
        made = await it.audio.speech.create(
            model="tts", voice="alloy", input="hello", extra_body=RACED
        )

    assert made.content == b"ID3sound"
    assert made.response.headers["Content-Type"] == "audio/mpeg"
    assert made.response.headers["X-Provider"] == "Good"
    assert "provider" not in upstream.requests[0].json


async def test_transcription(race: Any) -> None:
    """The recording reaches every racer whole; the first text wins."""
    client, upstream = await race(*answers(200, {"text": "hello"}, JSON))

    async with package(client) as it:
        made = await it.audio.transcriptions.create(
            model="whisper", file=("a.wav", b"RIFFsound"), extra_body=RACED
        )

    assert made.text == "hello"
    body = upstream.requests[0].body
    assert b"RIFFsound" in body
    assert b'name="provider"' not in body


async def test_page_instead_of_sound_loses(race: Any) -> None:
    """A page of HTML is no speech; where nobody has any, that is told."""
    page = answers(200, raw=b"<html>", headers=["Content-Type: text/html"])
    client, _ = await race(*page)

    async with package(client) as it:
        with pytest.raises(openai.InternalServerError) as caught:
            await it.audio.speech.create(
                model="tts", voice="alloy", input="hello", extra_body=RACED
            )

    body = json.dumps(caught.value.body)
    assert "text/html instead of an answer" in body


def part(headers: str, value: str = "x") -> str:
    """Return a part of a form, between boundaries."""
    return f"{headers}\r\n\r\n{value}"


FILE = 'Content-Disposition: form-data; name="file"; filename="a.wav"'
FIELD = 'Content-Disposition: form-data; name="prompt"'


BOUNDARY = "multipart/form-data; boundary=b"
BROKEN_FORMS = [
    ("multipart/form-data", part(FILE)),
    ("multipart/form-data; boundary=other", part(FILE)),
    (f"multipart/form-data; boundary={'b' * 71}", part(FILE)),
    (BOUNDARY, "no headers"),
    (BOUNDARY, part("Content-Type: text/plain")),
    (BOUNDARY, part("Content-Type: multipart/mixed; boundary=c")),
    (BOUNDARY, part(f"{FIELD}\r\nContent-Type: text/plain; charset=klingon")),
    (BOUNDARY, part(f"{FIELD}\r\nContent-Transfer-Encoding: klingon")),
    (BOUNDARY, part(f"{FILE}\r\nContent-Transfer-Encoding: base64", "!")),
    (BOUNDARY, part(f"{FILE}\r\nContent-Encoding: deflate", "!")),
]


async def test_broken_forms_are_the_clients_fault(serve: Serve) -> None:
    """Whatever is wrong with a form, it is told so: the server has not failed."""
    client = await serve()

    for content_type, sent in BROKEN_FORMS:
        answer = await client.request(
            "POST",
            "/v1/audio/transcriptions",
            data=f"--b\r\n{sent}\r\n--b--\r\n",
            headers={"Content-Type": content_type},
        )
        assert answer.status == 400, content_type
        assert answer.error["type"] == "invalid_request_error"


async def test_form_is_one_that_can_be_sent_on(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """
    A field whose name is in no API is refused, and no provider blamed for it; how a
    file is called keeps nobody from its sound.
    """
    upstream = await make_upstream(answers(200, {"text": "hello"}, JSON))
    client = await serve(upstream.table("A"), '[race]\ndefault_providers = ["A"]')
    model = part('Content-Disposition: form-data; name="model"', "m")
    # As a client says it that knows Latin-1 alone.
    named = FILE.replace("a.wav", "\udce4.wav") + "\r\nContent-Type: audio/\udce4"

    async def send(*parts: str) -> Any:
        body = "".join(f"--b\r\n{each}\r\n" for each in parts) + "--b--\r\n"
        headers = {"Content-Type": BOUNDARY}
        path = "/v1/audio/transcriptions"
        data = body.encode("utf-8", "surrogateescape")
        return await client.request("POST", path, data=data, headers=headers)

    heard = await send(model, part(named))
    refused = await send(model, part(FILE), part(FIELD.replace("prompt", "größe")))

    assert heard.json == {"text": "hello"}
    _, filename, content_type, _ = upstream.requests[0].form[0]
    assert str(filename).endswith(".wav")
    assert content_type == "application/octet-stream"
    assert refused.status == 400
    assert "größe" in refused.error["message"]
    assert (await client.stats("A"))["failures"] == 0


async def test_race_in_a_form(serve: Serve, make_upstream: MakeUpstream) -> None:
    """A form's `race` is JSON, whatever its part says that it is."""
    client = await serve((await make_upstream()).table("A"))

    for content_type in (None, "text/plain", "application/json"):
        form = aiohttp.FormData({"model": "m", "provider": "A"})
        form.add_field("file", b"RIFFsound", filename="a.wav")
        form.add_field("race", '{"x": 1}', content_type=content_type)
        answer = await client.request("POST", "/v1/audio/transcriptions", data=form)
        assert answer.error["param"] == "race.x"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("embeddings", {"model": "m"}, "input"),
        ("embeddings", {"model": "m", "input": "x", "encoding_format": "x"}, "enc"),
        ("audio/speech", {"model": "m", "input": "x"}, "voice"),
        ("audio/transcriptions", {}, "file"),
    ],
)
async def test_mistakes_name_the_field(
    serve: Serve, path: str, body: dict[str, Any], param: str
) -> None:
    """What is missing or wrong is named."""
    client = await serve()

    answer = await client.request("POST", f"/v1/{path}", json=body)

    assert answer.status == 400
    assert answer.error["param"].startswith(param)
