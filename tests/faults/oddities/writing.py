"""How oddities are written down: what an upstream sends, what a client is told."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import Factory, frozen

from tests.rig.upstream import DONE, END, HEAD, Step, answers, chunked, delta, event
from tests.rig.validators import VALIDATORS

PAUSE = 0.03
A, B = '{"w":1}', '{"c":2}'
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
NONE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
DEEP = "[" * 300 + "]" * 300
EMOJI = "\U0001f600"


def _nothing(_: Any) -> str:
    return ""


@frozen(kw_only=True)
class Oddity:
    """
    One odd way to answer, in a dialect.

    A client is told *text*, *thought*, *calls* (name and arguments, in order) and
    *finish*, or an error with the word *error* in it, and *status* if that is known.
    *tokens* are the completion's, *note* is what the race's story says of it.

    What lies in the request: *bodies* are what clients send, by surface, to *vendor*, a
    built-in row with other *keys*; it answers 400 to what *judge*, a validator, or
    *wants* object to. *again*: the client asks once more on the same connection.
    """

    section: int
    name: str
    steps: Sequence[Step]
    kind: str = "openai"
    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    error: str | None = None
    status: int | None = None
    tokens: int | None = None
    note: str = ""
    vendor: str = ""
    bodies: Mapping[str, dict[str, Any]] = Factory(dict)
    judge: str = ""
    wants: Callable[[Any], str] = _nothing
    keys: Mapping[str, Any] = Factory(dict)
    again: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is an answer in one piece, of a kind that can be asked for it."""
        return self.kind in ("openai", "responses") and len(self.steps) == 1

    def refusal(self, body: Any) -> str:
        """Return why the vendor would not take what it is sent; "" if it does."""
        return VALIDATORS[self.judge](body) or self.wants(body)


def sse(*payloads: Any) -> Sequence[Step]:
    """Return the script of a stream with these events, and an end without [DONE]."""
    return [HEAD, *(p if isinstance(p, bytes) else event(p) for p in payloads), END]


def stream(*steps: Step | Any) -> Sequence[Step]:
    """Return the script of a stream of deltas, which ends well."""
    return [HEAD, *steps, DONE, END]


def raw(data: str) -> bytes:
    return chunked(b"data: " + data.encode() + b"\n\n")


def call(arguments: str = "", **fields: Any) -> bytes:
    function: dict[str, Any] = {"arguments": arguments}
    if "name" in fields:
        function["name"] = fields.pop("name")
    return delta(tool_calls=[{**fields, "function": function}])


def choice(**fields: Any) -> bytes:
    return event({"choices": [{"index": 0, **fields}]})


def completion(
    message: dict[str, Any], finish: str = "stop", **more: Any
) -> Sequence[Step]:
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return answers(200, {"choices": choices, **more})


def gemini(*texts: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    parts = [{"text": text} for text in texts]
    ended = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"parts": parts}, **ended, **more}]}


def line(text: str = "", reason: str | None = None, **more: Any) -> bytes:
    """Return a line of Ollama's."""
    done = {"done": True, "done_reason": reason} if reason else {"done": False}
    message = {"role": "assistant", "content": text, **more}
    return chunked(json.dumps({"message": message, **done}).encode() + b"\n")


def message(
    *events: dict[str, Any], reason: str | None = "end_turn", tokens: int = 2
) -> Sequence[Step]:
    """Return the script of a message of Anthropic's, with these events in it."""
    start = {"type": "message_start", "message": {"id": "msg_1", "content": []}}
    ended = {"stop_reason": reason, "stop_sequence": None}
    delta_ = {"type": "message_delta", "delta": ended, "usage": {}}
    delta_["usage"] = {"output_tokens": tokens}
    return sse(start, *events, delta_, {"type": "message_stop"})


def response(status: str, why: str | None = None) -> Sequence[Step]:
    """Return the script of a response without output, as OpenAI's own API has it."""
    fields: dict[str, Any] = {"id": "resp_1", "status": status, "output": []}
    fields["incomplete_details"] = {"reason": why} if why else None
    used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    begun = {"type": "response.created", "response": {**fields, "status": "queued"}}
    fields["usage"] = used
    return sse(begun, {"type": f"response.{status}", "response": fields})


def says(text: str, **more: Any) -> dict[str, Any]:
    said = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "delta": said, **more}


STOP, CALLED = delta("stop"), delta("tool_calls")
TWO = (("look_up", A), ("weather", B))
OBJECTS: tuple[tuple[str, Any], ...] = (("look_up", {"w": 1}), ("weather", {"c": 2}))


def used(name_id: str, name: str) -> dict[str, Any]:
    """Return the start of a call's block at Anthropic's."""
    return {"type": "tool_use", "id": name_id, "name": name, "input": {}}


def argues(arguments: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": arguments}


def responded(*items: dict[str, Any], status: str = "completed", **more: Any) -> Any:
    """Return a response with this output."""
    fields: dict[str, Any] = {"id": "resp_1", "object": "response", "status": status}
    fields |= {"incomplete_details": None, "usage": None}
    return {**fields, "output": list(items), **more}


def begins(index: int, kind: str = "text") -> dict[str, Any]:
    """Return the start of a block of text, or of a thought."""
    start = {"type": kind, {"text": "text"}.get(kind, "thinking"): ""}
    return {"type": "content_block_start", "index": index, "content_block": start}


def ending(reason: str | None) -> dict[str, Any]:
    """Return the event in which Anthropic's API says why a message ends."""
    ended = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 2}}


def function_call(
    name_id: str, name: str, pieces: Sequence[str], whole: str
) -> list[dict[str, Any]]:
    """Return the events of a response that calls a function, as its API has them."""
    of = {"output_index": 0, "item_id": "fc_1"}
    item = {"type": "function_call", "id": "fc_1", "call_id": name_id, "name": name}
    grown = "response.function_call_arguments"
    done = {**item, "arguments": whole}
    return [
        {"type": "response.output_item.added", **of, "item": {**item, "arguments": ""}},
        *({"type": f"{grown}.delta", **of, "delta": piece} for piece in pieces),
        {"type": f"{grown}.done", **of, "arguments": whole},
        {"type": "response.output_item.done", **of, "item": done},
        {"type": "response.completed", "response": responded(done)},
    ]
