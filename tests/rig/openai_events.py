"""A strict reader of chat completions, streamed and not, by OpenAI's own package."""

import json
from collections.abc import Iterable
from typing import Any

from attrs import define, field
from openai import BaseModel
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from . import response_events
from .recording_relay import Heard
from .response_events import unknown

# What we say besides what the API has: who won, what a model thinks aloud, and what
# Anthropic and Gemini want back of that. `timings` is llama.cpp's own.
OURS = {"provider", "timings"}
OURS_IN_MESSAGES = {"reasoning_content", "thinking_blocks", "tool_calls.extra_content"}
SAME = ("id", "object", "created", "model", "provider")


def chunks(sent: bytes) -> list[dict[str, Any]]:
    """
    Return the chunks of a stream that is as it must be: each of the package's type,
    with all of its fields and no others, in the right order, up to `[DONE]`.
    """
    frames = sent.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    found = []
    for frame in frames[:-2]:
        if not frame.startswith(":"):
            name, _, data = frame.partition(": ")
            assert name == "data"
            made = ChatCompletionChunk.model_validate_json(data, strict=True)
            check_fields(made, "delta")
            found.append(json.loads(data))
    check_order(found)
    return found


def completion(sent: bytes) -> dict[str, Any]:
    """Return a whole completion, as strictly."""
    made = ChatCompletion.model_validate_json(sent, strict=True)
    check_fields(made, "message")
    whole: dict[str, Any] = json.loads(sent)
    assert [choice["index"] for choice in whole["choices"]] == [0]
    return whole


def check_fields(made: BaseModel, message: str) -> None:
    """Fail if there is a field that is neither the package's nor known to be ours."""
    prefix = f"choices.{message}."
    others = {name.removeprefix(prefix) for name in set(unknown(made)) - OURS}
    assert others <= OURS_IN_MESSAGES, made


def check_order(found: list[dict[str, Any]]) -> None:
    """Fail unless each choice begins, grows and ends once, and usage comes last."""
    assert found
    assert all(chunk[name] == found[0][name] for chunk in found for name in SAME)
    *_, last = found
    if not last["choices"]:
        assert last["usage"]["total_tokens"] > 0
        found = found[:-1]
    choices: dict[int, _Choice] = {}
    for chunk in found:
        assert chunk["choices"]
        assert "usage" not in chunk
        for choice in chunk["choices"]:
            choices.setdefault(choice["index"], _Choice()).take(choice)
    assert sorted(choices) == list(range(len(choices)))
    assert all(choice.finished for choice in choices.values())


@define
class _Choice:
    """Takes the pieces of one choice."""

    begun: bool = False
    finished: bool = False
    calls: dict[int, set[str]] = field(factory=dict)

    def take(self, choice: dict[str, Any]) -> None:
        assert choice.keys() >= {"index", "delta", "finish_reason"}
        assert not self.finished
        delta = choice["delta"]
        assert ("role" in delta) is not self.begun
        self.begun = True
        self.finished = choice["finish_reason"] is not None
        assert self.finished or delta.keys() > {"role"} or "role" not in delta
        for call in delta.get("tool_calls", ()):
            self._call(call)

    def _call(self, call: dict[str, Any]) -> None:
        """Fail unless the first piece, and no other, says what is called."""
        begins = call["index"] not in self.calls
        assert call["index"] <= len(self.calls)
        told = self.calls.setdefault(call["index"], set(call))
        assert begins or not call.keys() & {"id", "type"}
        assert told >= {"index", "id", "type", "function"}
        assert ("name" in call["function"]) is begins
        assert isinstance(call["function"]["arguments"], str)


def joined(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that a stream's chunks come to, and how it finished."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "calls": []}
    for chunk in found:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            for call in delta.get("tool_calls", ()):
                function = call["function"]
                if "name" in function:
                    message["calls"].append([function["name"], ""])
                message["calls"][-1][1] += function["arguments"]
            message["finish_reason"] = choice["finish_reason"]
    return message


def told(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the same of a whole completion."""
    (choice,) = whole["choices"]
    message = choice["message"]
    calls = (call["function"] for call in message.get("tool_calls", ()))
    return {
        "content": message["content"] or "",
        "reasoning_content": message.get("reasoning_content", ""),
        "calls": [[function["name"], function["arguments"]] for function in calls],
        "finish_reason": choice["finish_reason"],
    }


def read(answers: Iterable[Heard]) -> list[Any]:
    """
    Return what each answer held, read strictly: chunks, or a whole completion; of the
    Responses API, events, or a whole response.
    """
    return [_read(answer) for answer in answers]


def _read(answer: Heard) -> Any:
    assert answer.status == 200, answer.body
    if not answer.streamed:
        whole = json.loads(answer.body)
        responds = whole["object"] == "response"
        return response_events.whole(whole) if responds else completion(answer.body)
    if answer.body.startswith(b"event: "):
        return response_events.read(answer.body)
    return chunks(answer.body)
