"""Images by way of Hugging Face's router and hub, both played on a real socket."""

from base64 import b64encode
from typing import Any

import pytest

from providers import (
    Provider,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
    open_session,
)
from providers.dialects.images.huggingface import images
from providers.errors import ProviderDenied, ProviderFailed
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.pictures import picture
from tests.rig.task_calls import drawing, failure, paint
from tests.rig.upstream import Step, Upstream, answers

KEY = "hf_0123456789abcdef"
FLUX = "black-forest-labs/FLUX.1-schnell"
HUB = f"/api/models/{FLUX}"
RED = picture("WEBP")
JSON = ["Content-Type: application/json"]
FILE = answers(200, raw=RED, headers=["Content-Type: image/webp"])
BASE64 = answers(200, {"data": [{"b64_json": b64encode(RED).decode()}]}, JSON)
# What each service calls the model.
NAMES = {
    "fal-ai": "fal-ai/flux/schnell",
    "nscale": "bfl/flux-1",
    "together": "bfl/FLUX.1-schnell-Free",
    "replicate": "bfl/flux-schnell",
    "hf-inference": FLUX,
}
EVERYTHING = {
    "size": "64x32",
    "seed": 7,
    "negative_prompt": "blue",
    "num_inference_steps": 4,
    "guidance_scale": 3.5,
    "quality": "high",
}


def row(service: str, **more: Any) -> dict[str, Any]:
    name = NAMES.get(service, service)
    return {
        "status": "live",
        "providerId": name,
        "task": "text-to-image",
        **more,
    }


def hub(mapping: Any) -> list[Step]:
    return answers(200, {"id": FLUX, "inferenceProviderMapping": mapping}, JSON)


def root(upstream: Upstream) -> str:
    return f"http://127.0.0.1:{upstream.port}"


def result(upstream: Upstream, service: str) -> list[Step]:
    """Return the script of *service*'s good answer; the file is on *upstream*, too."""
    url = f"{root(upstream)}/files/a.webp"
    bodies = {
        "fal-ai": answers(200, {"images": [{"url": url, "width": 8}], "seed": 1}, JSON),
        "nscale": BASE64,
        "together": BASE64,
        "replicate": answers(201, {"output": [url], "error": None}, JSON),
        "hf-inference": FILE,
    }
    return bodies[service]


@pytest.fixture
async def upstream(make_upstream: MakeUpstream) -> Upstream:
    made = await make_upstream()
    made.files["/files/a.webp"] = FILE
    return made


@pytest.fixture
def provider(connect: Connect, upstream: Upstream) -> Provider:
    return connect(root(upstream), kind="huggingface", api_key=KEY)


def serve(upstream: Upstream, *services: str) -> None:
    """Let the hub say that these services have the model, and let them make images."""
    upstream.files[HUB] = hub({service: row(service) for service in services})
    upstream.scripts = [result(upstream, service) for service in services]


@pytest.mark.parametrize(
    ("service", "path", "body"),
    [
        (
            "fal-ai",
            "/fal-ai/fal-ai/flux/schnell",
            {
                "prompt": "a red square",
                "negative_prompt": "blue",
                "image_size": {"width": 64, "height": 32},
                "seed": 7,
                "num_inference_steps": 4,
                "guidance_scale": 3.5,
            },
        ),
        (
            "nscale",
            "/nscale/v1/images/generations",
            {
                "model": "bfl/flux-1",
                "prompt": "a red square",
                "response_format": "b64_json",
                "size": "64x32",
            },
        ),
        (
            "together",
            "/together/v1/images/generations",
            {
                "model": "bfl/FLUX.1-schnell-Free",
                "prompt": "a red square",
                "negative_prompt": "blue",
                "response_format": "base64",
                "width": 64,
                "height": 32,
                "seed": 7,
                "steps": 4,
                "guidance_scale": 3.5,
            },
        ),
        (
            "replicate",
            "/replicate/v1/models/bfl/flux-schnell/predictions",
            {
                "input": {
                    "prompt": "a red square",
                    "negative_prompt": "blue",
                    "width": 64,
                    "height": 32,
                    "seed": 7,
                    "num_inference_steps": 4,
                    "guidance_scale": 3.5,
                }
            },
        ),
        (
            "hf-inference",
            f"/hf-inference/models/{FLUX}",
            {
                "inputs": "a red square",
                "parameters": {
                    "negative_prompt": "blue",
                    "width": 64,
                    "height": 32,
                    "seed": 7,
                    "num_inference_steps": 4,
                    "guidance_scale": 3.5,
                },
            },
        ),
    ],
    ids=NAMES,
)
async def test_each_service_is_asked_in_its_own_way(
    upstream: Upstream, provider: Provider, service: str, path: str, body: Any
) -> None:
    """The hub names the model, and the image comes as bytes, base64 or a URL."""
    serve(upstream, service)

    made = await paint(provider, drawing(**EVERYTHING), FLUX)

    asked, posted = upstream.requests[:2]
    assert (asked.path.partition("?")[0], asked.query) == (
        HUB,
        {"expand[]": "inferenceProviderMapping"},
    )
    assert (posted.method, posted.path) == ("POST", path)
    assert posted.json == body
    for request in (asked, posted):
        assert request.headers["authorization"] == f"Bearer {KEY}"
    assert [(image.data, image.extension) for image in made.images] == [(RED, "webp")]
    assert made.model == FLUX


