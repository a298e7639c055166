"""What Anthropic's API answers 400 to, and is not sent: from chats and as it came."""

import json
from base64 import b64encode
from typing import Any

import pytest
from attrs import evolve

from providers import ChatRequest, ProviderRefusedRequest, ProviderSettings
from providers.dialects.anthropic.dialect import Anthropic
from server.config.tables import vendor_settings
from server.wire.chat import parse
from server.wire.messages.request import parse as parse_message
from tests.rig.pictures import picture

OWN = vendor_settings("Anthropic")
COPY = evolve(OWN, base_url="https://copy.test/anthropic/v1")
HI = {"role": "user", "content": "Hi"}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def chatted(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"model": "m", "messages": [HI], **fields}).encode())[0]


def messaged(**fields: Any) -> ChatRequest:
    body = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
    return parse_message(json.dumps(body).encode())[0]


def sent(request: ChatRequest, settings: ProviderSettings = OWN) -> Any:
    return json.loads(Anthropic(settings).encode(request, "m").body)


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
BLANKS = ("", " ", "\n", "\t\r\n ", "\u00a0")


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_blank_texts_of_chats(blank: str) -> None:
    """They are left out in any role, and so is a message with nothing else in it."""
    body = sent(
        chatted(
            messages=[
                {"role": "system", "content": blank},
                {"role": "user", "content": [text(blank), text(" a b ")]},
                {"role": "user", "content": blank},
                {"role": "assistant", "content": blank, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": blank},
                {"role": "assistant", "content": blank},
                {"role": "user", "content": "go on "},
            ]
        )
    )

    result = {"type": "tool_result", "tool_use_id": "c", "content": []}
    assert "system" not in body
    assert body["messages"] == [
        {"role": "user", "content": [text(" a b ")]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [result, text("go on ")]},
    ]


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_blank_texts_of_messages(blank: str) -> None:
    """Likewise where the client speaks the API itself; all else stays as it came."""
    result = {"type": "tool_result", "tool_use_id": "c", "content": [text(blank)]}
    body = sent(
        messaged(
            system=[text(blank), text("Be kind.", **MARK)],
            messages=[
                {"role": "user", "content": [text(blank), text(" a ", **MARK)]},
                {"role": "assistant", "content": [text(blank), USE]},
                {"role": "user", "content": [result]},
                {"role": "assistant", "content": blank},
                {"role": "user", "content": [text(blank, **MARK), text("b")]},
            ],
        )
    )

    assert body["system"] == [text("Be kind.", **MARK)]
    assert body["messages"] == [
        {"role": "user", "content": [text(" a ", **MARK)]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [{**result, "content": []}]},
        {"role": "user", "content": [text("b")]},
    ]


@pytest.mark.parametrize(
    ("stop", "made"),
    [
        (["\n", "STOP"], ["STOP"]),
        (["b", " ", "a\n", ""], ["b", "a\n"]),
        (["\n"], None),
        ([], None),
    ],
    ids=repr,
)
def test_stop_sequences(stop: list[str], made: list[str] | None) -> None:
    """Those of white space alone are refused; the others keep their order."""
    assert sent(chatted(stop=stop)).get("stop_sequences") == made
    assert sent(messaged(stop_sequences=stop)).get("stop_sequences") == made
    if len(stop) == 1:
        assert sent(chatted(stop=stop[0])).get("stop_sequences") == made


def test_prefill() -> None:
    """The text that the answer goes on from loses the white space at its end only."""
    said = {"role": "assistant", "content": " Of course: \n"}
    parts = {"role": "assistant", "content": [text("a \n"), text(" b \n")]}

    assert sent(chatted(messages=[HI, said]))["messages"][-1] == {
        "role": "assistant",
        "content": [text(" Of course:")],
    }
    assert sent(messaged(messages=[HI, said]))["messages"][-1] == {
        "role": "assistant",
        "content": " Of course:",
    }
    for request in (chatted(messages=[HI, parts]), messaged(messages=[HI, parts])):
        assert sent(request)["messages"][-1]["content"] == [text("a \n"), text(" b")]
    earlier = sent(messaged(messages=[HI, said, HI]))["messages"][1]
    assert earlier == said


BUDGET = {"type": "enabled", "budget_tokens": 8000}


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({}, 12096),
        ({"max_tokens": 100}, 8100),
        ({"max_tokens": 8000}, 16000),
        ({"max_completion_tokens": 9000}, 9000),
    ],
)
def test_room_for_an_answer(fields: dict[str, int], bound: int) -> None:
    """The bound on all tokens is above that on the thoughts."""
    assert sent(chatted(thinking=BUDGET, **fields))["max_tokens"] == bound


