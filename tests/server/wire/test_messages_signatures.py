"""What came beside a call for another vendor, carried by clients of Messages."""

import json
from typing import Any

import pytest

from providers import ChatRequest, ProviderSettings
from providers.dialects import DIALECTS
from server.wire.messages.request import parse

from .test_messages import CALLED, call, content

BESIDE = {"google": {"thought_signature": "c2ln"}}
HI = {"role": "user", "content": "hi"}


def asked(blocks: list[dict[str, Any]], *ids: str) -> ChatRequest:
    """Return a request whose client sends an answer's blocks back, and results."""
    results = [
        {"type": "tool_result", "tool_use_id": name, "content": "ok"} for name in ids
    ]
    turns = [
        HI,
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": turns}
    return parse(json.dumps(body).encode())[0]


@pytest.mark.parametrize("name", ["call_1", "functions.f:0"])
def test_a_signature_comes_back_with_its_call(name: str) -> None:
    """It is sealed in a block before the call, and beside it for who wants it."""
    blocks = content(
        call(0, id=name, name="f", arguments="{}", extra={"extra_content": BESIDE}),
        call(1, id="call_2", name="g", arguments="{}"),
        CALLED,
    )
    kinds = [block["type"] for block in blocks]
    assert kinds == ["redacted_thinking", "tool_use", "tool_use"]

    request = asked(blocks, blocks[1]["id"], "call_2")

    first, second = request.body["messages"][1]["tool_calls"]
    assert first["extra_content"] == BESIDE
    assert "extra_content" not in second
    gemini = DIALECTS["gemini"](ProviderSettings(id="G", kind="gemini"))
    sent = json.loads(gemini.encode(request, "gemini-3-pro").body)
    assert sent["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


def test_no_seal_goes_to_anthropic() -> None:
    """An upstream of that API could not read it."""
    extra = {"extra_content": BESIDE}
    piece = call(0, id="call_1", name="f", arguments="{}", extra=extra)
    request = asked(content(piece, CALLED), "call_1")
    settings = ProviderSettings(id="A", kind="anthropic")

    sent = json.loads(DIALECTS["anthropic"](settings).encode(request, "m").body)

    assert [b["type"] for b in sent["messages"][1]["content"]] == ["tool_use"]
