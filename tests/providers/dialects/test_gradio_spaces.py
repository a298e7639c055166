"""Where Spaces are, what is wrong with those that don't answer, who gets the key."""

import json
from typing import Any

import pytest

from providers import (
    ImageRequest,
    Provider,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderSettings,
)
from providers.dialects import Reply, Talk
from providers.dialects.images import gradio
from providers.errors import ProviderDenied, ProviderFailed
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.pictures import picture
from tests.rig.samples import WIRE
from tests.rig.task_calls import drawing, failure, paint
from tests.rig.upstream import END, HEAD, Step, Upstream, answers, event

GRADIO5 = WIRE / "gradio5"
CONFIG, INFO = (
    json.loads((GRADIO5 / f"{n}.json").read_text()) for n in ("config", "info")
)
JSON = ["Content-Type: application/json"]
HTML = ["Content-Type: text/html; charset=utf-8"]
PAGE = answers(200, raw=b"<!DOCTYPE html><title>Space</title>", headers=HTML)
DOWN = answers(503, raw=b"<!DOCTYPE html><title>503</title>", headers=HTML)
AWAY = answers(404, raw=b"<!DOCTYPE html><title>404</title>", headers=HTML)
PICTURE = picture("WEBP")
KEY = "hf_0123456789abcdef"
SPACE = "Owner/Some_Space.v2"
MODEL = f"{SPACE}#/infer"
USUAL = "owner-some-space-v2.hf.space"
HUB = f"/v1/api/spaces/{SPACE}"


def done(url: str) -> dict[str, Any]:
    """Return the last message of a job whose image is at *url*."""
    output = {"data": [{"path": "/space/a.webp", "url": url}]}
    last = {"msg": "process_completed", "event_id": "e", "success": True}
    return {**last, "output": output}


def app_on(upstream: Upstream, url: str) -> None:
    """Let *upstream* be an app whose answers name an image by *url*."""
    upstream.files |= {
        "/config": answers(200, CONFIG, JSON),
        "/gradio_api/info": answers(200, INFO, JSON),
        "/gradio_api/queue/data": [HEAD, event(done(url)), END],
        "/a.webp": answers(200, raw=PICTURE),
    }
    upstream.script = answers(200, {"event_id": "e"}, JSON)


def address(upstream: Upstream) -> str:
    return f"http://127.0.0.1:{upstream.port}"


@pytest.fixture
async def hub(make_upstream: MakeUpstream) -> Upstream:
    return await make_upstream()


@pytest.fixture
async def app(make_upstream: MakeUpstream, hub: Upstream) -> Upstream:
    """Return a Space's app, which the hub knows to be running there."""
    upstream = await make_upstream()
    app_on(upstream, f"{address(upstream)}/a.webp")
    hub.files[f"{HUB}/runtime"] = answers(200, {"stage": "RUNNING"}, JSON)
    hub.files[HUB] = answers(200, {"id": SPACE, "host": address(upstream)}, JSON)
    return upstream


@pytest.fixture
def provider(connect: Connect, hub: Upstream) -> Provider:
    models = {"flux": MODEL}
    return connect(hub.url, kind="gradio", models=models, api_key=KEY)


async def test_hub_knows_where_a_space_is(
    app: Upstream, hub: Upstream, provider: Provider
) -> None:
    """The app is called where the hub says; both get the key."""
    made = await paint(provider, None, MODEL)

    assert [image.data for image in made.images] == [PICTURE]
    assert made.model == SPACE
    assert [request.path for request in hub.requests] == [HUB]
    keys = {r.headers.get("authorization") for r in [*hub.requests, *app.requests]}
    assert keys == {f"Bearer {KEY}"}


async def test_no_key_is_needed(app: Upstream, hub: Upstream, connect: Connect) -> None:
    """Public Spaces are there for everybody: without a key none is sent."""
    provider = connect(hub.url, kind="gradio", models={"flux": MODEL}, api_key="")

    await paint(provider, None, MODEL)

    assert not any("authorization" in r.headers for r in [*hub.requests, *app.requests])


