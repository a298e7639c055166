"""What is sent to an upstream that speaks OpenAI's chat completions."""

import json
from typing import Any

import pytest
from attrs import evolve

from providers import (
    COMPLETIONS,
    ChatRequest,
    Message,
    NativeRequest,
    ProviderSettings,
)
from providers.dialects import UNREADABLE
from providers.dialects.openai.dialect import OpenAI
from server.config.tables import vendor_settings
from tests.rig.provider_settings import changed

SETTINGS = ProviderSettings(id="Test", kind="openai", api_key="sk-test-1234")


def encoded(body: dict[str, Any], settings: ProviderSettings = SETTINGS) -> Any:
    messages = (Message(role="user", content="hello"),)
    request = ChatRequest(model="m", messages=messages, body=body)
    return json.loads(OpenAI(settings).encode(request, "upstream-model").body)


def test_encode_passes_the_body_on() -> None:
    """The upstream gets the client's body, unknown fields too, and its own model."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hello", "made_up": 1}],
        "temperature": 0,
        "made_up": {"a": [None, 1.5, "é"]},
        "stop": None,
    }
    before = json.dumps(body)

    assert encoded(body) == body | {
        "model": "upstream-model",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert json.dumps(body) == before


@pytest.mark.parametrize("asked", [{}, {"stream": False}, {"stream": None}], ids=str)
def test_encode_always_streams(asked: dict[str, Any]) -> None:
    """A stream is asked for, and its usage, whatever the client wants of us."""
    sent = encoded(asked | {"stream_options": {"include_usage": False}})

    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}


def test_encode_without_stream_options() -> None:
    """A vendor that refuses `stream_options` is sent none, not even the client's."""
    settings = changed(SETTINGS, stream_usage=False)
    sent = encoded({"stream_options": {"include_usage": True}}, settings)

    assert "stream_options" not in sent


def test_encode_renames_fields() -> None:
    """A field goes by its vendor's name; one that was not given stays away."""
    names = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
    settings = changed(SETTINGS, rename_fields=names, stream_usage=False)

    assert encoded({"max_completion_tokens": 7, "top_p": 1}, settings) == {
        "model": "upstream-model",
        "stream": True,
        "max_tokens": 7,
        "top_p": 1,
    }


def test_messages_are_encoded_once() -> None:
    """All racers of a request share its messages' JSON, until it is decided."""
    body = {"messages": [{"role": "user", "content": "hello"}]}
    messages = (Message(role="user", content="hello"),)
    request = ChatRequest(model="m", messages=messages, body=body)

    def sent(model: str) -> Any:
        return json.loads(OpenAI(SETTINGS).encode(request, model).body)["messages"]

    before = sent("a")
    body["messages"].append({"role": "user", "content": "seen if encoded again"})

    assert sent("b") == before
    request.forget_json()
    assert sent("c") == body["messages"] != before


def test_encode_without_fields_of_messages() -> None:
    """What a vendor refuses in a message is left out of it, and nothing else."""
    said = {"role": "assistant", "content": "a", "made_up": 1}
    user = {"role": "user", "content": "b"}
    body = {"messages": [{**said, "reasoning_content": "hm"}, user]}
    settings = changed(SETTINGS, unsupported_fields=("messages.reasoning_content", "n"))

    assert encoded(body, settings)["messages"] == [said, user]
    assert encoded(body)["messages"] == body["messages"]


@pytest.mark.parametrize("vendor", ["Groq", "Cerebras", "Mistral", "DeepSeek"])
def test_reasoning_that_goes_back(vendor: str) -> None:
    """DeepSeek wants its thoughts back with its calls; the others answer 400 to any."""
    settings = vendor_settings(vendor)
    body = {"messages": [{"role": "assistant", "reasoning_content": "hm"}]}

    (sent,) = encoded(body, settings)["messages"]

    assert ("reasoning_content" in sent) == (vendor == "DeepSeek")


@pytest.mark.parametrize("vendor", ["Groq", "Cerebras", "Mistral", "OpenAI"])
def test_signed_thoughts_of_another_vendor(vendor: str) -> None:
    """What Anthropic has signed in one turn is nothing to send to a strict reader."""
    settings = vendor_settings(vendor)
    body = {"messages": [{"role": "assistant", "content": "a", "thinking_blocks": []}]}

    assert encoded(body, settings)["messages"] == [
        {"role": "assistant", "content": "a"}
    ]


def test_openai_bounds_answers_by_their_new_name() -> None:
    """OpenAI's models that reason answer 400 to `max_tokens`."""
    settings = vendor_settings("OpenAI")

    sent = encoded({"max_tokens": 7}, settings)

    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


@pytest.mark.parametrize("key", ["sk-test-1234", "", None])
def test_encode_call(key: str | None) -> None:
    """The call goes to chat/completions, with the key as a Bearer token, if any."""
    request = ChatRequest(model="m", messages=(Message(role="user"),))
    made = OpenAI(evolve(SETTINGS, api_key=key)).encode(request, "m")

    assert made.path == "chat/completions"
    assert made.headers["Content-Type"] == "application/json"
    assert made.headers["Accept"] == "text/event-stream"
    assert made.headers.get("Authorization") == (f"Bearer {key}" if key else None)


def test_encode_a_completion() -> None:
    """Who completes text gets the text, and who does not gets the chat."""
    chat: dict[str, Any] = {"messages": []}
    completion = {"prompt": "Once", "max_tokens": 3}
    hello = (Message(role="user", content="Once"),)
    native = NativeRequest(format=COMPLETIONS, body=completion)
    request = ChatRequest(model="m", messages=hello, body=chat, native=native)

    names = {"max_tokens": "max_completion_tokens"}  # the chat's name for it
    able = changed(SETTINGS, completions=True, rename_fields=names)
    completes = OpenAI(able).encode(request, "upstream")
    chats = OpenAI(SETTINGS).encode(request, "upstream")

    assert (completes.path, chats.path) == ("completions", "chat/completions")
    assert completion.items() <= json.loads(completes.body).items()
    assert "messages" not in json.loads(completes.body)
    assert json.loads(chats.body)["messages"] == []


def test_secrets_stay_out_of_reprs() -> None:
    """Neither settings nor a call show the key, or the prompt, when printed."""
    request = ChatRequest(model="m", messages=(Message(role="user", content="psst"),))
    shown = repr((SETTINGS, OpenAI(SETTINGS), OpenAI(SETTINGS).encode(request, "m")))

    assert "sk-test" not in shown
    assert "psst" not in shown


def test_list_models() -> None:
    """The list is asked for with the key; nothing else is sent."""
    made = OpenAI(SETTINGS).list_models()

    assert (made.path, made.body) == ("models", b"")
    assert made.headers["Authorization"] == "Bearer sk-test-1234"


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (b'{"object":"list","data":[{"id":"a"},{"id":"b/c"}]}', ("a", "b/c")),
        (b'[{"id":"a"}]', ("a",)),
        (b'{"data":[]}', ()),
    ],
)
def test_read_models(body: bytes, models: tuple[str, ...]) -> None:
    """The ids are those of OpenAI's list, or of Together's bare one, in its order."""
    assert OpenAI(SETTINGS).read_models(body) == models


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"5", b"null", b"{}", b'{"data":null}', b"[5]", b'[{"name":"a"}]'],
)
def test_read_models_unreadable(body: bytes) -> None:
    """What is no list of models can't be parsed."""
    with pytest.raises(UNREADABLE):
        OpenAI(SETTINGS).read_models(body)
