"""
Images by way of Hugging Face: one router, and behind it services with an API each.

Which service has a model, and by what name, the hub says. Facts: the services' classes
in huggingface_hub 2.4 (`inference/_providers`), and the "Inference Providers" pages of
Hugging Face's documentation.
"""

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import quote

import orjson
from attrs import field, frozen

from providers.dialects.base import UNREADABLE, Call
from providers.dialects.openai.access import authorization
from providers.dialects.openai.tasks import (
    AS_JSON,
    decoded,
    downloaded,
    fetch,
    read_object,
)
from providers.dialects.talk import Ask, Reply, Talk
from providers.dialects.upstream_errors import read_error
from providers.errors import (
    ProviderDenied,
    ProviderError,
    ProviderFailed,
    ProviderProtocolError,
    ProviderRefusedRequest,
)
from providers.json_types import JSONMapping, JSONObject
from providers.settings import ProviderSettings
from providers.tasks import Image, ImageRequest, Images

TASK = "text-to-image"
# The id of a repository, and perhaps the one service that is wanted. Nothing else gets
# into a path: it is the client who names the model.
MODEL = re.compile(r"(\w[\w.-]*(?:/\w[\w.-]*)?)(?::([\w-]+))?", re.ASCII)
# What a client may say besides, as Hugging Face calls it.
TUNING = ("num_inference_steps", "guidance_scale")
HTTP_LOADING = 503
HTTP_NOT_FOUND = 404

Wanted: TypeAlias = JSONObject


@frozen(kw_only=True)
class Served:
    """A model as one service has it: *name* there, *lora* its weights' file, if any."""

    service: str
    model: str
    name: str
    lora: str = ""


def images(settings: ProviderSettings, request: ImageRequest, model: str) -> Talk:
    """Make images one by one, each by the first service that succeeds."""
    served = yield from _services(settings, model)
    made = []
    for number in range(request.count):
        wanted = _wanted(request, number)
        data = yield from _picture(settings, served, wanted)
        made.append(Image(data=data))
    return Images(images=tuple(made), model=served[0].model)


def _services(
    settings: ProviderSettings, model: str
) -> Generator[Ask, Reply, list[Served]]:
    """Ask the hub who serves *model* now; return those we know, the best first."""
    matched = MODEL.fullmatch(model)
    if matched is None:
        text = f"{model[:100]!r} is no model id of Hugging Face's"
        raise ProviderRefusedRequest(text, status=HTTP_NOT_FOUND)
    repository, pinned = matched.groups()
    # https://router.huggingface.co has its hub at https://huggingface.co.
    hub = settings.base_url.rstrip("/").replace("://router.", "://", 1)
    url = f"{hub}/api/models/{repository}?expand%5B%5D=inferenceProviderMapping"
    reply = yield Ask(call=Call(url, headers=authorization(settings)), method="GET")
    rows = {
        row["provider"]: row
        for row in _mapping(read_object(reply))
        if row["status"] == "live" and row["task"] == TASK
    }
    wanted = [pinned] if pinned else list(SERVICES)
    served = [
        Served(
            service=service,
            model=repository,
            name=rows[service]["providerId"],
            lora=rows[service].get("adapterWeightsPath") or "",
        )
        for service in wanted
        if service in rows and service in SERVICES
    ]
    if not served:
        text = f"{repository} is not served now by {' or '.join(wanted)}"
        raise ProviderRefusedRequest(text, status=HTTP_NOT_FOUND)
    return served


def _mapping(payload: JSONMapping) -> list[JSONObject]:
    """Return a row for each service; the hub has sent objects, and sends lists."""
    mapping = payload.get("inferenceProviderMapping") or []
    if isinstance(mapping, list):
        return mapping
    return [{**row, "provider": service} for service, row in mapping.items()]


def _wanted(request: ImageRequest, number: int) -> Wanted:
    """Return what is wanted of the image *number*, as Hugging Face says it."""
    width, height = request.pixels
    wanted = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": width,
        "height": height,
        # Or n images would be one image n times.
        "seed": None if request.seed is None else request.seed + number,
        **{name: request.body.get(name) for name in TUNING},
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _picture(
    settings: ProviderSettings, served: list[Served], wanted: Wanted
) -> Generator[Ask, Reply, bytes]:
    """Have an image made; take services that fail out of *served*, but the last."""
    failures: list[ProviderError] = []
    while True:
        service = SERVICES[served[0].service]
        try:
            path, body = service.encode(served[0], dict(wanted))
            headers = {**AS_JSON, **authorization(settings), **service.headers}
            reply = yield Ask(call=Call(path, orjson.dumps(body), headers))
            found = service.read(reply)
            return downloaded((yield found)) if isinstance(found, Ask) else found
        except ProviderError as exc:
            failures.append(_named(exc, served[0]))
            # What the account is refused by one, it is refused by all.
            if isinstance(exc, ProviderDenied) or len(served) == 1:
                break
        del served[0]
    raise max(failures, key=lambda failure: failure.retryable)


