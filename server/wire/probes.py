"""What probes are told: whether the server lives, can serve, and is the one meant."""

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired, TypedDict

from server.json_types import Keywords


class StatusPayload(TypedDict):
    status: str


Reasons = Annotated[
    dict[str, str],
    Keywords(
        description="Why `responses`, `images`, `races` or `usage` can't be kept, or"
        " `keys` can't be read."
    ),
]


class ReadinessPayload(TypedDict):
    status: Literal["ok", "degraded"]
    not_kept: NotRequired[Reasons]
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
    troubles: Mapping[str, str], state: Literal["ok", "fallback"] | None
) -> ReadinessPayload:
    """
    Say that the server can serve, and which parts of it have *troubles*, if these are
    not "". *state* is that of what machines share, if they share anything.
    """
    not_kept = {name: why for name, why in troubles.items() if why}
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