@pytest.mark.parametrize("kind", ["enabled", "adaptive", "disabled"])
def test_temperature_of_who_thinks(kind: str) -> None:
    """There is none but 1 with thinking on."""
    body = sent(chatted(thinking={**BUDGET, "type": kind}, temperature=0.5))

    assert body.get("temperature", 1) == (0.5 if kind == "disabled" else 1)


def test_marks_of_a_cache() -> None:
    """Each comes through, unchanged, at the block or tool that its part becomes."""
    function = {"name": "f", "parameters": {"type": "object"}}
    body = sent(
        chatted(
            messages=[
                {"role": "system", "content": [text("long", **MARK), text("short")]},
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [text("a", **MARK), text("b")]},
                {"role": "assistant", "content": [text("c", **MARK)]},
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c", "content": [text("d", **MARK)]},
                {"role": "user", "content": [text(" ", **MARK), text("e")]},
            ],
            tools=[{"type": "function", "function": function, **MARK}],
        )
    )

    result = {"type": "tool_result", "tool_use_id": "c", "content": [text("d", **MARK)]}
    assert body["system"] == [text("long", **MARK), text("short"), text("Be brief.")]
    assert [turn["content"] for turn in body["messages"]] == [
        [text("a", **MARK), text("b")],
        [text("c", **MARK), USE],
        [result, text("e")],
    ]
    assert [tool["cache_control"] for tool in body["tools"]] == [MARK["cache_control"]]
    plain = sent(chatted(messages=[{"role": "system", "content": "x"}, HI]))
    assert plain["system"] == "x"


def test_marks_of_whole_messages_and_functions() -> None:
    """Some clients put them there; they mean the message's end."""
    function = {"name": "f", **MARK}
    body = sent(
        chatted(
            messages=[{**HI, **MARK}],
            tools=[{"type": "function", "function": function}],
        )
    )

    assert body["messages"][0]["content"] == [text("Hi", **MARK)]
    assert body["tools"][0]["cache_control"] == MARK["cache_control"]


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_no_tools(choice: str) -> None:
    """Where there are none, nothing is said of them."""
    for request in (
        chatted(tools=[], tool_choice=choice, parallel_tool_calls=True),
        messaged(tools=[], tool_choice={"type": choice}),
    ):
        assert not {"tools", "tool_choice"} & sent(request).keys()


THINKS = {"role": "assistant", "reasoning_content": "Hm", "content": "a"}
UNSIGNED = {"type": "thinking", "thinking": "Hm", "signature": ""}


