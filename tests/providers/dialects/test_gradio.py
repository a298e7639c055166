"""What apps of Gradio 4 and 5 have sent, played again on a real socket."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define

from providers import (
    Images,
    Provider,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
)
from providers.errors import ProviderFailed, ProviderUnreachable
from tests.conftest import MakeUpstream
from tests.providers.conftest import Connect
from tests.rig.pictures import picture
from tests.rig.samples import WIRE
from tests.rig.task_calls import drawing, failure, paint
from tests.rig.upstream import END, HEAD, Step, Upstream, answers, chunked, event

# Where the recorded apps were, and the prefixes of their paths.
RECORDED = b"http://127.0.0.1:7860"
PREFIXES = {"gradio4": "", "gradio5": "/gradio_api"}
JSON = ["Content-Type: application/json"]
HTML = ["Content-Type: text/html; charset=utf-8"]
PAGE = answers(200, raw=b"<!DOCTYPE html><title>Space</title>", headers=HTML)
DOWN = answers(503, raw=b"<!DOCTYPE html><title>503</title>", headers=HTML)
PICTURE = picture("WEBP")
KEY = "hf_0123456789abcdef"
SPACE = "Owner/Some_Space.v2"
MODEL = f"{SPACE}#/infer"


@define
class App:
    """A recorded app on *upstream*; what it plays may be changed."""

    version: str
    upstream: Upstream

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.upstream.port}"

    @property
    def prefix(self) -> str:
        return PREFIXES[self.version]

    def recorded(self, name: str) -> bytes:
        content = (WIRE / self.version / name).read_bytes()
        return content.replace(RECORDED, self.url.encode())

    def play(self, stream: str) -> None:
        """Have the next job end as recorded."""
        content = self.recorded(f"{stream}.sse")
        ids = (json.loads(line[6:])["event_id"] for line in content.split(b"\n\n")[:1])
        self.answer(next(ids), [HEAD, chunked(content), END])

    def answer(self, job: str, script: list[Step]) -> None:
        self.upstream.script = answers(200, {"event_id": job}, JSON)
        self.upstream.files[f"{self.prefix}/queue/data"] = script

    def change(self, name: str, change: Callable[[Any], object]) -> None:
        """Change what the app says of itself: its config, or its info."""
        content = json.loads(self.recorded(f"{name}.json"))
        change(content)
        path = "/config" if name == "config" else f"{self.prefix}/info"
        self.upstream.files[path] = answers(200, content, JSON)

    def paths(self) -> list[str]:
        return [request.path.partition("?")[0] for request in self.upstream.requests]

    def job(self) -> Any:
        """Return the last job that was queued."""
        posts = [r for r in self.upstream.requests if r.method == "POST"]
        return posts[-1].json


@pytest.fixture(params=PREFIXES)
async def app(request: pytest.FixtureRequest, make_upstream: MakeUpstream) -> App:
    app = App(request.param, await make_upstream())
    app.change("config", lambda config: config)
    app.change("info", lambda info: info)
    app.upstream.files[f"{app.prefix}/file="] = answers(200, raw=PICTURE)
    app.play("image")
    return app


@pytest.fixture
def provider(connect: Connect, app: App) -> Callable[[str], Provider]:
    """Return a provider that has this endpoint of the app as its model."""

    def make(model: str) -> Provider:
        models = {"flux": model}
        hub = f"{app.url}/hub"
        return connect(hub, kind="gradio", models=models, api_key=KEY)

    return make


Make = Callable[[str], Provider]


async def ask(
    app: App, provider: Make, endpoint: str = "#/infer", **fields: Any
) -> Images:
    model = app.url + endpoint
    return await paint(provider(model), drawing(**fields), model)


async def fail(app: App, provider: Make, endpoint: str = "#/infer") -> ProviderError:
    model = app.url + endpoint
    return await failure(provider(model), drawing(), model)


async def test_calls(app: App, provider: Make) -> None:
    """Each version is called where it listens; the arguments go by their names."""
    made = await ask(app, provider, seed=7, size="64x32")

    *paths, file = app.paths()
    assert paths == [
        "/config",
        f"{app.prefix}/info",
        f"{app.prefix}/queue/join",
        f"{app.prefix}/queue/data",
    ]
    assert file.startswith(f"{app.prefix}/file=/space/gradio/")
    assert app.job()["data"] == ["a red square", 7, False, 64, 32, 4]
    assert app.job()["fn_index"] == 0
    keys = {r.headers["authorization"] for r in app.upstream.requests}
    assert keys == {f"Bearer {KEY}"}
    assert [image.data for image in made.images] == [PICTURE]


async def test_session_is_our_own(app: App, provider: Make) -> None:
    """The session that is listened to is the job's, and another one each time."""
    sessions = []
    for _ in range(2):
        await ask(app, provider)
        sessions.append(app.job()["session_hash"])
        data = f"{app.prefix}/queue/data"
        (*_, listened) = (r for r in app.upstream.requests if data in r.path)
        assert listened.query == {"session_hash": sessions[-1]}

    assert len(set(sessions)) == 2


