"""Usage in other places than OpenAI's, and the reasons of failures likewise."""

import json
from typing import Any

import pytest

from providers import ProviderBusy, ProviderError, Usage
from providers.dialects.upstream_errors import read_error
from providers.errors import ProviderRefusedRequest
from tests.rig.odd_answers import DONE, SIZES, answer, d, event, whole

COUNTED = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ZEROS = dict.fromkeys(COUNTED, 0)
HI = d({"content": "Hi"})
STOP = d({}, "stop")


def counts(usage: Any, choices: Any = ()) -> bytes:
    return event({"choices": list(choices), "usage": usage})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "body",
    [
        HI + d({}, "stop", usage=COUNTED),
        counts(COUNTED) + HI + STOP,
        HI + STOP + counts(COUNTED),
        HI + counts(COUNTED) + STOP + counts(ZEROS) + counts({}) + counts(None),
        HI + STOP + event({"choices": [], "x_groq": {"usage": COUNTED}}),
        HI + STOP + counts({"input_tokens": 7, "output_tokens": 3}),
        HI + counts({**COUNTED, "completion_tokens": 1}) + STOP + counts(COUNTED),
        HI + STOP + counts({"prompt_tokens": 7, "completion_tokens": 3}),
    ],
    ids=["choice", "first", "last", "zeros", "x_groq", "Anthropic", "growing", "sum"],
)
def test_usage(body: bytes, size: int) -> None:
    """The last usage that counts something holds, wherever it stands."""
    found = answer(body + DONE, size).usage

    assert found == Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)


def test_usage_of_a_whole_answer() -> None:
    """Usage in a choice of a whole answer counts too."""
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop", "usage": COUNTED}
    found = whole({"choices": [choice]}).usage

    assert found == Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)


RAW = '{"error":{"message":"model x is rate-limited"}}'
REASONS: dict[str, tuple[Any, str]] = {
    "raw": (
        {"error": {"message": "Oh", "metadata": {"raw": "x is limited"}}},
        "x is limited",
    ),
    "JSON in raw": (
        {"error": {"message": "Oh", "metadata": {"raw": RAW}}},
        "Oh: model x is",
    ),
    "object": ({"error": {"message": {"detail": "too long"}}}, "too long"),
    "list": ({"error": ["too long"]}, "too long"),
    "detail": ({"detail": "too long"}, "too long"),
    "msg": ({"msg": "too long"}, "too long"),
    "error_msg": ({"error_msg": "too long", "error_code": 17}, "too long"),
    "base_resp": (
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "too long"}},
        "too long",
    ),
    "generation": ({"error": {"message": "Oh", "failed_generation": "<f"}}, "Oh: <f"),
}


@pytest.mark.parametrize(("payload", "why"), REASONS.values(), ids=REASONS)
def test_reasons(payload: Any, why: str) -> None:
    """The words that say why are told, with an error's status, with 200, and midway."""
    body = json.dumps(payload).encode()
    error = read_error(429, body)
    assert why in error.message
    assert (type(error), error.status) == (ProviderBusy, 429)
    for odd in (
        body,
        event(payload),
        HI + event(payload),
        b"event: error\n" + event(payload),
    ):
        with pytest.raises(ProviderError, match=why):
            answer(odd, 1)
    with pytest.raises(ProviderError, match=why):
        whole(payload)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "odd",
    [
        b"event: error\ndata: upstream connect error\n\n",
        b'event: error\ndata: "upstream connect error"\n\n',
        b"event:error\r\ndata:upstream connect error\r\n\r\n",
        b'error: {"code":500,"message":"upstream connect error"}\n\n',
    ],
    ids=repr,
)
def test_error_events(odd: bytes, size: int) -> None:
    """An event that is named an error is one, whatever stands in it."""
    with pytest.raises(ProviderError, match="upstream connect error"):
        answer(HI + odd, size)


@pytest.mark.parametrize(
    "more",
    [
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"code": 0, "msg": "ok"},
        {"success": True, "message": "done"},
        {"msg": "fine"},
    ],
    ids=str,
)
def test_success_is_no_error(more: dict[str, Any]) -> None:
    """What a vendor says beside an answer, or of its success, is no error."""
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    body = event({"choices": [choice], **more}) + DONE
    if more != {"msg": "fine"}:
        body = event(more) + body

    assert answer(body, 1).message["content"] == "Hi"


def test_too_long() -> None:
    """What acts on the reason sees the inner words."""
    raw = "This model's maximum context length is 8192 tokens"
    body = {"error": {"message": "Provider returned error", "metadata": {"raw": raw}}}
    error = read_error(400, json.dumps(body).encode())

    assert isinstance(error, ProviderRefusedRequest)
    assert error.too_long