def test_thoughts_of_chats_at_copies() -> None:
    """They become the block before a turn's calls, but at Anthropic's own host."""
    call = {**THINKS, "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}
    request = chatted(messages=[HI, THINKS, HI, call, result, THINKS, HI])

    kinds = [
        [block["type"] for block in turn["content"]]
        for turn in sent(request, COPY)["messages"]
        if turn["role"] == "assistant"
    ]

    assert kinds == [["text"], ["thinking", "tool_use"], ["thinking", "text"]]
    assert UNSIGNED in sent(request, COPY)["messages"][3]["content"]
    assert "thinking" not in json.dumps(sent(request))


def data_url(data: bytes, head: str) -> str:
    return f"{head},{b64encode(data).decode()}"


PNG, JPEG, GIF, WEBP = (picture(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP"))
PDF = b"%PDF-1.7\n%nothing"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (data_url(PNG, "data:image/PNG;base64"), "image/png"),
        (data_url(PNG, "DATA:image/png;charset=utf-8;BASE64"), "image/png"),
        (data_url(JPEG, "data:image/png;base64"), "image/jpeg"),
        (data_url(GIF, "data:;base64"), "image/gif"),
        (data_url(WEBP, "data:application/octet-stream;base64"), "image/webp"),
        (data_url(b"what?", "data:image/webp;base64"), "image/webp"),
        (data_url(b"what?", "data:image/jpg;base64"), "image/jpeg"),
        (data_url(PDF, "data:image/png;base64"), "application/pdf"),
        (data_url(b"what?", "data:application/pdf;base64"), "application/pdf"),
    ],
)
def test_pictures(url: str, kind: str) -> None:
    """A data URL is read as RFC 2397 has it; the bytes' word goes before its own."""
    spaced = url[:60] + "\n " + url[60:]
    for each in (url, spaced, url.replace("=", "%3D")):
        part = {"type": "image_url", "image_url": {"url": each}}
        body = sent(chatted(messages=[{"role": "user", "content": [text("a"), part]}]))
        block = body["messages"][0]["content"][1]

        source = {"type": "base64", "media_type": kind, "data": url.partition(",")[2]}
        named = "document" if kind == "application/pdf" else "image"
        assert block == {"type": named, "source": source}


@pytest.mark.parametrize(
    "data",
    [
        data_url(PDF, "data:application/pdf;base64"),
        data_url(PDF, "data:APPLICATION/PDF;name=a.pdf;base64"),
        b64encode(PDF).decode(),
    ],
)
def test_documents(data: str) -> None:
    """A PDF becomes a document at its place among the parts."""
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    content = [text("a"), part, text("b")]

    body = sent(chatted(messages=[{"role": "user", "content": content}]))

    blocks = body["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["text", "document", "text"]
    source = {"type": "base64", "media_type": "application/pdf"}
    assert blocks[1]["source"] == {**source, "data": b64encode(PDF).decode()}


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:text/csv;base64,YSxi"}},
            "'text/csv'",
        ),
        ({"type": "file", "file": {"file_data": "data:a/b;base64,YSxi"}}, "'a/b'"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_data"),
        ({"type": "image_url", "image_url": {"url": "ftp://x.test/a"}}, "web address"),
        ({"type": "image", "source": {}}, "'image'"),
    ],
)
def test_what_is_no_picture(part: dict[str, Any], why: str) -> None:
    """What can't be sent is refused with its name."""
    with pytest.raises(ProviderRefusedRequest, match=why):
        sent(chatted(messages=[{"role": "user", "content": [part]}]))


def test_custom_calls() -> None:
    """A custom tool's call is one whose argument is its input."""
    custom = {"name": "p", "input": "x"}
    call = {"id": "c", "type": "custom", "custom": custom}
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}

    body = sent(
        chatted(messages=[HI, {"role": "assistant", "tool_calls": [call]}, result])
    )

    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "c", "name": "p", "input": {"input": "x"}}
    ]


def test_what_was_put_right_is_noted() -> None:
    """A sound request has no note; one that was changed says what was."""
    dialect = Anthropic(OWN)
    dialect.encode(chatted(), "m")
    assert dialect.notes == []

    odd = {"role": "assistant", "content": [text(" "), text("a ")]}
    dialect.encode(messaged(messages=[HI, odd], system=" ", stop_sequences=[" "]), "m")
    assert dialect.notes == [
        "blank texts left out",
        "end of the prefill cut",
        "blank stop sequences left out",
    ]
