"""The Responses API as we serve it: requests in, events and objects out."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from providers import (
    Choice,
    Chunk,
    Delta,
    FinishReason,
    ProviderProtocolError,
    TextRun,
    ToolCallDelta,
    Usage,
    with_text,
)
from server.errors import GatewayError, InvalidRequest, ServerStopping
from server.racing.errors import NobodyWon
from server.wire.bound import MAX_ANSWER
from server.wire.opaque import sealed, unsealed
from server.wire.reasoning import joined_details
from server.wire.responses import ResponseRendering, input_items, parse, shown
from server.wire.responses.output import Output
from tests.rig.response_events import read, whole

BODY: dict[str, Any] = {"model": "m", "input": "hello"}
HELLO = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
OTHER = {**TOOL, "name": "g", "strict": True, "description": "Does g."}
USED = Chunk(
    usage=Usage(
        prompt_tokens=3,
        completion_tokens=2,
        total_tokens=5,
        extra={
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    )
)


def rendering(**fields: Any) -> ResponseRendering:
    asked, _ = parse(json.dumps(BODY | fields).encode())
    return ResponseRendering(asked, asked.items())


def chat(**fields: Any) -> dict[str, Any]:
    """Return the chat that a request is, as it is sent upstream, less its model."""
    asked, _ = parse(json.dumps(BODY | fields).encode())
    request = asked.chat([], asked.items())
    assert request.model == "m"
    return {n: v for n, v in request.body.items() if n != "model"}


def messages(*items: Any, instructions: str | None = None) -> list[Any]:
    found: list[Any] = chat(input=list(items), instructions=instructions)["messages"]
    return found


def chunk(
    finish_reason: FinishReason | None = None,
    index: int = 0,
    logprobs: dict[str, Any] | None = None,
    **delta: Any,
) -> Chunk:
    choice = Choice(
        index=index,
        delta=Delta(**delta),
        finish_reason=finish_reason,
        logprobs=logprobs,
    )
    return Chunk(id="chatcmpl-1", created=1700, model="real", choices=(choice,))


def call(index: int = 0, **piece: Any) -> Chunk:
    return chunk(tool_calls=(ToolCallDelta(index=index, **piece),))


STOP = chunk("stop")
TEXT = [chunk(content=""), chunk(content="Good"), chunk(content="bye"), STOP, USED]


def streamed(chunks: Iterable[Chunk], **fields: Any) -> list[Any]:
    """Return the events of a stream; they are the same, however its chunks arrive."""
    alone, together = rendering(**fields), rendering(**fields)
    chunks = list(chunks)
    chat_asked = alone.request.chat([], alone.items)
    stream = alone.form.stream(chat_asked, "A", "asked")
    events = read(b"".join([*(stream.render([c]) for c in chunks), stream.end()]))
    for pieces in (chunks, [run_of(chunk) for chunk in chunks]):
        stream = together.form.stream(chat_asked, "A", "asked")
        again = read(stream.render(pieces) + stream.end())
        assert list(map(told, again)) == list(map(told, events))
    return events


def run_of(chunk: Chunk) -> Chunk | TextRun:
    """Return a chunk as dialects that know most of them by their bytes give it."""
    (choice,) = chunk.choices or (Choice(),)
    text = choice.delta.content
    plain = choice == Choice(index=choice.index, delta=Delta(content=text))
    if not text or not plain:
        return chunk
    return TextRun(with_text(chunk, ""), [json.dumps(text).encode()])


def told(event: Any) -> Any:
    """Return an event less what is new in each stream: ids and the whole response."""
    fields = event.to_dict()
    kept = ("type", "sequence_number", "output_index", "content_index", "delta", "text")
    return [fields.get(name) for name in kept]


def answered(chunks: Iterable[Chunk | TextRun], **fields: Any) -> Any:
    made = rendering(**fields)
    answer = made.form.answer(made.request.chat([], made.items), "A", "asked")
    answer.add(chunks)
    return whole(json.loads(answer.body()))


def kinds(events: list[Any]) -> list[str]:
    return [event.type.removeprefix("response.") for event in events]


# Requests


def test_text_and_instructions() -> None:
    """A text is what the user says; instructions go before it."""
    assert chat(instructions="Be brief.")["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"max_output_tokens": 9}, {"max_completion_tokens": 9}),
        ({"temperature": 0, "top_p": 1}, {"temperature": 0, "top_p": 1}),
        ({"temperature": None}, {}),
        ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"reasoning": None, "text": None, "tools": None}, {}),
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "text"}}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"top_logprobs": 2},
            {"logprobs": True, "top_logprobs": 2},
        ),
        (
            {"include": ["message.output_text.logprobs"]},
            {"logprobs": True, "top_logprobs": 0},
        ),
        ({"stream": True}, {"stream": True}),
        # What a chat has, too, and what nobody knows, goes along.
        ({"user": "u", "seed": 1, "top_k": 2}, {"user": "u", "seed": 1, "top_k": 2}),
        # What has no place there does not, nor what a chat would not take so.
        ({"metadata": {"a": "b"}, "store": True, "truncation": "auto", "n": 2}, {}),
        ({"messages": [], "background": False, "conversation": None}, {}),
    ],
)
def test_fields(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """Each field finds its place in a chat."""
    said = {"messages": [{"role": "user", "content": "hello"}]}
    assert chat(**fields) == said | sent


def test_schema() -> None:
    """A structured output is a chat's, under the chat's names."""
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    sent = chat(text={"format": {"type": "json_schema", **schema}})
    assert sent["response_format"] == {"type": "json_schema", "json_schema": schema}


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        (None, ["f", "g"], None),
        ("required", ["f", "g"], "required"),
        (
            {"type": "function", "name": "g"},
            ["f", "g"],
            {"type": "function", "function": {"name": "g"}},
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "g"}],
            },
            ["g"],
            "required",
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, [], None),
        ({"type": "allowed_tools", "tools": [{"name": {}}, 1]}, [], None),
    ],
)
def test_tools(choice: Any, names: list[str], sent: Any) -> None:
    """Tools are flat here and nested there; those that are not allowed are not sent."""
    found = chat(tools=[TOOL, OTHER], tool_choice=choice, parallel_tool_calls=False)

    assert [t["function"]["name"] for t in found.get("tools", [])] == names
    assert found.get("tool_choice") == sent
    assert ("parallel_tool_calls" in found) == bool(names)
    if "f" in names:
        assert found["tools"][1]["function"] == {
            "name": "g",
            "description": "Does g.",
            "parameters": {"type": "object"},
            "strict": True,
        }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": 1}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": [{"role": "tool", "content": ""}]}, "input[0].role"),
        ({"input": [{"type": "function_call"}]}, "input[0].call_id"),
        ({"input": [{"type": {}, **HELLO}]}, "input[0].type"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [TOOL], "tool_choice": {"name": "f"}}, "tool_choice"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_mistakes_name_the_field(fields: dict[str, Any], param: str) -> None:
    """What is wrong is named as the client knows it."""
    with pytest.raises(InvalidRequest) as caught:
        chat(**fields)

    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


# Items


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


def text(words: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def called(call_id: str) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": "f",
        "arguments": "{}",
    }


def result(call_id: str, output: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_call(call_id: str, **more: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function, **more}


IMAGE = {
    "type": "input_image",
    "image_url": "data:image/png;base64,AA==",
    "detail": "low",
}
SEEN = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"},
}


def test_messages() -> None:
    """Roles and texts; a text alone is no list, since not all vendors take lists."""
    assert messages(
        said("developer", text("a"), text("b")),
        {"role": "user", "content": "c"},
        said("user", text("d")),
        said("assistant", text("e", "output_text")),
        said("assistant", text("e", "output_text")),
        said("user", text("f"), text("g")),
        instructions="i",
    ) == [
        {"role": "system", "content": "i"},
        {"role": "system", "content": "a\nb"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": "e"},
        {"role": "assistant", "content": "e"},
        {"role": "user", "content": [text("f", "text"), text("g", "text")]},
    ]


def test_parts() -> None:
    """Images, files and sounds are a chat's; a refusal is the assistant's."""
    file = {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}
    sound = {"data": "AA==", "format": "wav"}
    assert messages(
        said("user", text("see"), IMAGE, {"type": "input_file", **file}),
        said("user", {"type": "input_audio", "input_audio": sound}),
        said("assistant", {"type": "refusal", "refusal": "no"}),
    ) == [
        {
            "role": "user",
            "content": [text("see", "text"), SEEN, {"type": "file", "file": file}],
        },
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": sound}],
        },
        {"role": "assistant", "content": None, "refusal": "no"},
    ]


def test_an_assistants_items_are_one_turn() -> None:
    """Text and calls are one message, and results follow it at once."""
    assert messages(
        said("assistant", text("before", "output_text")),
        called("a"),
        called("b"),
        said("assistant", text("after", "output_text")),
        result("a"),
        result("b", [text("one"), text("two")]),
        called("c"),
        result("c"),
    ) == [
        {
            "role": "assistant",
            "content": "before\nafter",
            "tool_calls": [chat_call("a"), chat_call("b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "tool", "tool_call_id": "b", "content": "one\ntwo"},
        {"role": "assistant", "content": None, "tool_calls": [chat_call("c")]},
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
    ]


def test_what_a_result_shows_comes_from_the_user() -> None:
    """A chat's tools answer in text, so an image of theirs follows all results."""
    assert messages(
        called("a"),
        called("b"),
        result("a", [text("see"), IMAGE]),
        result("b"),
        said("user", text("d")),
    )[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "see"},
        {"role": "tool", "tool_call_id": "b", "content": "ok"},
        {"role": "user", "content": [SEEN]},
        {"role": "user", "content": "d"},
    ]
    assert messages(called("a"), result("a", [IMAGE]))[2:] == [
        {"role": "user", "content": [SEEN]}
    ]


