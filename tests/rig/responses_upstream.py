"""The answers of an upstream that speaks Responses, as scripts."""

import json
from collections.abc import Iterator, Sequence
from itertools import count, groupby
from typing import Any

from .parts import Call, Part, Text, Thought
from .upstream import END, HEAD, Step, chunked

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 5,
}


# What only the vendor can read of its model's thoughts.
SEAL = "c2VhbGVkIGVsc2V3aGVyZQ=="


class CustomCall(Call):
    """A custom tool that it calls: its one argument, `input`, is no JSON."""


def responses(*parts: Part) -> list[Step]:
    """Return the script of a streamed response: texts in a row are one message."""
    counter = count()
    steps = [_frame(event, next(counter)) for event in _events(parts)]
    return [HEAD, *steps, END]


def _frame(event: dict[str, Any], number: int) -> bytes:
    data = json.dumps({**event, "sequence_number": number}).encode()
    return chunked(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), data))


def _events(parts: tuple[Part, ...]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": _response("in_progress")}
    yield {"type": "response.in_progress", "response": _response("in_progress")}
    done = []
    runs = [list(run) for _, run in groupby(parts, key=_kind)]
    for index, run in enumerate(runs):
        *begun, (kind, fields) = _item(run, index)
        for each, more in begun:
            yield {"type": f"response.{each}", "output_index": index, **more}
        yield {"type": f"response.{kind}", "output_index": index, **fields}
        done.append(fields["item"])
    whole = {**_response("completed"), "output": done, "usage": USAGE}
    yield {"type": "response.completed", "response": whole}


def _response(status: str) -> dict[str, Any]:
    return {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "model": "upstream-model",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
    }


Event = tuple[str, dict[str, Any]]


def _kind(part: Part) -> object:
    return Text if isinstance(part, Text) else id(part)


def _item(run: Sequence[Part], index: int) -> list[Event]:
    """Return the events of one item, less what all of them have."""
    part = run[0]
    if isinstance(part, CustomCall):
        return _custom_call(part, f"ctc_{index}")
    if isinstance(part, Call):
        return _call(part, f"fc_{index}")
    if isinstance(part, Thought):
        return _thought(part, f"rs_{index}")
    texts = [each.text for each in run if isinstance(each, Text)]
    return _message(texts, f"msg_{index}")


def _call(part: Call, name: str) -> list[Event]:
    text = json.dumps(part.arguments)
    item = {
        "type": "function_call",
        "id": name,
        "call_id": part.id,
        "name": part.name,
    }
    kind = "function_call_arguments"
    of = {"item_id": name}
    return [
        (
            "output_item.added",
            {"item": {**item, "arguments": "", "status": "in_progress"}},
        ),
        *((f"{kind}.delta", {**of, "delta": each}) for each in (text[:4], text[4:])),
        (f"{kind}.done", {**of, "arguments": text}),
        (
            "output_item.done",
            {"item": {**item, "arguments": text, "status": "completed"}},
        ),
    ]


def _custom_call(part: CustomCall, name: str) -> list[Event]:
    text = part.arguments["input"]
    item = {
        "type": "custom_tool_call",
        "id": name,
        "call_id": part.id,
        "name": part.name,
    }
    kind = "custom_tool_call_input"
    of = {"item_id": name}
    return [
        ("output_item.added", {"item": {**item, "input": "", "status": "in_progress"}}),
        *((f"{kind}.delta", {**of, "delta": each}) for each in (text[:4], text[4:])),
        (f"{kind}.done", {**of, "input": text}),
        (
            "output_item.done",
            {"item": {**item, "input": text, "status": "completed"}},
        ),
    ]


def _message(texts: list[str], name: str) -> list[Event]:
    item = {"type": "message", "id": name, "role": "assistant"}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    full = {**empty, "text": "".join(texts)}
    of = {"item_id": name, "content_index": 0}
    return [
        (
            "output_item.added",
            {"item": {**item, "content": [], "status": "in_progress"}},
        ),
        ("content_part.added", {**of, "part": empty}),
        *(
            ("output_text.delta", {**of, "delta": text, "logprobs": []})
            for text in texts
        ),
        ("output_text.done", {**of, "text": "".join(texts), "logprobs": []}),
        ("content_part.done", {**of, "part": full}),
        (
            "output_item.done",
            {"item": {**item, "content": [full], "status": "completed"}},
        ),
    ]


def _thought(part: Thought, name: str) -> list[Event]:
    item = {"type": "reasoning", "id": name}
    empty, full = ({"type": "summary_text", "text": text} for text in ("", part.text))
    of = {"item_id": name, "summary_index": 0}
    return [
        (
            "output_item.added",
            {"item": {**item, "summary": [], "status": "in_progress"}},
        ),
        ("reasoning_summary_part.added", {**of, "part": empty}),
        ("reasoning_summary_text.delta", {**of, "delta": part.text}),
        ("reasoning_summary_text.done", {**of, "text": part.text}),
        ("reasoning_summary_part.done", {**of, "part": full}),
        (
            "output_item.done",
            {
                "item": {
                    **item,
                    "summary": [full],
                    "status": "completed",
                    "encrypted_content": SEAL,
                }
            },
        ),
    ]