async def test_replicate_is_told_to_wait(
    upstream: Upstream, provider: Provider
) -> None:
    """A prediction is waited for; a version has a call of its own; one URL will do."""
    upstream.files[HUB] = hub({"replicate": row("replicate", providerId="a/b:c0ffee")})
    url = f"{root(upstream)}/files/a.webp"
    upstream.scripts = [answers(201, {"output": url}, JSON)]

    await paint(provider, None, FLUX)

    posted = upstream.requests[1]
    assert posted.headers["prefer"] == "wait"
    assert posted.path == "/replicate/v1/predictions"
    assert posted.json == {"input": {"prompt": "a red square"}, "version": "c0ffee"}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (
            "fal-ai",
            {
                "loras": [
                    {
                        "path": f"https://huggingface.co/{FLUX}/resolve/main/l.bin",
                        "scale": 1,
                    }
                ]
            },
        ),
        ("replicate", {"lora_weights": f"https://huggingface.co/{FLUX}"}),
    ],
)
async def test_adapter_is_not_forgotten(
    upstream: Upstream, provider: Provider, service: str, said: dict[str, Any]
) -> None:
    """A LoRA's service has its base only: it is told where the adapter is."""
    serve(upstream, service)
    upstream.files[HUB] = hub({service: row(service, adapterWeightsPath="l.bin")})

    await paint(provider, None, FLUX)

    body = upstream.requests[1].json
    assert body.get("input", body) == {"prompt": "a red square", **said}


async def test_half_a_size_is_none_where_both_are_wanted(
    upstream: Upstream, provider: Provider
) -> None:
    """A width alone goes to who takes a width alone, and makes no size."""
    serve(upstream, "nscale")

    await paint(provider, drawing(width=64), FLUX)

    assert "size" not in upstream.requests[1].json


@pytest.mark.parametrize("listed", [False, True])
async def test_best_service_is_asked_first(
    upstream: Upstream, provider: Provider, listed: bool
) -> None:
    """Whatever the hub's order and shape; those that are not live, never."""
    rows: dict[str, Any] = {service: row(service) for service in reversed(NAMES)}
    rows["fal-ai"]["status"] = "error"
    rows["nscale"]["task"] = "image-to-image"
    rows["unheard-of"] = row("unheard-of")
    mapping = [{**row, "provider": name} for name, row in rows.items()]
    upstream.files[HUB] = hub(mapping if listed else rows)
    upstream.scripts = [BASE64]

    await paint(provider, None, FLUX)

    assert upstream.requests[1].path.startswith("/together/")


async def test_service_can_be_pinned(upstream: Upstream, provider: Provider) -> None:
    """A service behind the model's id is the one that is asked, as for chats."""
    serve(upstream, *NAMES)
    upstream.scripts = [BASE64]

    made = await paint(provider, None, f"{FLUX}:together")

    assert upstream.requests[1].path.startswith("/together/")
    assert made.model == FLUX


