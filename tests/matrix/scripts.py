"""What the upstreams of the matrix answer, in each dialect."""

import re
from collections.abc import Callable

from tests.rig.dialects import DIALECTS, unfinished
from tests.rig.parts import Text
from tests.rig.upstream import DONE, END, HEAD, ROLE, USAGE, Step, chunked, delta

# How each dialect says why an answer has ended: its word for a good end, and others.
ENDS: dict[str, dict[str, tuple[bytes, bytes]]] = {
    "openai": {
        "length": (b'"finish_reason": "stop"', b'"finish_reason": "length"'),
        "filter": (b'"finish_reason": "stop"', b'"finish_reason": "content_filter"'),
    },
    "anthropic": {
        "length": (b'"stop_reason": "end_turn"', b'"stop_reason": "max_tokens"'),
        "filter": (b'"stop_reason": "end_turn"', b'"stop_reason": "refusal"'),
    },
    "gemini": {
        "length": (b'"STOP"', b'"MAX_TOKENS"'),
        "filter": (b'"STOP"', b'"SAFETY"'),
    },
}
SIZE = re.compile(rb"[0-9a-f]+\r\n(.*)\r\n", re.DOTALL)


def edited(steps: list[Step], edit: Callable[[bytes], bytes]) -> list[Step]:
    """Return a script with each chunk of its body edited."""
    made: list[Step] = []
    for step in steps:
        found = SIZE.fullmatch(step) if isinstance(step, bytes) else None
        made.append(chunked(edit(found[1])) if found and found[1] else step)
    return made


def cut(kind: str, why: str, text: str = "Fi") -> list[Step]:
    """Return an answer that is cut off by its length, or by a filter."""
    script = DIALECTS[kind](Text(text))
    if kind == "responses":
        return edited(script, lambda data: _incomplete(data, why))
    old, new = ENDS[kind][why]
    return edited(script, lambda data: data.replace(old, new))


def _incomplete(data: bytes, why: str) -> bytes:
    if b"response.completed" not in data:
        return data
    reason = {"length": b"max_output_tokens", "filter": b"content_filter"}[why]
    details = b'"incomplete_details": {"reason": "%b"}' % reason
    made = data.replace(b"response.completed", b"response.incomplete")
    made = made.replace(b'"status": "completed"', b'"status": "incomplete"')
    return made.replace(b'"incomplete_details": null', details)


def refusal(kind: str) -> list[Step]:
    """Return an answer by which the model refuses; not all dialects tell it apart."""
    if kind == "openai":
        said = [HEAD, ROLE, delta(refusal="No."), delta("stop"), USAGE, DONE, END]
        return [*said]
    if kind == "responses":
        return edited(DIALECTS[kind](Text("No.")), _as_refusal)
    return cut(kind, "filter", "No.")


def _as_refusal(data: bytes) -> bytes:
    made = data.replace(b"output_text", b"refusal")
    return re.sub(rb'"text": ("[^"]*")', rb'"refusal": \1', made)


def broken(kind: str) -> list[Step]:
    """Return an answer that breaks off after its first words."""
    return [*unfinished(kind)[:-1], 0.05, None]
