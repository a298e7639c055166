"""A full context, as Anthropic's clients have to be told of it."""

import json

import pytest

from providers import ProviderBusy, ProviderRefusedRequest
from server.errors import GatewayError
from server.racing.errors import Loss, NobodyWon, StreamInterrupted
from server.wire.messages.errors import error_answer, error_frame

TOLD = {
    "the request exceeds the available context size (8192 tokens)": (
        "prompt is too long: the request exceeds the available context size"
        " (8192 tokens)"
    ),
    "This model's maximum context length is 8192 tokens. However, your messages"
    " resulted in 9000 tokens (8500 in the messages, 500 in the functions).": (
        "prompt is too long: 9000 tokens > 8192 maximum"
    ),
    "The input token count (1,200,000) exceeds the maximum number of tokens allowed"
    " (1,048,576).": "prompt is too long: 1200000 tokens > 1048576 maximum",
    "prompt is too long: 9000 tokens > 8192 maximum": (
        "prompt is too long: 9000 tokens > 8192 maximum"
    ),
    "context length exceeded": "prompt is too long: context length exceeded",
}


def refused(words: str, status: int = 400, code: str | None = None) -> Loss:
    error = ProviderRefusedRequest(words, status=status, upstream_code=code)
    return Loss(id="One", error=error, ms=1.0)


@pytest.mark.parametrize(("words", "told"), TOLD.items())
def test_message_begins_with_the_words_that_clients_look_for(
    words: str, told: str
) -> None:
    """With both sizes where the upstream told them, else with the upstream's words."""
    errors: list[GatewayError] = [
        NobodyWon([refused(words)]),
        NobodyWon([refused(words), refused(words, 413)]),
        StreamInterrupted(refused(words)),
    ]
    for error in errors:
        status, body = error_answer(error, "id")
        shown = json.loads(body)["error"]
        assert (status, shown["type"]) == (400, "invalid_request_error")
        assert shown["message"] == told
        assert told.encode() in error_frame(error).replace(b"\\", b"")


def test_code_alone_will_do() -> None:
    """Whatever the upstream's words, its code tells what they mean."""
    error = NobodyWon([refused("no", code="context_length_exceeded")])

    assert b'"prompt is too long: no"' in error_answer(error, "id")[1]


@pytest.mark.parametrize(
    "losses",
    [
        [refused("Bad temperature 9000 > 8192")],
        [refused("context size"), Loss(id="B", error=ProviderBusy("no"), ms=1.0)],
    ],
)
def test_other_refusals_keep_their_words(losses: list[Loss]) -> None:
    """Nobody is told to compact what is not too long for all."""
    assert b"prompt is too long" not in error_answer(NobodyWon(losses), "id")[1]