def test_reasoning_goes_back_to_who_sealed_it() -> None:
    """
    What their upstream wants back with thoughts comes to the turn that they led to, and
    stays away from others.
    """
    sign = {"type": "thinking", "thinking": "t", "signature": "s"}
    opaque = sealed([sign], {"a": {"google": {"thought_signature": "g"}}})
    thought = {"type": "reasoning", "summary": [], "content": [text("t")]}
    foreign = {**thought, "encrypted_content": "gAAAAABo"}
    beside = {"extra_content": {"google": {"thought_signature": "g"}}}

    assert messages(
        said("assistant", text("first", "output_text")),
        {**thought, "encrypted_content": opaque},
        called("a"),
        result("a"),
        foreign,
        said("assistant", text("x", "output_text")),
        thought,
    ) == [
        {"role": "assistant", "content": "first"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [chat_call("a", **beside)],
            "thinking_blocks": [sign],
            "reasoning_content": "t",
        },
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "assistant", "content": "x", "reasoning_content": "t"},
    ]


def test_thoughts_of_a_turn_that_calls() -> None:
    """
    Each of its messages has its own, or the last one's before it; the images that a
    tool has shown are no new turn, and turns that call nothing have no thoughts.
    """
    thought = {"type": "reasoning", "summary": [text("b")], "content": [text("a")]}
    shown = {"type": "reasoning", "summary": [text("c", "summary_text")]}
    answer = said("assistant", text("x"))

    sent = messages(
        *(said("user", text("1")), thought, answer),
        *(said("user", text("2")), answer, thought, shown, called("a")),
        *(result("a", [IMAGE]), called("b"), result("b"), shown, answer),
        *(said("user", text("3")), thought, answer),
    )

    thoughts = [
        message.get("reasoning_content")
        for message in sent
        if message["role"] == "assistant"
    ]
    assert thoughts == [None, None, "a\nc", "a\nc", "c", None]


