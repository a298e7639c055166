"""Images through a real server process: contract, section 7."""

import json
import os
from base64 import b64decode
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image
from yarl import URL

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Answer, Client
from tests.rig.pictures import generated, picture
from tests.rig.upstream import Step, Upstream, answers

RED, BLUE = picture(color="red"), picture("WEBP", "blue")
BIG = picture(side=512)
JSON = ["Content-Type: application/json"]


def makes(*images: bytes, **more: Any) -> list[Step]:
    return answers(200, generated(*images, **more), JSON)


def painter(upstream: Upstream, name: str) -> str:
    """Configure *upstream* as a provider that makes images, `flux` among them."""
    models = f'[providers.{name}.image_models]\n"flux" = "upstream/flux-1"'
    return f"{upstream.table(name)}\n{models}"


@pytest.fixture
def media(tmp_path: Path) -> str:
    return f"[media]\ndirectory = {json.dumps(str(tmp_path / 'media'))}"


async def paint(client: Client, path: str = "generate", **body: Any) -> Answer:
    body = {"prompt": "a futuristic cityscape at sunset", **body}
    return await client.request("POST", f"/v1/images/{path}", json=body)


@pytest.mark.parametrize("path", ["generate", "generations"])
async def test_image_lies_here_under_its_hash(
    serve: Serve, make_upstream: MakeUpstream, media: str, path: str
) -> None:
    """The URL is this server's own, immutable, of the right type, open to pages."""
    upstream = await make_upstream(makes(RED, revised_prompt="red"))
    client = await serve(media, painter(upstream, "Painter"))

    answer = await paint(client, path, model="flux", provider="Painter", size="64x32")

    (item,) = answer.json["data"]
    name = f"{sha256(RED).hexdigest()}.png"
    assert item == {"url": f"{client.url}/media/{name}", "revised_prompt": "red"}
    assert answer.json["provider"] == answer.headers["X-Provider"] == "Painter"
    assert upstream.requests[0].json["model"] == "upstream/flux-1"
    assert upstream.requests[0].json["size"] == "64x32"
    image = await client.get(f"/media/{name}")
    assert image.body == RED
    assert image.headers["Content-Type"] == "image/png"
    assert "immutable" in image.headers["Cache-Control"]
    assert image.headers["X-Content-Type-Options"] == "nosniff"


async def test_image_in_the_answer_is_not_kept(
    serve: Serve, make_upstream: MakeUpstream, media: str, tmp_path: Path
) -> None:
    """response_format b64_json: the bytes are in the answer, and on no disk."""
    client = await serve(media, painter(await make_upstream(makes(BLUE)), "Painter"))

    answer = await paint(client, provider="Painter", response_format="b64_json")

    assert b64decode(answer.json["data"][0]["b64_json"]) == BLUE
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize(
    "bad",
    [
        answers(200, raw=b"<html>hello</html>", headers=["Content-Type: text/html"]),
        makes(b"<svg></svg>"),
        makes(BIG[: len(BIG) // 2]),
        makes(),
        answers(500, {"error": "broken"}),
    ],
    ids=["page", "svg", "truncated", "none", "error"],
)
async def test_first_real_image_wins(
    serve: Serve, make_upstream: MakeUpstream, media: str, bad: list[Step]
) -> None:
    """What does not decode as an image loses, status 200 or not."""
    broken = await make_upstream(bad)
    real = await make_upstream([0.1, *makes(RED)])
    client = await serve(media, painter(broken, "Broken"), painter(real, "Real"))

    answer = await paint(client, provider="Broken Real")

    assert answer.headers["X-Provider"] == "Real"
    assert "Broken;dur=" in answer.headers["Server-Timing"]


async def test_slow_image_is_hung_up_on(
    serve: Serve, make_upstream: MakeUpstream, media: str
) -> None:
    """The race for images cuts its losers off as every race does."""
    slow, fast = await make_upstream([...]), await make_upstream([0.1, *makes(RED)])
    client = await serve(media, painter(slow, "Slow"), painter(fast, "Fast"))

    answer = await paint(client, provider="Slow Fast")

    assert answer.headers["X-Provider"] == "Fast"
    await slow.hung_up.get()


async def test_nobody_named_means_whoever_has_the_model(
    serve: Serve, make_upstream: MakeUpstream, media: str
) -> None:
    """A model's name finds its provider; a name that nobody has finds none."""
    chat, painting = await make_upstream(), await make_upstream(makes(RED))
    client = await serve(media, chat.table("Chat"), painter(painting, "Painter"))

    found = await paint(client, model="flux")
    missing = await paint(client, model="nothing")
    listed = (await client.get("/v1/providers/Painter")).json

    assert found.headers["X-Provider"] == "Painter"
    assert (missing.status, missing.error["code"]) == (404, "model_not_found")
    assert listed["image_models"] == ["flux"]
    assert chat.requests == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"size": "large"}, "size"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"width": 3}, "width"),
        ({"response_format": "png"}, "response_format"),
    ],
    ids=repr,
)
async def test_mistakes_name_the_field(
    serve: Serve, make_upstream: MakeUpstream, body: dict[str, Any], param: str
) -> None:
    """Each mistake is a 400 that says which field to mend."""
    client = await serve(painter(await make_upstream(), "Painter"))

    answer = await paint(client, **{"provider": "Painter", **body})

    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "name", ["0" * 64 + ".png", "x.png", "..%2f..%2fetc%2fpasswd", "%2e%2e"]
)
async def test_nothing_else_can_be_read(serve: Serve, name: str) -> None:
    """/media serves what was made here, and no other file of the machine."""
    client = await serve()
    # As it is: clients would make another path of it.
    url = URL(f"{client.url}/media/{name}", encoded=True)

    async with client.session.get(url) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"


async def test_folder_is_bounded_in_bytes_and_age(
    serve: Serve, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """The oldest make room; what is too old is neither served nor kept."""
    folder = tmp_path / "media"
    upstream = await make_upstream(makes(RED))
    settings = f'directory = "{folder}"\nmax_bytes = 150\nmax_age = 1000'
    client = await serve(f"[media]\n{settings}", painter(upstream, "Painter"))
    first = (await paint(client, provider="Painter")).json["data"][0]["url"]
    old = folder / first.rpartition("/")[2]
    os.utime(old, (1, 1))
    gone = await client.get(first.removeprefix(client.url))

    upstream.script = makes(BLUE)
    second = (await paint(client, provider="Painter")).json["data"][0]["url"]

    assert gone.status == 404
    assert [path.name for path in folder.iterdir()] == [second.rpartition("/")[2]]


async def test_openai_package_takes_our_images(
    serve: Serve, make_upstream: MakeUpstream, media: str
) -> None:
    """images.generate of the official package, with a provider named."""
    upstream = await make_upstream(makes(RED, BLUE))
    client = await serve(media, painter(upstream, "Painter"))

    async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="k") as package:
        made = await package.images.generate(
            prompt="x", model="flux", n=2, extra_body={"provider": "Painter"}
        )

    assert made.data is not None
    urls = [str(item.url).removeprefix(client.url) for item in made.data]
    kept = [(await client.get(url)).body for url in urls]
    assert [Image.open(BytesIO(body)).format for body in kept] == ["PNG", "WEBP"]
