"""Whether what a client got is what the upstreams of its race have sent."""

from collections.abc import Mapping
from typing import Any

import orjson

from tests.rig.client import frames, text

from .plan import Plan
from .troubled import LATE, WELL, answer, checksum

# What became of a race, and the racers that should have had a part in it and had none.
Outcome = tuple[str, set[str]]
REFUSALS = {400, 404, 413, 422}
# What the server says of each trouble.
CODES = {
    "refuses": "unreachable",
    "hangs": "timeout",
    "sends headers only": "timeout",
    "sends a role only": "timeout",
    "resets": "unreachable",
    "resets after headers": "unreachable",
    "has no token": "bad_response",
    "is empty": "bad_response",
    "has an error with 200": "upstream_error",
    "has an error frame": "upstream_error",
    "is a page": "bad_response",
    "is no JSON": "bad_response",
    "is no HTTP": "unreachable",
    "resets later": "unreachable",
    "breaks off": "unreachable",
    "stalls": "timeout",
    "has an error frame later": "upstream_error",
    "is no JSON later": "bad_response",
    "ends too early": "bad_response",
}
STATUS_CODES = {429: "rate_limited", 401: "denied", 403: "denied"} | dict.fromkeys(
    REFUSALS, "request_refused"
)


class Wrong(Exception):
    """What must not happen, whatever the upstreams and the clients do."""


def judged(plan: Plan, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of a race whose client stayed; raise Wrong if it is wrong."""
    if status != 200:
        return _failed(plan, orjson.loads(body)["error"], status)
    if plan.stream:
        return _streamed(plan, frames(body))
    payload = orjson.loads(body)
    said = payload["choices"][0]["message"]["content"]
    _check_whole(plan, payload["provider"], said)
    _must(headers["X-Provider"] == payload["provider"], "two winners")
    return "won, not streamed", set()


def rested(missing: set[str], story: Any) -> str:
    """Check that who had no part in a race was left alone, by the race's own story."""
    resting = {
        skipped["id"] for skipped in story["skipped"] if skipped["reason"] == "resting"
    }
    _must(missing == resting, f"nobody asked {missing - resting}: {story}")
    return "nobody won, some rested"


def begun(plan: Plan, body: bytes) -> None:
    """Check as much of a stream as its client has read before it left."""
    *whole, _ = body.split(b"\n\n")
    chunks = [
        chunk
        for chunk in frames(b"\n\n".join(whole))
        if chunk != "[DONE]" and "error" not in chunk
    ]
    if chunks:
        _check_begun(plan, _winner(chunks), text(chunks))


def _streamed(plan: Plan, events: list[Any]) -> Outcome:
    _must(bool(events), "an empty stream")
    *chunks, last = events
    if last == "[DONE]":
        _check_whole(plan, _winner(chunks), text(chunks))
        return "won, streamed", set()
    _must("error" in last, "a stream without an end")
    if chunks:
        _check_begun(plan, _winner(chunks), text(chunks))
    if last["error"]["code"] == "stream_interrupted":
        return _interrupted(plan, _winner(chunks), last["error"])
    return _failed(plan, last["error"], told=bool(chunks))


def _interrupted(plan: Plan, winner: str, error: Any) -> Outcome:
    (loss,) = error["providers"]
    _must(loss["id"] == winner, "somebody else's interruption")
    _must(plan.parts[winner].kind in LATE, "a whole answer interrupted")
    _check_loss(plan, loss)
    return "interrupted", set()


def _winner(chunks: list[Any]) -> str:
    (winner,) = {chunk["provider"] for chunk in chunks}
    return str(winner)


def _check_whole(plan: Plan, winner: str, said: str) -> None:
    words = said.split(" ")
    _must(words[-1] == checksum(words[:-1]), f"a checksum that is wrong: {said!r}")
    _must(words[:2] == [plan.race, winner], f"another's answer: {said!r}")
    _must(plan.parts[winner].kind in WELL, "an answer that was never whole")


def _check_begun(plan: Plan, winner: str, said: str) -> None:
    whole = " ".join(answer(plan.race, winner, plan.parts[winner].count))
    _must(whole.startswith(said), f"what was never said: {said!r}")


def _failed(
    plan: Plan, error: Any, status: int | None = None, *, told: bool = False
) -> Outcome:
    """Judge an error: its *status* if it has one, and what was *told* before it."""
    if error["code"] == "deadline_exceeded":
        _must(plan.deadline is not None, "a deadline that nobody has set")
        _must(status in (None, 504), f"the wrong status: {status}")
        return "deadline passed", set()
    losses = [
        loss for loss in error.get("providers", ()) if loss["code"] != "not_called"
    ]
    _must(bool(losses), f"an error that nothing explains: {error}")
    _must(not told, "a race lost after a token")
    for loss in losses:
        kind = plan.parts[loss["id"]].kind
        _must(kind not in WELL, f"a loss of one that was well: {loss}")
        _check_loss(plan, loss)
    _must(status in (None, _expected_status(losses)), f"the wrong status: {status}")
    return "nobody won", plan.parts.keys() - {loss["id"] for loss in losses}


def _check_loss(plan: Plan, loss: Any) -> None:
    part = plan.parts[loss["id"]]
    code = CODES.get(part.kind) or STATUS_CODES.get(part.status, "upstream_error")
    _must(loss["code"] == code, f"{part.kind}: {loss}")


def _expected_status(losses: list[Any]) -> int:
    codes = {loss["code"] for loss in losses}
    statuses = {loss["status"] for loss in losses}
    if codes == {"request_refused"} and len(statuses) == 1:
        return int(statuses.pop())
    return {"rate_limited": 429, "timeout": 504}.get("".join(codes), 502)


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)