@pytest.mark.parametrize("stream", ["image", "progress", "generator", "gallery"])
async def test_recorded_image(app: App, provider: Make, stream: str) -> None:
    """The file of the job's last message is fetched, whatever came before it."""
    app.play(stream)

    await ask(app, provider)

    last = app.recorded(f"{stream}.sse").partition(b"process_completed")[2]
    (url, *_) = re.findall(b'"url":"([^"]+)"', last)
    assert app.url + app.paths()[-1] == url.decode()


@pytest.mark.parametrize(
    ("stream", "kind", "retry_after", "text"),
    [
        ("quota", ProviderBusy, 600.0, "You have exceeded your GPU quota (60s requ"),
        ("broken", ProviderFailed, None, "the tensors do not fit"),
        ("words", ProviderProtocolError, None, "the app's answer has no image in it"),
        ("unknown", ProviderFailed, None, "404: "),
    ],
)
async def test_recorded_failure(
    app: App,
    provider: Make,
    stream: str,
    kind: type[ProviderError],
    retry_after: float | None,
    text: str,
) -> None:
    """Each failure is told in the app's own words, without marks around them."""
    app.play(stream)

    error = await fail(app, provider)

    assert type(error) is kind
    assert error.message.startswith(text)
    assert error.retry_after == retry_after


async def test_full_queue(app: App, provider: Make) -> None:
    """A job that is not let in is a 503, in the app's own words."""
    full = "Queue is full. Max size is 3 and size is 3."
    app.upstream.script = answers(503, {"detail": full}, JSON)

    error = await fail(app, provider)

    assert type(error) is ProviderFailed
    assert (error.status, error.message) == (503, full)
    assert app.paths()[-1] == f"{app.prefix}/queue/join"


async def test_queue_that_is_not_told_of(app: App, provider: Make) -> None:
    """An error in the place of the queue's messages is told as it is."""
    stopped = answers(503, {"detail": "The queue is stopped."}, JSON)
    app.upstream.files[f"{app.prefix}/queue/data"] = stopped

    error = await fail(app, provider)

    assert type(error) is ProviderFailed
    assert (error.status, error.message) == (503, "The queue is stopped.")


@pytest.mark.parametrize("step", ["config", "info", "join", "data", "file"])
async def test_page_is_no_answer(app: App, provider: Make, step: str) -> None:
    """A page of HTML with status 200 loses, wherever it comes."""
    files = {
        "config": "/config",
        "info": f"{app.prefix}/info",
        "data": f"{app.prefix}/queue/data",
        "file": f"{app.prefix}/file=",
    }
    if step == "join":
        app.upstream.script = PAGE
    else:
        app.upstream.files[files[step]] = PAGE

    assert type(await fail(app, provider)) is ProviderProtocolError


@pytest.mark.parametrize(
    "frames",
    [
        [END],
        [event({"msg": "estimation", "event_id": "e", "rank": 0}), END],
        [event({"msg": "close_stream", "event_id": None}), END],
        [event({"msg": "process_completed", "event_id": "other", "output": {}}), END],
        [chunked(b"data: {not json\n\n"), ...],
        [event(["process_completed"]), ...],
        [event({"event_id": "e"}), ...],
        [event({"msg": "process_completed", "event_id": "e", "success": True}), ...],
        [chunked(b"data: " + b"x" * 2**24), chunked(b"x" * 2**10), ...],
    ],
    ids=[
        "nothing",
        "estimate",
        "closed",
        "another's",
        "garbage",
        "list",
        "no name",
        "no output",
        "too long",
    ],
)
async def test_stream_without_an_end(
    app: App, provider: Make, frames: list[Step]
) -> None:
    """A queue that does not tell of the job's end, or not readably, loses."""
    app.answer("e", [HEAD, *frames])

    assert isinstance(await fail(app, provider), ProviderProtocolError)


async def test_stream_that_is_cut(app: App, provider: Make) -> None:
    """A queue that hangs up in the middle loses."""
    app.answer("e", [HEAD, event({"msg": "estimation", "event_id": "e"}), b""])

    assert isinstance(await fail(app, provider), ProviderUnreachable)


