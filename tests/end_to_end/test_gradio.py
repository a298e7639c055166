"""Spaces through a real server process: its jobs wait in a real app's own queue."""

import asyncio
from base64 import b64decode
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Answer, Client
from tests.rig.gradio_process import Space
from tests.rig.pictures import generated, picture
from tests.rig.upstream import Step, Upstream, answers

FLUX = "/api/spaces/black-forest-labs/FLUX.1-schnell"
JSON = ["Content-Type: application/json"]
KEY = "hf_0123456789abcdef"


@pytest.fixture
async def hub(make_upstream: MakeUpstream, space: Space) -> Upstream:
    """Return a hub that knows the Space of `flux` to be the app that runs here."""
    made = await make_upstream()
    made.files[FLUX] = answers(200, {"host": space.url}, JSON)
    return made


def spaces(hub: Upstream) -> str:
    """Configure the built-in provider of Spaces, less where the hub is."""
    return f'[providers.HuggingSpace]\nbase_url = "http://127.0.0.1:{hub.port}"'


def painter(upstream: Upstream) -> str:
    models = '[providers.Painter.image_models]\n"flux" = "upstream/flux-1"'
    return f"{upstream.table('Painter')}\n{models}"


def makes(image: bytes) -> list[Step]:
    return answers(200, generated(image), JSON)


async def paint(client: Client, **body: Any) -> Answer:
    body = {"prompt": "a futuristic cityscape", "response_format": "b64_json", **body}
    return await client.request("POST", "/v1/images/generate", json=body)


async def test_documented_example(
    serve: Serve, hub: Upstream, space: Space, tmp_path: Any
) -> None:
    """HuggingSpace needs no key; `flux` is a Space; the image is kept here."""
    client = await serve(spaces(hub), f'[media]\ndirectory = "{tmp_path}/media"')

    answer = await paint(
        client,
        model="flux",
        provider="HuggingSpace",
        response_format="url",
        size="64x32",
    )

    (item,) = answer.json["data"]
    image = await client.get(item["url"].removeprefix(client.url))
    assert Image.open(BytesIO(image.body)).size == (64, 32)
    assert image.headers["Content-Type"] == "image/webp"
    assert answer.json["provider"] == "HuggingSpace"
    assert answer.json["model"] == "black-forest-labs/FLUX.1-schnell"
    assert "authorization" not in hub.requests[0].headers


async def test_key_of_the_environment(
    serve: Serve, hub: Upstream, space: Space
) -> None:
    """With HF_TOKEN set, the hub and the Space get it."""
    client = await serve(spaces(hub), environ={"HF_TOKEN": KEY})

    answer = await paint(client, model="flux", provider="HuggingSpace", size="32x32")

    assert answer.status == 200
    assert hub.requests[0].headers["authorization"] == f"Bearer {KEY}"
    await space.until("end", path="/config", key=f"Bearer {KEY}")


async def test_what_is_listed(serve: Serve, hub: Upstream) -> None:
    """Its models are those of images, and nothing is asked of it for that."""
    client = await serve(spaces(hub))

    told = (await client.get("/v1/providers/HuggingSpace")).json

    assert told["image_models"] == ["flux", "flux-dev", "sd-3.5"]
    assert told["url"] == "https://huggingface.co/spaces"
    assert {"prompt", "size", "seed", "negative_prompt"} <= set(told["params"])
    assert hub.requests == []


async def test_loser_leaves_the_apps_queue(
    serve: Serve, make_upstream: MakeUpstream, hub: Upstream, space: Space
) -> None:
    """While its job waits, another provider answers: the job is taken out again."""
    answered = asyncio.Event()
    image = picture()
    other = await make_upstream([answered, *makes(image)])
    client = await serve(spaces(hub), painter(other))

    async with space.held():
        names = "HuggingSpace Painter"
        painting = asyncio.create_task(paint(client, model="flux", provider=names))
        await space.sent("estimation")
        assert await space.waiting() == 1

        answered.set()
        answer = await painting

        await space.left()
        assert await space.waiting() == 0
    assert answer.json["provider"] == "Painter"
    assert b64decode(answer.json["data"][0]["b64_json"]) == image
    assert "HuggingSpace;dur=" in answer.headers["Server-Timing"]


async def test_job_of_a_client_that_left_leaves_the_apps_queue(
    serve: Serve, hub: Upstream, space: Space
) -> None:
    """Who goes away does not keep others waiting."""
    client = await serve(spaces(hub))

    async with space.held():
        painting = asyncio.create_task(
            paint(client, model="flux", provider="HuggingSpace")
        )
        await space.sent("estimation")
        assert await space.waiting() == 1

        painting.cancel()

        await space.left()
        assert await space.waiting() == 0


async def test_spent_quota(serve: Serve, hub: Upstream, space: Space) -> None:
    """A spent quota is a 429 that says when to come again."""
    client = await serve(spaces(hub))

    answer = await paint(client, model="flux", provider="HuggingSpace", prompt="quota")

    assert answer.status == 429
    assert answer.headers["Retry-After"] == "600"
    assert "GPU quota" in answer.error["providers"][0]["message"]


@pytest.mark.parametrize("provider", ["HuggingSpace", None])
async def test_client_can_not_say_which_app(
    serve: Serve, make_upstream: MakeUpstream, hub: Upstream, provider: str | None
) -> None:
    """Neither a URL nor a Space of a client's choice is ever called."""
    inner = await make_upstream()
    client = await serve(spaces(hub), environ={"HF_TOKEN": KEY})
    url = f"http://127.0.0.1:{inner.port}"

    for model in (url, f"{url}#/infer", "someone/Else", "someone/Else#/infer"):
        answer = await paint(client, model=model, provider=provider)
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")

    assert inner.connections == 0
    assert hub.requests == []
