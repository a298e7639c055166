"""Pollinations' image service without a key, played on a real socket."""

from urllib.parse import unquote

import pytest

from providers import Provider, ProviderBusy, ProviderProtocolError
from providers.errors import ProviderDenied, ProviderError, ProviderFailed
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.pictures import picture
from tests.rig.task_calls import drawing, failure, paint
from tests.rig.upstream import Received, Step, Upstream, answers

RED = picture("JPEG")
JPEG = answers(200, raw=RED, headers=["Content-Type: image/jpeg"])
HTML = b"<!DOCTYPE html><title>Error 1033</title>"
PAGE = ["Content-Type: text/html; charset=UTF-8"]
OFFER = {"scheme": "exact", "network": "base", "resource": "http://127.0.0.1:9/pay"}


@pytest.fixture
async def upstream(make_upstream: MakeUpstream) -> Upstream:
    made = await make_upstream()
    made.files["/prompt/"] = JPEG
    return made


@pytest.fixture
def provider(connect: Connect, upstream: Upstream) -> Provider:
    return connect(f"http://127.0.0.1:{upstream.port}", kind="pollinations")


def prompt(request: Received) -> str:
    path = request.path.partition("?")[0].removeprefix("/prompt/")
    assert "/" not in path
    return unquote(path)


def pays(error: str) -> list[Step]:
    """Return the script of a refusal with an offer to pay instead."""
    return answers(402, {"x402Version": 1, "error": error, "accepts": [OFFER]})


async def test_prompt_is_the_path(upstream: Upstream, provider: Provider) -> None:
    """One GET has all that is wanted, in private; the answer is the image."""
    asked = drawing(size="64x32", seed=7, negative_prompt="blue & green")

    made = await paint(provider, asked, "flux")

    (request,) = upstream.requests
    assert prompt(request) == "a red square"
    assert request.query == {
        "model": "flux",
        "width": "64",
        "height": "32",
        "seed": "7",
        "private": "true",
        "negative_prompt": "blue & green",
    }
    assert "authorization" not in request.headers
    assert [(i.data, i.extension) for i in made.images] == [(RED, "jpg")]
    assert made.model == "flux"


@pytest.mark.parametrize(
    "text",
    [
        "a/b?c=d&e#f",
        "100% 20%2F",
        "../../models",
        "a+b c\nd",
        "http://127.0.0.1/",
        "größer 猫 🐈",
        "~.-_!*'()",
    ],
)
async def test_prompt_arrives_as_it_is(
    upstream: Upstream, provider: Provider, text: str
) -> None:
    """No character of a prompt means anything in the URL."""
    await paint(provider, drawing(prompt=text), "flux")

    assert prompt(upstream.requests[0]) == text
    assert upstream.requests[0].query["model"] == "flux"


@pytest.mark.parametrize("text", ["x" * 9000, "é 猫🐈" * 3000, "/" * 9000])
@pytest.mark.parametrize("negative", ["", "no 猫" * 3000])
async def test_long_prompt_loses_its_end(
    upstream: Upstream, provider: Provider, text: str, negative: str
) -> None:
    """The whole URL stays below 4 KB, and no character is cut in two."""
    more = {"negative_prompt": negative} if negative else {}

    await paint(provider, drawing(prompt=text, **more), "flux")

    (request,) = upstream.requests
    url = f"http://127.0.0.1:{upstream.port}{request.path}"
    assert 3900 < len(url) < 4096
    assert text.startswith(prompt(request))
    assert negative.startswith(request.query.get("negative_prompt", ""))
    assert bool(request.query.get("negative_prompt")) == bool(negative)


async def test_seed_is_another_one_each_time(
    upstream: Upstream, provider: Provider
) -> None:
    """The service keeps what it has made: without a seed it would repeat itself."""
    for _ in range(3):
        await paint(provider, None, "flux")

    assert len({request.query["seed"] for request in upstream.requests}) == 3


async def test_images_are_made_one_after_another(
    upstream: Upstream, provider: Provider
) -> None:
    """One connection is enough: no call begins before the one before it has ended."""
    made = await paint(provider, drawing(n=3, seed=7), "flux")

    assert [request.query["seed"] for request in upstream.requests] == ["7", "8", "9"]
    assert upstream.connections == 1
    assert len(made.images) == 3


async def test_there_is_no_list_of_models_to_ask_for(
    upstream: Upstream, provider: Provider
) -> None:
    """It does not chat, and its models are the configured ones: nothing is asked."""
    assert (await provider.list_models()).names == ()
    assert upstream.connections == 0


@pytest.mark.parametrize("status", [402, 429])
async def test_full_queue_is_waited_for(
    upstream: Upstream, provider: Provider, status: int
) -> None:
    """Its 402 for a full queue is a 429, and nobody is told our own address."""
    text = "Queue full for IP: 203.0.113.7: 1 requests already queued (max: 1)."
    payload = {"x402Version": 1, "error": text, "accepts": [OFFER]}
    upstream.files["/prompt/"] = answers(status, payload)

    error = await failure(provider, None, "flux")

    assert isinstance(error, ProviderBusy)
    assert (error.status, error.retryable, error.retry_after) == (status, True, 10.0)
    assert "203.0.113.7" not in error.message


async def test_offer_to_pay_is_declined(upstream: Upstream, provider: Provider) -> None:
    """Any other 402 is for good, and is the end of it: one request, no payment."""
    upstream.files["/prompt/"] = pays("Model not found or tier not high enough.")

    error = await failure(provider, None, "seedream")

    assert isinstance(error, ProviderDenied)
    assert (error.status, error.retryable) == (402, False)
    assert error.message == "Model not found or tier not high enough."
    assert (len(upstream.requests), upstream.connections) == (1, 1)


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (
            answers(200, raw=HTML, headers=PAGE),
            ProviderProtocolError,
            "it sent text/html instead of an answer",
        ),
        (
            answers(200, {"error": "soon"}, ["Content-Type: application/json"]),
            ProviderProtocolError,
            "it sent application/json instead of an answer",
        ),
        (
            answers(200, raw=HTML, headers=["Content-Type: image/jpeg"]),
            ProviderProtocolError,
            "what it sent is no image",
        ),
        (
            answers(200, raw=RED[:200], headers=["Content-Type: image/jpeg"]),
            ProviderProtocolError,
            "the image that it sent is broken",
        ),
        (answers(530, raw=HTML, headers=PAGE), ProviderFailed, "a page of HTML"),
        (answers(524, raw=HTML, headers=PAGE), ProviderFailed, "a page of HTML"),
        (answers(403, raw=HTML, headers=PAGE), ProviderDenied, "a page of HTML"),
        (answers(302, headers=["Location: /prompt/x"]), ProviderFailed, "302"),
    ],
    ids=["page", "JSON", "page as JPEG", "cut", "530", "524", "403", "redirect"],
)
async def test_what_is_no_image_loses(
    upstream: Upstream,
    provider: Provider,
    script: list[Step],
    kind: type[Exception],
    message: str,
) -> None:
    """Pages of its host's, and half images, are told from images."""
    upstream.files["/prompt/"] = script

    error: ProviderError = await failure(provider, None, "flux")

    assert isinstance(error, kind)
    assert message in error.message
    assert "Error 1033" not in error.message
