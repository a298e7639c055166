"""The same answers in each dialect that an upstream may speak, as scripts."""

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from attrs import define

from .anthropic_events import BEGUN, ENDED, block
from .anthropic_events import script as anthropic_script
from .parts import Call, City, Part, Text, Thought
from .recording_relay import Tap
from .responses_upstream import responses
from .upstream import (
    DONE,
    END,
    HEAD,
    ROLE,
    USAGE,
    Step,
    Upstream,
    chunked,
    delta,
    event,
)

__all__ = [
    "CALLS",
    "CITY",
    "COMPLETION_TOKENS",
    "DIALECTS",
    "ENDINGS",
    "FINE",
    "OBJECT",
    "PARIS",
    "PROMPT_TOKENS",
    "Call",
    "City",
    "Part",
    "Speakers",
    "Text",
    "Thought",
    "speaker",
    "table",
    "unfinished",
]
PROMPT_TOKENS, COMPLETION_TOKENS = 3, 2

PARIS = {"city": "Paris"}
CALLS: tuple[Part, ...] = (Thought("Hm."), Call("call_1", "weather", PARIS))
FINE: tuple[Part, ...] = (Text("Fi"), Text("ne."))
CITY = City(name="Paris", river="Seine")
OBJECT: tuple[Part, ...] = (Text('{"name":"Pa'), Text('ris","river":"Seine"}'))


def openai(*parts: Part) -> list[Step]:
    calls = [part for part in parts if isinstance(part, Call)]
    deltas = [step for part in parts for step in _openai(part, calls)]
    ending = [delta("tool_calls" if calls else "stop"), USAGE, DONE, END]
    return [HEAD, ROLE, *deltas, *ending]


def _openai(part: Part, calls: list[Call]) -> Iterable[bytes]:
    if isinstance(part, Thought):
        return [delta(reasoning_content=part.text)]
    if isinstance(part, Text):
        return [delta(content=part.text)]
    function = {"name": part.name, "arguments": ""}
    named: dict[str, Any] = {"id": part.id, "type": "function", "function": function}
    text = json.dumps(part.arguments)
    pieces = ({"function": {"arguments": piece}} for piece in (text[:4], text[4:]))
    of = {"index": calls.index(part)}
    return [delta(tool_calls=[{**of, **piece}]) for piece in (named, *pieces)]


def anthropic(*parts: Part) -> list[Step]:
    calls = any(isinstance(part, Call) for part in parts)
    usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
    begun = {**BEGUN, "message": {**BEGUN["message"], "usage": usage}}
    reason = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    ended = {**ENDED, "delta": reason, "usage": {"output_tokens": COMPLETION_TOKENS}}
    runs = [list(run) for _, run in groupby(parts, key=_block_of)]
    blocks = [each for i, run in enumerate(runs) for each in _anthropic(i, run)]
    return anthropic_script([begun, *blocks, ended, {"type": "message_stop"}])


def _block_of(part: Part) -> Any:
    """Return what is the same for parts of one block: a call has one of its own."""
    return part.id if isinstance(part, Call) else type(part)


def _anthropic(index: int, run: list[Part]) -> list[dict[str, Any]]:
    part = run[0]
    if isinstance(part, Thought):
        start: Any = {"type": "thinking", "thinking": "", "signature": ""}
        thought = {"type": "thinking_delta", "thinking": part.text}
        signed = {"type": "signature_delta", "signature": "c2ln"}
        return block(index, start, thought, signed)
    if isinstance(part, Call):
        start = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
        text = json.dumps(part.arguments)
        pieces = ("", text[:4], text[4:])
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
        return block(index, start, *deltas)
    texts = (each.text for each in run if isinstance(each, Text))
    said = [{"type": "text_delta", "text": text} for text in texts]
    return block(index, {"type": "text", "text": ""}, *said)


def gemini(*parts: Part) -> list[Step]:
    made: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [each]}}]}
        for each in [*map(_gemini, parts), {"text": ""}]
    ]
    made[-1]["candidates"][0]["finishReason"] = "STOP"
    made[-1]["usageMetadata"] = {
        "promptTokenCount": PROMPT_TOKENS,
        "candidatesTokenCount": COMPLETION_TOKENS,
        "totalTokenCount": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    return [HEAD, *map(event, made), END]


def _gemini(part: Part) -> dict[str, Any]:
    if isinstance(part, Thought):
        return {"text": part.text, "thought": True}
    if isinstance(part, Text):
        return {"text": part.text}
    call = {"id": part.id, "name": part.name, "args": part.arguments}
    return {"functionCall": call, "thoughtSignature": "c2lnbmVk"}


def ollama(*parts: Part) -> list[Step]:
    head = HEAD.replace(b"text/event-stream", b"application/x-ndjson")
    messages = [*map(_ollama, parts), {"content": ""}]
    lines: list[dict[str, Any]] = [
        {"model": "m", "message": {"role": "assistant", **message}, "done": False}
        for message in messages
    ]
    lines[-1] |= {
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": PROMPT_TOKENS,
        "eval_count": COMPLETION_TOKENS,
    }
    return [head, *(chunked(json.dumps(each).encode() + b"\n") for each in lines), END]


def _ollama(part: Part) -> dict[str, Any]:
    if isinstance(part, Thought):
        return {"content": "", "thinking": part.text}
    if isinstance(part, Text):
        return {"content": part.text}
    function = {"name": part.name, "arguments": part.arguments}
    return {"content": "", "tool_calls": [{"function": function}]}


DIALECTS: dict[str, Callable[..., list[Step]]] = {
    "responses": responses,
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
}
# How many steps at the end of an answer tell that it is over.
ENDINGS = {"responses": 5, "openai": 4, "anthropic": 3, "gemini": 2, "ollama": 2}


def unfinished(kind: str) -> list[Step]:
    """Return the script of an answer that says two words, and then nothing."""
    return [*DIALECTS[kind](Text("Hel"), Text("lo"))[: -ENDINGS[kind]], ...]


def table(kind: str, name: str, upstream: Upstream, **keys: Any) -> str:
    """Return the configuration of a scripted upstream that speaks a dialect."""
    text = upstream.table(name, default_model=f"{name}-model", **keys)
    return text.replace('kind = "openai"', f'kind = "{kind}"')


@define(eq=False)
class Speakers:
    """Providers of one server that speak a dialect each, and the tap before it."""

    tap: Tap
    upstreams: dict[str, Upstream]

    def url(self, kind: str) -> str:
        """Return the base URL of OpenAI's API, answered by who speaks *kind*."""
        return f"{self.tap.url}/api/{speaker(kind)}"

    def play(self, kind: str, *answers: Iterable[Part]) -> Upstream:
        """Let who speaks *kind* answer so, one request after another."""
        upstream = self.upstreams[kind]
        upstream.scripts = [DIALECTS[kind](*parts) for parts in answers]
        upstream.requests.clear()
        return upstream

    def hang(self, kind: str, times: int = 1) -> Upstream:
        """Let who speaks *kind* say a little, and then nothing."""
        upstream = self.upstreams[kind]
        upstream.scripts = [unfinished(kind)] * times
        return upstream

    def forget(self) -> None:
        """Forget what others have played and heard."""
        self.tap.forget()
        for upstream in self.upstreams.values():
            upstream.scripts.clear()
            upstream.requests.clear()
            while not upstream.hung_up.empty():
                upstream.hung_up.get_nowait()


def speaker(kind: str) -> str:
    """Return the id of the provider that speaks *kind*."""
    return f"Speaks-{kind}"
