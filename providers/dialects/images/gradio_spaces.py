"""
Gradio apps, such as the Spaces of Hugging Face: where they are, and what they take.

A model is a Space's id or the URL of an app, then the endpoint:
`owner/Name#/infer`, `http://127.0.0.1:7860#/infer`. The endpoint may be left out where
the app has one alone, or one named /infer.

Facts: routes.py and blocks.py of gradio 4.44, 5.50 and 6.31, and the answers of apps of
these versions; the Hub's pages on Spaces and their API.
"""

import re
from collections.abc import Generator, Mapping
from typing import TypeAlias, TypeVar

import orjson
from attrs import field, frozen
from yarl import URL

from providers.dialects.base import Call
from providers.dialects.openai.access import authorization
from providers.dialects.talk import Ask, Reply
from providers.errors import (
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
)
from providers.json_types import JSON, JSONMapping
from providers.settings import ProviderSettings

AS_JSON = "application/json"
MODEL = re.compile(
    r"(?:(?P<url>https?://[^\s#]+)|(?P<space>[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+))"
    r"(?:#/?(?P<endpoint>[^\s#/][^\s#]*))?"
)
USUAL_ENDPOINT = "/infer"
# A configuration has the theme and each component of the page in it.
MAX_CONFIG = 16 * 1024 * 1024
# What the Hub says of a Space that is not there, or not for everybody.
NOT_FOUND = frozenset({401, 403, 404})
# Stages that lead to RUNNING, and the seconds after which to look again.
WAKING = re.compile(r"BUILDING|STARTING|SLEEPING")
WAKE_UP = 10.0

T = TypeVar("T")
# A part of a talk: it ends with something that the talk goes on with.
Steps: TypeAlias = Generator[Ask, Reply, T]


@frozen(kw_only=True)
class Target:
    """What a model stands for: a Space or a URL, and an endpoint, "" for the usual."""

    space: str
    url: str
    endpoint: str


@frozen(kw_only=True)
class App:
    """An app: *url* is where it is, *headers* have the key for it."""

    space: str
    url: str
    headers: Mapping[str, str] = field(repr=False)

    def get(self, path: str, **more: JSON) -> Ask:
        call = Call(f"{self.url}{path}", headers=self.headers)
        return Ask(call=call, method="GET", **more)

    def post(self, path: str, payload: JSON) -> Ask:
        headers = {"Content-Type": AS_JSON, **self.headers}
        return Ask(call=Call(f"{self.url}{path}", orjson.dumps(payload), headers))

    def download(self, url: str) -> Ask:
        """Ask for a file that its answer names: with the key, if the app has it."""
        found = URL(self.url).join(URL(url))
        if found.origin() != URL(self.url).origin():
            return Ask(call=Call(str(found)), method="GET", foreign=True)
        return Ask(call=Call(str(found), headers=self.headers), method="GET")


@frozen(kw_only=True)
class Endpoint:
    """
    A function of an app. *prefix* goes before the paths of the app's API; *inputs* has
    a description of each argument, None for one that the app fills in itself.
    """

    prefix: str
    index: int
    inputs: tuple[JSONMapping | None, ...]


def is_gradio_model(model: str) -> bool:
    """Say whether *model* names a Space or an app."""
    return MODEL.fullmatch(model) is not None


def target_of(model: str) -> Target:
    found = MODEL.fullmatch(model)
    if found is None:
        raise ProviderFailed("its model is no Space and no address of an app")
    return Target(
        space=found["space"] or "",
        url=found["url"] or "",
        endpoint=f"/{found['endpoint']}" if found["endpoint"] else "",
    )


def find_app(settings: ProviderSettings, target: Target) -> Steps[App]:
    """Find out where the app is: the Hub knows for a Space, and else a rule does."""
    headers = authorization(settings)
    url = target.url
    if target.space:
        call = Call(f"api/spaces/{target.space}", headers=headers)
        reply = yield Ask(call=call, method="GET")
        url = _host_in(reply) or _usual_host(target.space)
    return App(space=target.space, url=url.rstrip("/"), headers=headers)


def find_endpoint(app: App, asked: str) -> Steps[Endpoint]:
    """Find out how the app's endpoint *asked* is called; "" is the usual one."""
    reply = yield app.get("/config", limit=MAX_CONFIG)
    if app.space and not _is_json(reply):
        # A Space that sleeps, starts or is broken answers with a page or a 503.
        call = Call(f"api/spaces/{app.space}/runtime", headers=app.headers)
        raise _not_running(app.space, (yield Ask(call=call, method="GET")))
    config = orjson.loads(reply.expect(AS_JSON))
    prefix = _prefix(config)
    reply = yield app.get(f"{prefix}/info", limit=MAX_CONFIG)
    described = orjson.loads(reply.expect(AS_JSON))["named_endpoints"]
    name = _chosen(asked, described)
    index, inputs = _inputs(config, name, described[name]["parameters"])
    return Endpoint(prefix=prefix, index=index, inputs=inputs)


def _host_in(reply: Reply) -> str:
    host = str(orjson.loads(reply.body).get("host")) if _is_json(reply) else ""
    return host if host.startswith(("https://", "http://")) else ""


def _usual_host(space: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", space.lower()).strip("-")
    return f"https://{name}.hf.space"


def _prefix(config: JSONMapping) -> str:
    if not str(config.get("protocol")).startswith("sse_v"):
        raise ProviderFailed("the app is not one of Gradio 4 or later")
    prefix = config.get("api_prefix") or ""  # Gradio 4 has none
    # It is put right after the host: "@other.host" would lead, with the key, elsewhere.
    if prefix and not prefix.startswith("/"):
        raise ProviderProtocolError("its configuration has an api_prefix without a '/'")
    return str(prefix)


def _chosen(asked: str, described: JSONMapping) -> str:
    name = asked or (next(iter(described)) if len(described) == 1 else USUAL_ENDPOINT)
    if name not in described:
        known = ", ".join(described) or "none"
        raise ProviderFailed(f"the app has no endpoint {name}; those it has: {known}")
    return name


def _inputs(
    config: JSONMapping, name: str, parameters: list[JSONMapping]
) -> tuple[int, tuple[JSONMapping | None, ...]]:
    """Return a function's index and its inputs, with those that `info` leaves out."""
    hidden = {
        component["id"]
        for component in config["components"]
        if component.get("skip_api", component.get("type") == "state")
    }
    for position, function in enumerate(config["dependencies"]):
        if f"/{function.get('api_name')}" == name:
            shown = iter(parameters)
            inputs = [
                None if each in hidden else next(shown, {})
                for each in function["inputs"]
            ]
            return function.get("id", position), tuple(inputs)
    raise ProviderProtocolError(f"its configuration does not have {name}")


def _not_running(space: str, reply: Reply) -> ProviderError:
    """Make the error of a Space that is not there to be asked, from its stage."""
    if reply.status in NOT_FOUND:
        text = f"there is no Space {space}, or none that the key opens"
        return ProviderDenied(text, status=reply.status)
    stage = str(orjson.loads(reply.expect(AS_JSON))["stage"])
    return ProviderFailed(
        f"the Space {space} does not answer as an app does; its stage is {stage}",
        status=503,
        retry_after=WAKE_UP if WAKING.search(stage) else None,
    )


def _is_json(reply: Reply) -> bool:
    return reply.content_type.startswith(AS_JSON)
