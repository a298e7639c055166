"""What probes are told: whether the server lives, can serve, and is the one meant."""

from typing import Literal, NotRequired, TypedDict


class StatusPayload(TypedDict):
    status: str


class NotKept(TypedDict):
    """Why responses, images or the file of races can't be kept."""

    responses: NotRequired[str]
    images: NotRequired[str]
    races: NotRequired[str]


class ReadinessPayload(TypedDict):
    status: Literal["ok", "degraded"]
    not_kept: NotRequired[NotKept]


class ServerPayload(TypedDict):
    object: Literal["server"]
    name: str
    openai_base_url: str
    anthropic_base_url: str


class RootPayload(ServerPayload):
    """What `/` says besides, to all that are no browsers."""

    version: str
    docs: str


def readiness(responses: str, images: str, races: str) -> ReadinessPayload:
    """Say that the server can serve; the three say why it can't keep some, or ""."""
    not_kept: NotKept = {}
    if responses:
        not_kept["responses"] = responses
    if images:
        not_kept["images"] = images
    if races:
        not_kept["races"] = races
    if not_kept:
        return {"status": "degraded", "not_kept": not_kept}
    return {"status": "ok"}


def server_payload(openai_base_url: str, anthropic_base_url: str) -> ServerPayload:
    """Say which server this is, and where clients of either API find it."""
    return {
        "object": "server",
        "name": "Interference",
        "openai_base_url": openai_base_url,
        "anthropic_base_url": anthropic_base_url,
    }
