"""Images from a real Gradio app, with its own queue, on loopback."""

import asyncio
from collections.abc import Callable, Coroutine
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from providers import (
    Images,
    Provider,
    ProviderBusy,
    ProviderProtocolError,
)
from providers.errors import ProviderError, ProviderFailed
from server.racing.entrants import TaskEntrant
from server.racing.race import Race
from server.racing.strategies import Parallel
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.gradio_process import API, Space
from tests.rig.pictures import generated, picture
from tests.rig.task_calls import drawing, failure, paint
from tests.rig.upstream import answers

HUB = "http://127.0.0.1:9"
KEY = "hf_0123456789abcdef"
Ask = Callable[..., Coroutine[Any, Any, Images]]
Fail = Callable[..., Coroutine[Any, Any, ProviderError]]


@pytest.fixture
def app(space: Space, connect: Connect) -> Callable[[str], tuple[Provider, str]]:
    """Return a provider of the running app, and the model that an endpoint is."""

    def make(endpoint: str) -> tuple[Provider, str]:
        model = f"{space.url}#/{endpoint}"
        models = {"flux": model}
        return connect(HUB, kind="gradio", models=models, api_key=KEY), model

    return make


@pytest.fixture
def ask(app: Callable[[str], tuple[Provider, str]]) -> Ask:
    async def make(endpoint: str = "infer", **fields: Any) -> Images:
        provider, model = app(endpoint)
        return await paint(provider, drawing(**fields), model)

    return make


@pytest.fixture
def fail(app: Callable[[str], tuple[Provider, str]]) -> Fail:
    async def make(endpoint: str = "infer", **fields: Any) -> ProviderError:
        provider, model = app(endpoint)
        return await failure(provider, drawing(**fields), model)

    return make


def sizes(made: Images) -> list[tuple[int, int]]:
    return [Image.open(BytesIO(image.data)).size for image in made.images]


async def test_image_is_what_was_asked_for(space: Space, ask: Ask) -> None:
    """
    Size and seed are the client's, the seed not shuffled; the rest is the app's own.
    The answer is the app's file, with the name that clients have for the model.
    """
    made = await ask(seed=7, size="96x64")

    assert await space.until("ran", function="infer") == {
        "function": "infer",
        "prompt": "a red square",
        "seed": 7,
        "randomize_seed": False,
        "width": 96,
        "height": 64,
        "num_inference_steps": 4,
    }
    assert sizes(made) == [(96, 64)]
    assert [image.extension for image in made.images] == ["webp"]
    assert made.model == "flux"


async def test_defaults_are_the_apps(space: Space, ask: Ask) -> None:
    """Where the client says nothing of it, the app chooses size and seed."""
    made = await ask()

    ran = await space.until("ran", function="infer")
    assert (ran["width"], ran["height"]) == (1024, 1024)
    assert ran["randomize_seed"] is True
    assert sizes(made) == [(1024, 1024)]


async def test_every_call_has_the_key(space: Space, ask: Ask) -> None:
    """Private Spaces want it for the file, too."""
    await ask(size="32x32")

    paths: list[str] = []
    while not paths or "file=" not in paths[-1]:
        begun = await space.until("begin")
        assert begun["key"] == f"Bearer {KEY}"
        paths.append(begun["path"])
    fixed = [f"{API}/{path}" for path in ("info", "queue/join", "queue/data")]
    assert paths[:-1] == ["/config", *fixed]


async def test_more_images_are_more_runs(space: Space, ask: Ask) -> None:
    """Each of n images is a run of its own, with a seed of its own."""
    made = await ask(n=3, seed=7, size="32x32")

    ran = [await space.until("ran") for _ in made.images]
    assert [run["seed"] for run in ran] == [7, 8, 9]
    assert sizes(made) == [(32, 32)] * 3


async def test_last_image_of_a_generator_wins(ask: Ask) -> None:
    """What a generator yields on its way is no answer yet."""
    assert sizes(await ask("grow", size="128x128")) == [(128, 128)]