@pytest.mark.parametrize("script", [DOWN, PAGE, AWAY], ids=["503", "page", "404"])
@pytest.mark.parametrize(
    ("stage", "retry_after"),
    [
        ("BUILDING", 10.0),
        ("APP_STARTING", 10.0),
        ("RUNNING_APP_STARTING", 10.0),
        ("SLEEPING", 10.0),
        ("PAUSED", None),
        ("STOPPED", None),
        ("BUILD_ERROR", None),
        ("RUNTIME_ERROR", None),
        ("NO_APP_FILE", None),
        ("RUNNING", None),
    ],
)
async def test_space_that_does_not_run(
    app: Upstream,
    hub: Upstream,
    provider: Provider,
    script: list[Step],
    stage: str,
    retry_after: float | None,
) -> None:
    """What is wrong with a Space is what the hub says; some will run soon."""
    app.files["/config"] = script
    hub.files[f"{HUB}/runtime"] = answers(200, {"stage": stage}, JSON)

    error = await failure(provider, None, MODEL)

    assert type(error) is ProviderFailed
    assert SPACE in error.message
    assert error.message.endswith(f"its stage is {stage}")
    assert (error.status, error.retry_after) == (503, retry_after)


@pytest.mark.parametrize("status", [401, 404])
async def test_space_that_there_is_not(
    app: Upstream, hub: Upstream, provider: Provider, status: int
) -> None:
    """The hub does not tell a Space that is private from one that is not there."""
    app.files["/config"] = AWAY
    hub.files[f"{HUB}/runtime"] = answers(status, {"error": "Not here"}, JSON)

    error = await failure(provider, None, MODEL)

    assert type(error) is ProviderDenied
    assert f"there is no Space {SPACE}" in error.message


async def test_app_that_is_no_space_has_no_stage(
    app: Upstream, hub: Upstream, connect: Connect
) -> None:
    """The hub knows nothing of apps elsewhere, and is not asked."""
    app.files["/config"] = DOWN
    provider = connect(hub.url, kind="gradio", models={"flux": address(app)})

    error = await failure(provider, None, address(app))

    assert type(error) is ProviderFailed
    assert error.status == 503
    assert hub.requests == []


@pytest.mark.parametrize("model", ["http://127.0.0.1:1#/infer", "Owner/Other", "flux"])
async def test_model_that_nobody_configured(
    app: Upstream, hub: Upstream, provider: Provider, model: str
) -> None:
    """Whatever a client says: an address that is not configured is never called."""
    for asked in (model, f"{address(app)}#/infer"):
        error = await failure(provider, None, asked)
        assert isinstance(error, ProviderRefusedRequest)

    assert hub.requests == app.requests == []


async def test_model_that_is_no_address(hub: Upstream, connect: Connect) -> None:
    """A name in the place of an address is the configuration's mistake."""
    provider = connect(hub.url, kind="gradio", default_model="flux")

    error = await failure(provider, None, "flux")

    assert type(error) is ProviderFailed
    assert hub.requests == []


async def test_file_elsewhere_is_not_fetched_from_here(
    app: Upstream, provider: Provider, make_upstream: MakeUpstream
) -> None:
    """An answer can't lead us to machines that only we can reach."""
    inner = await make_upstream()
    inner.files["/"] = answers(200, raw=PICTURE)
    app_on(app, f"{address(inner)}/a.webp")

    error = await failure(provider, None, MODEL)

    assert isinstance(error, ProviderProtocolError)
    assert inner.requests == []