def _named(error: ProviderError, served: Served) -> ProviderError:
    """Say in *error* whose it is."""
    if error.status == HTTP_NOT_FOUND:
        error.message = f"{served.model} is not served there now ({error.message})"
    error.message = f"{served.service}: {error.message}"
    return error


def _fal(served: Served, wanted: Wanted) -> tuple[str, Wanted]:
    if "width" in wanted and "height" in wanted:
        size = {"width": wanted.pop("width"), "height": wanted.pop("height")}
        wanted["image_size"] = size
    if served.lora:
        weights = f"{served.model}/resolve/main/{served.lora}"
        url = f"https://huggingface.co/{weights}"
        wanted["loras"] = [{"path": url, "scale": 1}]
    return f"fal-ai/{quote(served.name)}", wanted


def _nscale(served: Served, wanted: Wanted) -> tuple[str, Wanted]:
    body = {
        "model": served.name,
        "prompt": wanted["prompt"],
        "response_format": "b64_json",
    }
    if "width" in wanted and "height" in wanted:
        body["size"] = f"{wanted['width']}x{wanted['height']}"
    return "nscale/v1/images/generations", body


def _together(served: Served, wanted: Wanted) -> tuple[str, Wanted]:
    if "num_inference_steps" in wanted:
        wanted["steps"] = wanted.pop("num_inference_steps")
    body = {**wanted, "model": served.name, "response_format": "base64"}
    return "together/v1/images/generations", body


def _replicate(served: Served, wanted: Wanted) -> tuple[str, Wanted]:
    if served.lora:
        wanted["lora_weights"] = f"https://huggingface.co/{served.model}"
    name, _, version = served.name.partition(":")
    if version:
        return "replicate/v1/predictions", {"input": wanted, "version": version}
    return f"replicate/v1/models/{quote(name)}/predictions", {"input": wanted}


def _hf_inference(served: Served, wanted: Wanted) -> tuple[str, Wanted]:
    body = {"inputs": wanted.pop("prompt"), "parameters": wanted}
    return f"hf-inference/models/{served.model}", body


def _listed(reply: Reply) -> Ask:
    """Fetch the first of the images that fal's answer names."""
    rows = read_object(reply).get("images")
    if not rows:
        raise ProviderProtocolError("it sent no image")
    return fetch(rows[0]["url"])


def _encoded(reply: Reply) -> bytes:
    """Decode the first image of an answer that is like OpenAI's."""
    rows = read_object(reply).get("data")
    if not rows:
        raise ProviderProtocolError("it sent no image")
    return decoded(rows[0]["b64_json"])


def _predicted(reply: Reply) -> Ask:
    """Fetch what a prediction of Replicate's has come to."""
    output = read_object(reply).get("output")
    if not output:
        # It waits for a minute at most; what it has begun goes on without us.
        raise ProviderFailed("the model is still starting: try again in a minute")
    return fetch(output if isinstance(output, str) else output[0])


def _raw(reply: Reply) -> bytes:
    """Return a body that is the image itself."""
    if reply.status == HTTP_LOADING:
        error = read_error(reply.status, reply.body)
        with suppress(*UNREADABLE):
            error.retry_after = float(orjson.loads(reply.body)["estimated_time"])
        raise error
    return reply.expect("image/")


@frozen
class Service:
    """
    How one service is asked for an image: path and body, and how its answer is read:
    the image, or where to fetch it.
    """

    encode: Callable[[Served, Wanted], tuple[str, Wanted]]
    read: Callable[[Reply], bytes | Ask]
    headers: Mapping[str, str] = field(factory=dict)


# The best first: hf-inference has little but small models left, and Replicate may have
# to start a model, for more than a minute.
SERVICES = {
    "fal-ai": Service(_fal, _listed),
    "nscale": Service(_nscale, _encoded),
    "together": Service(_together, _encoded),
    "replicate": Service(_replicate, _predicted, {"Prefer": "wait"}),
    "hf-inference": Service(_hf_inference, _raw, {"Accept": "image/png"}),
}