def completed(**output: Any) -> list[Step]:
    message = {"msg": "process_completed", "event_id": "e", **output}
    return [HEAD, event(message), END]


@pytest.mark.parametrize(
    ("text", "kind", "status", "retry_after"),
    [
        (
            (
                "You have exceeded your free ZeroGPU quota (60s requested vs. 12s"
                " left). Try again in 23:59:07. Subscribe to Hugging Face PRO"
            ),
            ProviderBusy,
            429,
            86347.0,
        ),
        (
            "You have exceeded your ZeroGPU quota. Try again in 2 days, 1:00:01. ",
            ProviderBusy,
            429,
            176401.0,
        ),
        ("You have exceeded your ZeroGPU runs limit. ", ProviderBusy, 429, None),
        ("Space app has reached its GPU limit. Retry", ProviderBusy, 429, None),
        (
            "You have too many ZeroGPU credits allocated to running tasks.",
            ProviderBusy,
            429,
            None,
        ),
        ("No GPU was available after 60s. Retry later", ProviderFailed, 503, None),
        ("The requested GPU duration (300s) is larger", ProviderFailed, None, None),
        (None, ProviderFailed, None, None),
    ],
)
async def test_texts_of_zerogpu(
    app: App,
    provider: Make,
    text: str | None,
    kind: type[ProviderError],
    status: int | None,
    retry_after: float | None,
) -> None:
    """Quotas are told from other failures by their texts: Gradio 4 has no titles."""
    app.answer("e", completed(success=False, output={"error": text}))

    error = await fail(app, provider)

    assert type(error) is kind
    assert (error.status, error.retry_after) == (status, retry_after)
    assert error.message == (text or "the app names no reason").strip()


async def test_title_of_a_quota(app: App, provider: Make) -> None:
    """From Gradio 5 on, the title says what a text may not."""
    output = {"error": "Ask <a href='https://hf.co'>them</a>."}
    title = "ZeroGPU quota exceeded"
    app.answer("e", completed(success=False, output=output, title=title))

    error = await fail(app, provider)

    assert isinstance(error, ProviderBusy)
    assert error.message == "Ask them."


FILE = {"path": "/space/gradio/a b?c/image.webp", "url": None}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([FILE], "/file=/space/gradio/a%20b%3Fc/image.webp"),
        ([7, None, {"image": FILE}], "/file=/space/gradio/a%20b%3Fc/image.webp"),
        ([{"path": "x", "url": "file=a.png"}], None),
    ],
)
async def test_file_without_a_url(
    app: App, provider: Make, data: list[Any], path: str | None
) -> None:
    """The app has the file under its path; a relative URL is the app's, too."""
    app.answer("e", completed(success=True, output={"data": data}))
    app.upstream.files["/file="] = answers(200, raw=PICTURE)

    await ask(app, provider)

    assert app.paths()[-1] == (app.prefix + path if path else "/file=a.png")


async def test_image_in_the_answer(app: App, provider: Make) -> None:
    """A data: URL has the image itself: nothing is fetched."""
    url = f"data:image/webp;base64,{b64encode(PICTURE).decode()}"
    file = {"path": None, "url": url}
    app.answer("e", completed(success=True, output={"data": [file]}))

    made = await ask(app, provider)

    assert made.images[0].data == PICTURE
    assert app.paths()[-1] == f"{app.prefix}/queue/data"


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,???", "data:,"]
)
async def test_broken_image_in_the_answer(app: App, provider: Make, url: str) -> None:
    """Such an image must be one all the same."""
    app.answer("e", completed(success=True, output={"data": [{"url": url}]}))

    assert isinstance(await fail(app, provider), ProviderProtocolError)


def infer(info: Any) -> Any:
    return info["named_endpoints"]["/infer"]["parameters"]


def without(*names: str) -> Callable[[Any], None]:
    """Take the inputs with these names away."""

    def change(info: Any) -> None:
        infer(info)[:] = [p for p in infer(info) if p["parameter_name"] not in names]

    return change


def renamed(name: str, other: str) -> Callable[[Any], None]:
    def change(info: Any) -> None:
        for parameter in infer(info):
            if parameter["parameter_name"] == name:
                parameter["parameter_name"] = other

    return change


@pytest.mark.parametrize(
    ("change", "data"),
    [
        (lambda info: infer(info).reverse(), [4, 32, 64, False, 7, "a red square"]),
        (renamed("prompt", "text"), ["a red square", 7, False, 64, 32, 4]),
        (renamed("width", "breadth"), ["a red square", 7, False, 1024, 32, 4]),
        (renamed("randomize_seed", "hd"), ["a red square", 7, True, 64, 32, 4]),
    ],
    ids=["reversed", "text", "no width", "other switch"],
)
async def test_arguments_go_by_name(
    app: App, provider: Make, change: Callable[[Any], None], data: list[Any]
) -> None:
    """A Space that is changed still gets each value in its place."""
    app.change("info", change)

    await ask(app, provider, seed=7, width=64, height=32)

    assert app.job()["data"] == data


