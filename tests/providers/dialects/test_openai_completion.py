"""Which whole answers are passed on as they are, and which are read and rebuilt."""

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from providers import Chunk, Completion, ProviderSettings, chunks_of
from providers.dialects.openai.completion import as_completion
from providers.dialects.openai.dialect import OpenAI

# As OpenAI's API reference shows it.
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello!",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}
Change = Callable[[Any], object]


def changed(change: Change) -> dict[str, Any]:
    answer = copy.deepcopy(ANSWER)
    change(answer)
    return answer


def choice(answer: dict[str, Any]) -> Any:
    return answer["choices"][0]


def message(answer: dict[str, Any]) -> Any:
    return choice(answer)["message"]


PASSED: dict[str, Change] = {
    "as it is": lambda _: None,
    "two": lambda a: a["choices"].append({**choice(a), "index": 1}),
    "cut": lambda a: choice(a).update(finish_reason="length"),
    "no fingerprint": lambda a: a.pop("system_fingerprint"),
    "OpenRouter's provider": lambda a: a.update(provider="DeepInfra"),
}
READ: dict[str, Change] = {
    "no id": lambda a: a.pop("id"),
    "an empty id": lambda a: a.update(id=""),
    "an id that is none": lambda a: a.update(id=7),
    "no model": lambda a: a.update(model=None),
    "an empty model": lambda a: a.update(model=""),
    "another object": lambda a: a.update(object="chat.completion.chunk"),
    "a time of its own": lambda a: a.update(created=1700000000.5),
    "milliseconds": lambda a: a.update(created=1700000000000),
    "before all time": lambda a: a.update(created=-1),
    "no usage": lambda a: a.update(usage=None),
    "half a usage": lambda a: a["usage"].pop("total_tokens"),
    "Groq's usage": lambda a: a.update(x_groq={"id": "req_1"}),
    "out of order": lambda a: choice(a).update(index=1),
    "Together's seed": lambda a: choice(a).update(seed=1),
    "another word for an end": lambda a: choice(a).update(finish_reason="eos"),
    "no end": lambda a: choice(a).update(finish_reason=None),
    "probabilities": lambda a: choice(a).update(logprobs={"content": []}),
    "thoughts": lambda a: message(a).update(reasoning="Hm."),
    "calls": lambda a: message(a).update(tool_calls=[]),
    "another role": lambda a: message(a).update(role="model"),
    "a refusal": lambda a: message(a).update(content=None, refusal="No."),
    "parts": lambda a: message(a).update(content=[{"type": "text", "text": "a"}]),
    "no words": lambda a: message(a).update(content=""),
    "no message": lambda a: choice(a).pop("message"),
    "no object for one": lambda a: choice(a).update(message="Hello!"),
}


@pytest.mark.parametrize("name", PASSED)
def test_passed_on(name: str) -> None:
    answer = changed(PASSED[name])

    assert as_completion(copy.deepcopy(answer)) == answer


def test_what_was_left_out() -> None:
    """What OpenAI always has and others leave out if it is null is there again."""
    answer = changed(
        lambda a: (choice(a).pop("logprobs"), message(a).pop("refusal")),
    )

    assert as_completion(answer) == ANSWER


@pytest.mark.parametrize("name", READ)
def test_read(name: str) -> None:
    assert as_completion(changed(READ[name])) is None


@pytest.mark.parametrize("name", PASSED)
def test_chunks_of_what_is_passed_on(name: str) -> None:
    """Whoever needs chunks has what a stream's would have come to."""
    body = orjson.dumps(changed(PASSED[name]))
    dialect = OpenAI(ProviderSettings(id="Test", kind="openai"))

    (piece,) = dialect.read_whole(body)
    (chunk,) = chunks_of([piece])

    assert isinstance(piece, Completion)
    other = OpenAI(ProviderSettings(id="Test", kind="openai"))
    read = [*other.receive(body), *other.end()]
    assert [chunk] == read
    assert isinstance(read[0], Chunk)