async def test_next_service_is_asked_where_one_fails(
    upstream: Upstream, provider: Provider
) -> None:
    """A service that is down, or does not have the model, is passed over."""
    serve(upstream, "fal-ai", "nscale", "together")
    upstream.scripts[:2] = [
        answers(503, {"error": "down"}),
        answers(404, {"error": "Not Found"}),
    ]

    made = await paint(provider, None, FLUX)

    paths = [request.path.split("/")[1] for request in upstream.requests]
    assert paths == ["api", "fal-ai", "nscale", "together"]
    assert made.images[0].data == RED


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_what_is_refused_to_the_account_is_refused_by_all(
    upstream: Upstream, provider: Provider, status: int
) -> None:
    """An empty account, or a bad token, is not tried five times."""
    serve(upstream, "fal-ai", "nscale")
    text = "You have exceeded your monthly included credits for Inference Providers."
    upstream.scripts[0] = answers(status, {"error": text})

    error = await failure(provider, None, FLUX)

    assert isinstance(error, ProviderDenied)
    assert (error.status, error.retryable) == (status, False)
    assert error.message == f"fal-ai: {text}"
    assert len(upstream.requests) == 2


async def test_failure_that_may_pass_is_the_one_that_is_told(
    upstream: Upstream, provider: Provider
) -> None:
    """Of several failures, one that a later try may not meet."""
    serve(upstream, "fal-ai", "nscale", "together")
    upstream.scripts = [
        answers(422, {"detail": [{"msg": "bad size"}]}),
        answers(500, {"error": "out of memory"}),
        answers(400, {"error": {"message": "bad size"}}),
    ]

    error = await failure(provider, None, FLUX)

    assert error.message == "nscale: out of memory"


async def test_several_images_are_several_calls(
    upstream: Upstream, provider: Provider
) -> None:
    """n images are n calls with a seed each; the hub, and who failed, is asked once."""
    serve(upstream, "fal-ai", "together")
    upstream.scripts = [answers(503, {"error": "down"})]
    upstream.script = BASE64

    made = await paint(provider, drawing(n=3, seed=7), FLUX)

    paths = [request.path.split("/")[1] for request in upstream.requests]
    assert paths == ["api", "fal-ai", "together", "together", "together"]
    assert [request.json["seed"] for request in upstream.requests[2:]] == [7, 8, 9]
    assert [image.data for image in made.images] == [RED] * 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/a.png", "http://[::1]:{}/a.png"])
async def test_file_is_fetched_as_a_strangers(
    make_upstream: MakeUpstream,
    connect: Connect,
    upstream: Upstream,
    url: str,
) -> None:
    """What a service's answer names is never looked for at a private address."""
    secret = await make_upstream()
    serve(upstream, "fal-ai")
    upstream.scripts = [
        answers(200, {"images": [{"url": url.format(secret.port)}]}, JSON)
    ]

    async with open_session(public=True) as public:
        provider = connect(root(upstream), kind="huggingface", public=public)
        error = await failure(provider, None, FLUX)

    assert isinstance(error, ProviderProtocolError)
    assert secret.connections == 0


@pytest.mark.parametrize(
    ("service", "script", "kind", "message"),
    [
        (
            "hf-inference",
            answers(503, {"error": "Model x is currently loading"}),
            ProviderFailed,
            "Model x is currently loading",
        ),
        (
            "hf-inference",
            answers(404, {"error": "Not Found"}),
            ProviderRefusedRequest,
            f"{FLUX} is not served there now (Not Found)",
        ),
        (
            "hf-inference",
            answers(200, raw=b"<html>", headers=["Content-Type: text/html"]),
            ProviderProtocolError,
            "it sent text/html instead of an answer",
        ),
        (
            "replicate",
            answers(201, {"output": None, "error": None, "status": "starting"}),
            ProviderFailed,
            "the model is still starting: try again in a minute",
        ),
        (
            "replicate",
            answers(201, {"output": None, "error": "NSFW", "status": "failed"}),
            ProviderFailed,
            "NSFW",
        ),
        ("fal-ai", answers(200, {"images": []}), ProviderProtocolError, "no image"),
        ("together", answers(200, {"data": []}), ProviderProtocolError, "no image"),
        (
            "together",
            answers(429, {"error": {"message": "slow down", "type": "rate_limit"}}),
            ProviderError,
            "slow down",
        ),
    ],
    ids=[
        "loading",
        "not served",
        "page",
        "cold",
        "failed",
        "no image",
        "no data",
        "429",
    ],
)
async def test_failures_name_the_service_and_the_reason(
    upstream: Upstream,
    provider: Provider,
    service: str,
    script: list[Step],
    kind: type[Exception],
    message: str,
) -> None:
    """Whoever reads the error knows which of the services failed, and why."""
    serve(upstream, service)
    upstream.scripts = [script]

    error = await failure(provider, None, FLUX)

    assert isinstance(error, kind)
    assert error.message.startswith(f"{service}: ")
    assert message in error.message