async def test_what_the_app_fills_in_itself(app: App, provider: Make) -> None:
    """Between the described inputs there may be others: they get no value."""
    await ask(app, provider, "#/gallery")

    assert app.job()["data"] == ["a red square", None, ""]
    assert app.job()["fn_index"] == 3


async def test_function_without_an_id(app: App, provider: Make) -> None:
    """An older app's functions go by their positions."""

    def change(config: Any) -> None:
        for function in config["dependencies"]:
            del function["id"]
        for component in config["components"]:
            del component["skip_api"]

    app.change("config", change)

    await ask(app, provider, "#/gallery")

    assert app.job()["data"] == ["a red square", None, ""]
    assert app.job()["fn_index"] == 3


def numbers_only(info: Any) -> None:
    for parameter in infer(info):
        parameter["parameter_name"] += "_number"
        parameter["component"] = "Number"


@pytest.mark.parametrize(
    "change",
    [numbers_only, renamed("prompt", "negative_prompt")],
    ids=["no text", "what is not wanted"],
)
async def test_endpoint_that_takes_no_prompt(
    app: App, provider: Make, change: Callable[[Any], None]
) -> None:
    """An endpoint that can't be told what to paint is not asked."""
    app.change("info", change)

    assert "no prompt" in (await fail(app, provider)).message
    assert app.paths()[-1] == f"{app.prefix}/info"


async def test_function_that_is_described_only(app: App, provider: Make) -> None:
    """What the configuration does not have can't be queued."""
    app.change("config", lambda config: config["dependencies"].clear())

    assert isinstance(await fail(app, provider), ProviderProtocolError)


async def test_description_that_does_not_fit(app: App, provider: Make) -> None:
    """Fewer descriptions than inputs: nothing is guessed."""
    app.change("info", without("seed"))

    assert isinstance(await fail(app, provider), ProviderProtocolError)


@pytest.mark.parametrize(
    ("names", "endpoint", "chosen"),
    [
        (["infer"], "", 0),
        (["grow"], "", 1),
        (["grow", "infer"], "", 0),
        (["grow", "infer"], "#grow", 1),
        (["grow", "quick"], "", None),
        (["grow"], "#/infer", None),
        ([], "", None),
    ],
)
async def test_endpoint(
    app: App, provider: Make, names: list[str], endpoint: str, chosen: int | None
) -> None:
    """It is the one that the model names, else the only one, else /infer."""

    def change(info: Any) -> None:
        all_of_them = info["named_endpoints"]
        info["named_endpoints"] = {f"/{n}": all_of_them[f"/{n}"] for n in names}

    app.change("info", change)

    if chosen is None:
        assert "has no endpoint" in (await fail(app, provider, endpoint)).message
    else:
        await ask(app, provider, endpoint)
        assert app.job()["fn_index"] == chosen


@pytest.mark.parametrize("protocol", ["ws", "sse", None])
async def test_other_protocols(app: App, provider: Make, protocol: str | None) -> None:
    """What Gradio 3 spoke is not spoken here, and that is said."""
    app.change("config", lambda config: config.update(protocol=protocol))

    error = await fail(app, provider)

    assert type(error) is ProviderFailed
    assert "Gradio 4" in error.message


@pytest.mark.parametrize(
    ("asked", "seeds", "random"),
    [
        ({}, [0], True),
        ({"seed": -1}, [-1], False),
        ({"seed": 0}, [0], False),
        ({"seed": 2**31 - 1, "n": 3}, [2**31 - 1, 0, 1], False),
    ],
)
async def test_seeds(
    app: App, provider: Make, asked: dict[str, Any], seeds: list[int], random: bool
) -> None:
    """The client's seed is used as it is; further images have those after it."""
    await ask(app, provider, **asked)

    posts = [r.json["data"] for r in app.upstream.requests if r.method == "POST"]
    assert [data[1] for data in posts] == seeds
    assert {data[2] for data in posts} == {random}


async def test_seeds_of_our_own(app: App, provider: Make) -> None:
    """Several images differ though no seed was given, and again the next time."""
    await ask(app, provider, n=2)
    await ask(app, provider, n=2)

    posts = [r.json["data"] for r in app.upstream.requests if r.method == "POST"]
    assert len({data[1] for data in posts}) == 4
    assert {data[2] for data in posts} == {False}
