"""What probes are told: whether the server lives, can serve, and is the one meant."""

from typing import Literal, NotRequired, TypedDict


class StatusPayload(TypedDict):
    status: str


class NotKept(TypedDict):
    """Why responses or images can't be kept, or what was used can't be stored yet."""

    responses: NotRequired[str]
    images: NotRequired[str]
    usage: NotRequired[str]


class ReadinessPayload(TypedDict):
    status: Literal["ok", "degraded"]
    not_kept: NotRequired[NotKept]
    state: NotRequired[Literal["ok", "fallback"]]


class ServerPayload(TypedDict):
    object: Literal["server"]
    name: str
    openai_base_url: str
    anthropic_base_url: str


class RootPayload(ServerPayload):
    """What `/` says besides, to all that are no browsers."""

    version: str
    docs: str


def readiness(
    responses: str,
    images: str,
    usage: str,
    state: Literal["ok", "fallback"] | None,
) -> ReadinessPayload:
    """
    Say that the server can serve; *responses*, *images* and *usage* say why it can't
    keep those, if not "". *state* is that of what machines share, if they share
    anything.
    """
    not_kept: NotKept = {}
    if responses:
        not_kept["responses"] = responses
    if images:
        not_kept["images"] = images
    if usage:
        not_kept["usage"] = usage
    degraded = bool(not_kept) or state == "fallback"
    ready: ReadinessPayload = {"status": "degraded" if degraded else "ok"}
    if not_kept:
        ready["not_kept"] = not_kept
    if state is not None:
        ready["state"] = state
    return ready


def server_payload(openai_base_url: str, anthropic_base_url: str) -> ServerPayload:
    """Say which server this is, and where clients of either API find it."""
    return {
        "object": "server",
        "name": "Interference",
        "openai_base_url": openai_base_url,
        "anthropic_base_url": anthropic_base_url,
    }