@pytest.mark.parametrize(
    ("estimated", "wait"), [(20.0, 20.0), ("soon", None), (None, None)]
)
async def test_loading_says_for_how_long(
    upstream: Upstream, provider: Provider, estimated: Any, wait: float | None
) -> None:
    """A cold model's own estimate is how long to leave it alone."""
    serve(upstream, "hf-inference")
    loading = {"error": "Model x is currently loading", "estimated_time": estimated}
    upstream.scripts = [answers(503, loading)]

    assert (await failure(provider, None, FLUX)).retry_after == wait


@pytest.mark.parametrize(
    ("script", "model", "message"),
    [
        (answers(404, {"error": "Repository not found"}), FLUX, "Repository not found"),
        (hub({}), FLUX, "is not served now by fal-ai or nscale or together or"),
        (answers(200, {"id": FLUX}, JSON), FLUX, "is not served now by fal-ai or"),
        (hub({"wavespeed": row("x")}), FLUX, "is not served now by fal-ai or"),
        (hub({"nscale": row("nscale")}), f"{FLUX}:fal-ai", "not served now by fal-ai"),
        (hub({"wavespeed": row("x")}), f"{FLUX}:wavespeed", "not served now by wave"),
    ],
    ids=["no such model", "nobody", "no mapping", "unknown", "not pinned", "pinned"],
)
async def test_model_that_nobody_serves_is_refused(
    upstream: Upstream, provider: Provider, script: list[Step], model: str, message: str
) -> None:
    """That it can't be had is said as that, and no service is asked."""
    upstream.files[HUB] = script

    error = await failure(provider, None, model)

    assert isinstance(error, ProviderRefusedRequest)
    assert (error.status, error.retryable) == (404, False)
    assert message in error.message
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "model",
    [
        "../../settings/tokens",
        "a/../b",
        "a/b/c",
        "a/b?expand=x",
        "a/b#c",
        "a b",
        "a/b\n",
        "a/%2e%2e",
        "http://127.0.0.1/a",
        "//127.0.0.1/a",
        "/a",
        "",
        "é",
    ],
)
async def test_nothing_but_a_models_id_gets_into_a_path(
    upstream: Upstream, provider: Provider, model: str
) -> None:
    """The client names the model: the token goes to no other page of the hub."""
    error = await failure(provider, None, model)

    assert isinstance(error, ProviderRefusedRequest)
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("base_url", "at"),
    [
        ("https://router.huggingface.co", "https://huggingface.co/api/models/a/b?"),
        ("https://router.huggingface.co/", "https://huggingface.co/api/models/a/b?"),
        ("https://proxy.example/hf", "https://proxy.example/hf/api/models/a/b?"),
    ],
)
def test_hub_is_where_the_router_is(base_url: str, at: str) -> None:
    """The router's host without "router." is the hub; another host is both."""
    settings = ProviderSettings(id="T", kind="huggingface", base_url=base_url)

    ask = next(images(settings, drawing(), "a/b"))

    assert ask.method == "GET"
    assert ask.call.path.startswith(at)


@pytest.mark.parametrize(
    "mapping", [{"fal-ai": {}}, {"fal-ai": None}, ["fal-ai"], "fal-ai", 7]
)
async def test_mapping_of_another_shape_loses(
    upstream: Upstream, provider: Provider, mapping: Any
) -> None:
    """What the hub says in some other way is an unreadable answer, not a crash."""
    upstream.files[HUB] = hub(mapping)

    assert isinstance(await failure(provider, None, FLUX), ProviderProtocolError)