FRAGMENTS = (
    {"type": "reasoning.text", "text": "H", "format": "x-v1", "index": 0},
    {"type": "reasoning.text", "text": "m", "signature": None, "index": 0},
    {"index": 0, "signature": "q"},
    {"type": "reasoning.encrypted", "data": "d", "id": "r", "index": 1},
    {"index": 1, "data": "e"},
)
ENTRIES = [
    {
        "type": "reasoning.text",
        "text": "Hm",
        "format": "x-v1",
        "index": 0,
        "signature": "q",
    },
    {"type": "reasoning.encrypted", "data": "de", "id": "r", "index": 1},
]


def test_details_of_reasoning_go_back() -> None:
    """The fragments of one index are one entry, which comes back field by field."""
    assert joined_details(FRAGMENTS) == ENTRIES
    sign = {"type": "thinking", "thinking": "t", "signature": "s"}
    opaque = sealed([sign, *ENTRIES], {})
    item: dict[str, Any] = {"type": "reasoning", "summary": []}
    item["encrypted_content"] = opaque

    (sent,) = messages(item, called("a"))

    assert sent["reasoning_details"] == ENTRIES
    assert sent["thinking_blocks"] == [sign]


def test_details_of_an_answer_are_sealed() -> None:
    """What came as fragments, some of them before any text, is one sealed list."""
    output = Output("reasoning_text")
    for fragment in FRAGMENTS:
        delta = Delta(extra={"reasoning_details": [fragment]})
        list(output.take(Chunk(choices=(Choice(delta=delta),))))

    (item,) = output.payload(opaque=True)

    assert item["type"] == "reasoning"
    assert unsealed(item["encrypted_content"]) == (ENTRIES, {})