async def test_image_in_a_gallery(space: Space, ask: Ask) -> None:
    """The first of a gallery is taken; what the app remembers is left to it."""
    made = await ask("gallery", negative_prompt="blue")

    ran = await space.until("ran")
    assert (ran["memory"], ran["negative_prompt"]) == ([7], "blue")
    assert sizes(made) == [(24, 16)]


async def test_usual_endpoint(connect: Connect, space: Space) -> None:
    """Without an endpoint in the model, it is the one that is called /infer."""
    provider = connect(HUB, kind="gradio", models={"flux": space.url})

    await paint(provider, drawing(size="32x32"), space.url)

    await space.until("ran", function="infer")


async def test_quota(fail: Fail) -> None:
    """A spent quota is a 429, with the time that its text names."""
    error = await fail(prompt="quota")

    assert isinstance(error, ProviderBusy)
    assert (error.status, error.retry_after) == (429, 600.0)
    assert "exceeded your GPU quota" in error.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "broken"}, "the tensors do not fit"),
        ({"width": 4096}, "Value 4096 is greater than maximum value 2048."),
    ],
)
async def test_exception_in_the_app(
    fail: Fail, fields: dict[str, Any], message: str
) -> None:
    """What the app's function raises is the app's failure, in its own words."""
    error = await fail(**fields)

    assert type(error) is ProviderFailed
    assert error.message == message


async def test_words_are_no_image(fail: Fail) -> None:
    """An endpoint that returns no file loses."""
    assert isinstance(await fail("describe"), ProviderProtocolError)


async def test_endpoint_that_there_is_not(fail: Fail) -> None:
    """The failure names the endpoints that there are."""
    error = await fail("paint")

    assert "no endpoint /paint" in error.message
    assert "/infer, /grow, /gallery" in error.message


async def test_progress_decides_nothing(space: Space, ask: Ask) -> None:
    """Estimates and progress are passed over; the image comes when it comes."""
    asking = asyncio.create_task(ask(prompt="hold", size="32x32"))

    await space.sent("progress")
    assert not asking.done()
    await space.release()

    assert sizes(await asking) == [(32, 32)]


async def test_queue_that_is_full(space: Space, fail: Fail) -> None:
    """Too many waiting jobs are a 503, in the app's own words."""
    async with space.held("a", "b", "c"):
        error = await fail()

    assert type(error) is ProviderFailed
    assert error.status == 503
    assert error.message == "Queue is full. Max size is 3 and size is 3."


async def test_job_of_a_client_that_left_leaves_the_queue(
    space: Space, ask: Ask
) -> None:
    """A job that waits is taken out when its client goes away, and is never run."""
    async with space.held():
        asking = asyncio.create_task(ask(prompt="not wanted any more"))
        await space.sent("estimation")
        assert await space.waiting() == 1

        asking.cancel()
        await space.left()

        assert await space.waiting() == 0
        await space.join("after")
    assert (await space.until("ran"))["prompt"] == "after"


async def test_loser_leaves_the_queue(
    space: Space,
    app: Callable[[str], tuple[Provider, str]],
    connect: Connect,
    make_upstream: MakeUpstream,
) -> None:
    """Two race; while the app's job waits, the other answers: the job is taken out."""
    answered = asyncio.Event()
    upstream = await make_upstream([answered, *answers(200, generated(picture()))])
    waiting, model = app("infer")
    entrants = [
        TaskEntrant(provider, model, provider.limits_for("images"))
        for provider in (waiting, connect(upstream.url))
    ]
    race = Race(entrants, drawing(), Parallel(2))
    async with space.held():
        racing = asyncio.create_task(race.run())
        await space.sent("estimation")
        assert await space.waiting() == 1

        answered.set()
        assert (await racing).id == entrants[1].id

        await space.left()
        assert await space.waiting() == 0
    race.close()
