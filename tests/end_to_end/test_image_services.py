"""The built-in image services, configured by nothing but where the tests play them."""

from base64 import b64encode
from typing import Any

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import Answer, Client
from tests.rig.pictures import picture
from tests.rig.upstream import Step, Upstream, answers, says

RED = picture("JPEG")
JPEG = answers(200, raw=RED, headers=["Content-Type: image/jpeg"])
PROMPT = "a futuristic cityscape at sunset"
FLUX = "black-forest-labs/FLUX.1-schnell"
KEY = "hf_0123456789abcdef"


def at(upstream: Upstream, vendor: str) -> str:
    """Configure the built-in provider *vendor* to be *upstream*, and nothing else."""
    base_url = f"http://127.0.0.1:{upstream.port}"
    return f'[providers.{vendor}]\nbase_url = "{base_url}"'


def hub(*services: str) -> list[Step]:
    row = {"status": "live", "providerId": "flux-1", "task": "text-to-image"}
    mapping = dict.fromkeys(services, row)
    return answers(200, {"id": FLUX, "inferenceProviderMapping": mapping})


async def paint(client: Client, **body: Any) -> Answer:
    body = {"prompt": PROMPT, "response_format": "b64_json", **body}
    return await client.request("POST", "/v1/images/generate", json=body)


async def test_pollinations_needs_no_key(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """It is on by itself, for images alone, and says which models it has."""
    upstream = await make_upstream()
    upstream.files["/prompt/"] = JPEG
    client = await serve(at(upstream, "PollinationsFree"))

    named = await paint(client, provider="PollinationsFree", model="turbo")
    default = await paint(client, provider="pollinations-free")
    listed = (await client.get("/v1/providers/PollinationsFree")).json
    chat = await client.chat("PollinationsFree")

    assert named.json["data"][0]["b64_json"] == b64encode(RED).decode()
    assert (named.json["model"], default.json["model"]) == ("turbo", "flux")
    assert listed["image_models"] == ["flux", "turbo"]
    assert chat.status == 400
    assert len(upstream.requests) == 2


async def test_prompts_do_not_stray_to_pollinations(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """Who has neither named it nor one of its models tells it nothing."""
    upstream, other = await make_upstream(), await make_upstream(says("hi"))
    upstream.files["/prompt/"] = JPEG
    client = await serve(at(upstream, "PollinationsFree"), other.table("Other"))

    unknown = await paint(client, model="dall-e-3")
    nothing = await paint(client)
    chat = await client.request(
        "POST",
        "/v1/chat/completions",
        json={"model": "flux", "messages": [{"role": "user", "content": "hello"}]},
    )
    refused = await paint(client, model="dall-e-3", provider="PollinationsFree")

    statuses = [answer.status for answer in (unknown, nothing, chat, refused)]
    assert 200 not in statuses
    assert upstream.connections == 0
    assert (await paint(client, model="flux")).status == 200


async def test_full_queue_is_a_429(serve: Serve, make_upstream: MakeUpstream) -> None:
    """Its 402 for too many at once becomes what clients know how to wait for."""
    upstream = await make_upstream()
    text = "Queue full for IP: 203.0.113.7: 1 requests already queued"
    upstream.files["/prompt/"] = answers(402, {"x402Version": 1, "error": text})
    client = await serve(at(upstream, "PollinationsFree"))

    answer = await paint(client, provider="PollinationsFree")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
    assert b"203.0.113.7" not in answer.body


async def test_hugging_face_is_on_with_its_token(
    serve: Serve, make_upstream: MakeUpstream
) -> None:
    """HF_TOKEN is all that it needs; "flux" is one of its models' names."""
    upstream = await make_upstream()
    upstream.files[f"/api/models/{FLUX}"] = hub("hf-inference")
    upstream.script = JPEG
    client = await serve(at(upstream, "HuggingFace"), environ={"HF_TOKEN": KEY})

    answer = await paint(client, provider="HuggingFace", model="flux", seed=7)

    assert answer.json["data"][0]["b64_json"] == b64encode(RED).decode()
    assert answer.json["model"] == FLUX
    assert upstream.requests[1].headers["authorization"] == f"Bearer {KEY}"
    assert upstream.requests[1].json["parameters"] == {"seed": 7}


async def test_services_race(serve: Serve, make_upstream: MakeUpstream) -> None:
    """The first real image wins; who is slow is hung up on, who is poor is named."""
    slow, poor = await make_upstream(), await make_upstream()
    slow.files["/prompt/"] = [...]
    poor.files["/api/models/"] = hub("fal-ai")
    poor.script = answers(402, {"error": "You have exceeded your credits."})
    quick = await make_upstream(
        [0.2, *answers(200, {"data": [{"b64_json": b64encode(RED).decode()}]})]
    )
    client = await serve(
        at(slow, "PollinationsFree"),
        at(poor, "HuggingFace"),
        quick.table("Quick"),
        environ={"HF_TOKEN": KEY},
    )

    both = "PollinationsFree HuggingFace"
    answer = await paint(client, provider=f"{both} Quick", model="flux")
    poor_only = await paint(client, provider="HuggingFace", model="flux")

    assert answer.headers["X-Provider"] == "Quick"
    await slow.hung_up.get()
    assert poor_only.error["message"].endswith("You have exceeded your credits.")
    assert poor_only.headers["x-should-retry"] == "false"