@pytest.mark.parametrize("key", ["", KEY])
async def test_prefix_can_not_change_the_host(
    app: Upstream,
    hub: Upstream,
    connect: Connect,
    make_upstream: MakeUpstream,
    key: str,
) -> None:
    """What an app says of its paths does not make us call another host."""
    inner = await make_upstream()
    inner.files["/"] = answers(200, INFO, JSON)
    prefix = f"@127.0.0.1:{inner.port}"
    app.files["/config"] = answers(200, CONFIG | {"api_prefix": prefix}, JSON)
    provider = connect(hub.url, kind="gradio", models={"flux": MODEL}, api_key=key)

    error = await failure(provider, None, MODEL)

    assert isinstance(error, ProviderProtocolError)
    assert inner.requests == []


async def test_redirect_is_not_followed(
    app: Upstream, provider: Provider, make_upstream: MakeUpstream
) -> None:
    """Nor does a redirect, and it does not take the key along."""
    inner = await make_upstream()
    away = [f"Location: {address(inner)}/a.webp"]
    app.files["/a.webp"] = answers(302, raw=b" ", headers=away)

    assert isinstance(await failure(provider, None, MODEL), ProviderError)
    assert inner.requests == []


async def test_app_has_its_own_proxy(
    app: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app on this machine is called directly, whatever proxy the hub is behind."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    model = f"{address(app)}#/infer"
    provider = connect("http://hub.example", kind="gradio", models={"flux": model})

    await paint(provider, drawing(), model)

    assert len(app.requests) == 5


# The calls alone, for hosts that are not on this machine.


def talk() -> Talk:
    """Begin to talk with a Space."""
    settings = ProviderSettings(
        id="Test",
        kind="gradio",
        base_url="https://huggingface.co",
        api_key=KEY,
        models={"flux": MODEL},
    )
    return gradio.images(settings, ImageRequest(prompt="a red square"), MODEL)


def reply(content: Any, kind: str = "application/json", status: int = 200) -> Reply:
    body = json.dumps(content).encode()
    return Reply(status=status, content_type=kind, headers={}, body=body)


@pytest.mark.parametrize(
    ("content", "kind", "status", "host"),
    [
        ({"host": "https://own.example.org"}, "application/json", 200, ""),
        ({"id": SPACE}, "application/json", 200, USUAL),
        ({"host": None}, "application/json", 200, USUAL),
        ({"host": "own.example.org"}, "application/json", 200, USUAL),
        ({"error": "no"}, "application/json", 401, USUAL),
        ("<html>", "text/html", 502, USUAL),
    ],
)
def test_address_of_a_space(content: Any, kind: str, status: int, host: str) -> None:
    """Where the hub does not say where a Space is, it is where Spaces are."""
    talking = talk()
    assert next(talking).call.path == f"api/spaces/{SPACE}"

    config = talking.send(reply(content, kind, status))

    assert config.call.path == f"https://{host or 'own.example.org'}/config"
    assert config.call.headers == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("url", "foreign"),
    [
        (f"https://{USUAL}/gradio_api/file=/a.webp", False),
        (f"HTTPS://{USUAL.upper()}/a.webp", False),
        ("/gradio_api/file=/a.webp", False),
        ("https://cdn.example.org/a.webp", True),
        (f"http://{USUAL}/a.webp", True),
        (f"https://{USUAL}:8443/a.webp", True),
        (f"https://{USUAL}@example.org/a.webp", True),
        (f"https://{USUAL}.example.org/a.webp", True),
        ("//example.org/a.webp", True),
    ],
)
def test_key_is_not_for_strangers(url: str, foreign: bool) -> None:
    """A file is fetched with the key from the app itself, and from nobody else."""
    talking = talk()
    next(talking)
    for told in (reply({}), reply(CONFIG), reply(INFO)):
        talking.send(told)
    listening = talking.send(reply({"event_id": "e"}))
    assert listening.listen is not None
    assert listening.listen(f"data: {json.dumps(done(url))}\n\n".encode())

    file = talking.send(reply("", "text/event-stream"))

    assert file.foreign == foreign
    assert ("Authorization" in file.call.headers) != foreign