@pytest.mark.parametrize("text", [None, 1, "", "gAAAA", "e30=", "bnVsbA==", "WzFd"])
def test_foreign_seals(text: Any) -> None:
    """What was sealed elsewhere is as nothing."""
    assert unsealed(text) == ([], {})


def test_wrong_shapes_in_a_seal() -> None:
    """A client may send anything."""
    assert unsealed(sealed(["a"], {}) and "eyJ0aGlua2luZ19ibG9ja3MiOjF9") == ([], {})
    assert sealed([], {}) is None


# Answers


def test_stream_of_text() -> None:
    """One item, one part, its deltas, and the ends of all of them."""
    events = streamed(TEXT)

    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert all(e.response.model == "real" for e in (events[0], events[-1]))
    usage = events[-1].response.usage
    assert usage.to_dict() == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }


def test_runs_of_text() -> None:
    """Texts that come together leave in an event each, as if they had come alone."""
    like = with_text(chunk(content="x"), "")
    run = TextRun(like, [b'"Gr\\u00fc"', '"ß"'.encode(), b'"\\n"'])
    other = TextRun(with_text(chunk(content="x", index=1), ""), [b'"no"'])
    made = rendering()
    stream = made.form.stream(made.request.chat([], made.items), "A", "asked")
    sent: list[list[Chunk | TextRun]] = [
        [run],
        [run, other, chunk(refusal="!"), run, run],
        [STOP, run],
    ]

    events = read(b"".join([*map(stream.render, sent), stream.end()]))

    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert deltas == ["Grü", "ß", "\n"] * 4
    parts = events[-1].response.output[0].content
    assert [getattr(part, "text", "") for part in parts] == [
        "Grüß\n" * 2,
        "",
        "Grüß\n" * 2,
    ]
    made_whole = answered([run, run, chunk(refusal="!"), run, STOP, run])
    assert made_whole.output_text == "Grüß\n" * 3


MIXED = [
    chunk(reasoning_content="Hm"),
    chunk(reasoning_content="m.", extra={"thinking_blocks": [{"signature": "s"}]}),
    chunk(content="So"),
    chunk(refusal="no"),
    chunk(refusal="!"),
    call(0, id="a", name="f", arguments='{"x":'),
    call(1, id="b"),
    call(1, name="g", arguments="{}", id="b"),
    call(0, arguments="1}", name="f"),
    chunk(content="after"),
    chunk(index=1, content="another choice"),
    chunk("tool_calls"),
    chunk(content="too late"),
    USED,
]


@pytest.mark.parametrize("summary", [None, "auto"])
def test_items_of_all_kinds(summary: str | None) -> None:
    """
    Thoughts, text, refusal, two calls whose pieces are mixed, text again: each item in
    its turn, and the same in the object.
    """
    fields: dict[str, Any] = {"reasoning": {"summary": summary}, "tools": [TOOL]}
    final = streamed(MIXED, **fields)[-1].response
    made = answered(MIXED, **fields)

    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "message",
    ]
    thought, said, first, second, _ = final.output
    shown_thoughts = thought.summary if summary else thought.content
    assert [part.text for part in shown_thoughts] == ["Hmm."]
    assert (said.content[0].text, said.content[1].refusal) == ("So", "no!")
    assert (first.call_id, first.name, first.arguments) == ("a", "f", '{"x":1}')
    assert (second.call_id, second.name, second.arguments) == ("b", "g", "{}")
    assert made.output_text == final.output_text == "Soafter"
    plain = [each.to_dict() | {"id": ""} for each in made.output]
    assert plain == [each.to_dict() | {"id": ""} for each in final.output]


def test_call_ends_as_soon_as_it_is_whole() -> None:
    """A call is done when the next item begins, so that a client can go to work."""
    events = streamed(
        [call(0, name="f", arguments="{}"), call(1, name="g", arguments="{}"), STOP]
    )
    done = kinds(events).index("output_item.done")
    assert kinds(events)[done + 1] == "output_item.added"
    assert events[done].item.call_id.startswith("call_")


def test_call_begins_when_it_has_a_name() -> None:
    """An upstream may name a call after its first piece."""
    pieces = [call(0, id="a"), call(0, name="f", arguments="{}"), STOP]
    added = next(e for e in streamed(pieces) if e.type.endswith("item.added"))
    assert (added.item.name, added.item.call_id) == ("f", "a")


def test_call_without_arguments_or_end() -> None:
    """An upstream may send nothing for no arguments, and a cut call is incomplete."""
    events = streamed([call(0, name="f"), call(1, name="g", arguments="{"), LENGTH])
    first, second = events[-1].response.output
    assert (first.arguments, first.status) == ("", "completed")
    assert (second.arguments, second.status) == ("{", "incomplete")


LENGTH = chunk("length")


@pytest.mark.parametrize(
    ("reason", "told"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_incomplete(reason: FinishReason, told: str) -> None:
    """An answer that was cut short says so, and why."""
    chunks = [chunk(content="Go"), chunk(reason)]
    last = streamed(chunks)[-1]
    made = answered(chunks)

    assert last.type == "response.incomplete"
    for response in (last.response, made):
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == told
        assert response.output[0].status == "incomplete"
        assert response.to_dict()["completed_at"] is None


def test_opaque_only_where_it_is_wanted() -> None:
    """What an upstream wants back is shown on request, and stored in any case."""
    wanted = {"include": ["reasoning.encrypted_content"]}
    opaque = answered(MIXED, **wanted).output[0].encrypted_content
    assert unsealed(opaque) == ([{"signature": "s"}], {})
    assert answered(MIXED).output[0].encrypted_content is None
    assert streamed(MIXED, **wanted)[-1].response.output[0].encrypted_content == opaque
    made = rendering()
    answer = made.form.answer(made.request.chat([], made.items), "A", "asked")
    answer.add(MIXED)
    stored = made.stored()
    assert stored.output[0]["encrypted_content"] == opaque
    for seen in (True, False):
        body = json.loads(shown(stored.body, stored.output, opaque=seen))
        assert ("encrypted_content" in body["output"][0]) == seen


def test_signed_call_without_thoughts() -> None:
    """A signature that comes with a call goes before it, in an item of its own."""
    beside = {"google": {"thought_signature": "g"}}
    signed = call(0, id="a", name="f", extra={"extra_content": beside, "other": 1})
    final = streamed([signed, STOP], include=["reasoning.encrypted_content"])[-1]
    thought, _ = final.response.output
    assert thought.summary == []
    assert unsealed(thought.encrypted_content) == ([], {"a": beside})


def test_logprobs() -> None:
    """They come with their text, in the shape that events have, and with bytes."""
    row = {"token": "é", "logprob": -0.5, "bytes": None}
    rows = {"content": [{**row, "top_logprobs": [row]}, "nonsense"]}
    events = streamed([chunk(content="é", logprobs=rows), STOP], top_logprobs=1)

    delta = next(e for e in events if e.type == "response.output_text.delta")
    told = {"token": "é", "logprob": -0.5}
    assert [r.to_dict() for r in delta.logprobs] == [{**told, "top_logprobs": [told]}]
    (part,) = events[-1].response.output[0].content
    full = {**told, "bytes": [195, 169]}
    assert [r.to_dict() for r in part.logprobs] == [{**full, "top_logprobs": [full]}]


def test_the_request_is_repeated() -> None:
    """The object says what was asked for, and who answered."""
    fields: dict[str, Any] = {
        "instructions": "i",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "previous_response_id": "resp_1",
        "reasoning": {"effort": "low", "summary": "auto"},
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "g"},
        "tools": [OTHER],
        "top_logprobs": 0,
        "top_p": 0.5,
        "truncation": "auto",
        "user": "u",
    }
    made = answered(TEXT, **fields).to_dict()

    assert {name: made[name] for name in fields} == fields
    assert made["provider"] == "A"


def test_nothing_is_left_out() -> None:
    """Every field that the API requires is there, though nothing was asked for."""
    made = answered(TEXT).to_dict()
    assert made["tools"] == []
    assert made["tool_choice"] == "auto"
    assert made["parallel_tool_calls"] is True
    assert made["text"] == {"format": {"type": "text"}, "verbosity": None}
    assert made["error"] is made["incomplete_details"] is None


def test_endless_answers() -> None:
    """What does not end is given up, streamed or not."""
    piece = [chunk(content="x" * (MAX_ANSWER // 4))]
    made = rendering()
    asked = made.request.chat([], made.items)
    answer, stream = (
        made.form.answer(asked, "A", "m"),
        made.form.stream(asked, "A", "m"),
    )
    for take in (answer.add, stream.render):
        for _ in range(3):
            take(piece)
        with pytest.raises(ProviderProtocolError, match="larger than"):
            take([run_of(each) for each in piece * 2])


@pytest.mark.parametrize("count", range(len(MIXED)))
def test_failure_at_any_point(count: int) -> None:
    """Whenever a stream breaks off, its events are still in order, and it says so."""
    made = rendering(tools=[TOOL])
    stream = made.form.stream(made.request.chat([], made.items), "A", "asked")
    sent = stream.render(MIXED[:count])
    events = read(sent + made.form.error_frame(ServerStopping("stopping")))

    failed, error = events[-2:]
    assert failed.response.error.code == "server_error"
    assert failed.response.provider == "A"
    assert (error.code, error.message) == ("server_stopping", "stopping")


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "rate_limit_exceeded"), (400, "invalid_prompt"), (502, "server_error")],
)
def test_failure_without_a_winner(status: int, code: str) -> None:
    """Where nobody has won, the response begins all the same: packages want that."""
    error: GatewayError = NobodyWon([])
    error.status = status
    events = read(rendering().form.error_frame(error))

    assert kinds(events) == ["created", "in_progress", "failed", "error"]
    assert events[2].response.error.code == code
    assert events[2].response.provider is None


# Lists of items


def test_input_items() -> None:
    """The last comes first, or the first; a page goes on where one has ended."""
    made = rendering(input=[{"role": "user", "content": str(i)} for i in range(5)])
    answer = made.form.answer(made.request.chat([], made.items), "A", "m")
    answer.add(TEXT)
    rows = made.stored().input

    def page(**query: str) -> tuple[list[str], bool]:
        found: Any = input_items(rows, query)
        texts = [row["content"][0]["text"] for row in found["data"]]
        return texts, found["has_more"]

    assert page() == (["4", "3", "2", "1", "0"], False)
    assert page(limit="2", order="asc") == (["0", "1"], True)
    assert page(limit="3", after=rows[3]["id"]) == (["2", "1", "0"], False)
    assert input_items([], {})["first_id"] is None
    limits = ({"limit": value} for value in ("0", "x", "101", "9" * 5000))
    for query in (*limits, {"after": "x"}, {"order": "x"}):
        with pytest.raises(InvalidRequest):
            page(**query)
