"""Tools that are no functions, and their calls, at the Responses API as we serve it."""

import json
import time
from typing import Any

import pytest

from providers import ChatRequest, Chunk, HostedTools, ToolCallDelta
from server.errors import InvalidRequest
from server.wire.responses import parse
from server.wire.responses.tools import LONGEST
from tests.rig.response_events import COMMANDS

from .test_responses import STOP, answered, call, chat, chunk, messages, streamed

FUNCTION: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object"},
}
PATCH = {"type": "custom", "name": "patch", "description": "edits files"}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: X"}
TEAM: dict[str, Any] = {
    "type": "namespace",
    "name": "team",
    "description": "A team.",
    "tools": [
        {"type": "function", "name": "start", "description": "Go.", "parameters": {}},
        {"type": "custom", "name": "say"},
    ],
}
SHELLS: list[dict[str, Any]] = [
    {"type": kind} for kind in ("local_shell", "shell", "apply_patch")
]
SEARCH: dict[str, Any] = {"type": "web_search", "external_web_access": False}
ALL: list[dict[str, Any]] = [FUNCTION, SEARCH, PATCH, TEAM, *SHELLS]
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
HELLO = {"role": "user", "content": "hi"}


def asked(**fields: Any) -> ChatRequest:
    body = {"model": "m", "input": "hello", **fields}
    request, _ = parse(json.dumps(body).encode())
    return request.chat([], request.items())


def names(*tools: Any, **fields: Any) -> list[str]:
    """Return the names of the functions that a model is shown."""
    shown = chat(tools=list(tools), **fields).get("tools") or ()
    assert all(set(tool) == {"type", "function"} for tool in shown)
    return [tool["function"]["name"] for tool in shown]


# What the model is shown


def test_tools_as_functions() -> None:
    """What the client runs is shown as a function each, in the order declared."""
    shown = [tool["function"] for tool in chat(tools=ALL)["tools"]]

    assert [function["name"] for function in shown] == [
        "f",
        "patch",
        "team__start",
        "team__say",
        "local_shell",
        "shell",
        "apply_patch",
    ]
    assert shown[1] == {
        "name": "patch",
        "description": "edits files",
        "parameters": INPUT,
    }
    assert shown[2]["description"] == "A team.\n\nGo."
    assert shown[3]["parameters"] == INPUT
    assert shown[4]["parameters"]["required"] == ["command"]
    assert shown[5]["parameters"]["required"] == ["commands"]
    assert shown[6]["parameters"]["required"] == ["operation"]


def test_grammar_in_description() -> None:
    """A custom tool's grammar stands at the end of the description."""
    (shown,) = chat(tools=[{**PATCH, "format": GRAMMAR}])["tools"]

    text = shown["function"]["description"]
    assert text.startswith("edits files")
    assert text.endswith("start: X")


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("team", "start.it"),
        ("mcp__my server", "list"),
        ("n" * 60, "function"),
        ("ü", "start"),
    ],
)
def test_names_of_namespaced_functions(space: str, name: str) -> None:
    """They fit all vendors, and are the same in every request, and in the history."""
    tool = {"type": "function", "name": name}
    spaced = {"type": "namespace", "name": space, "tools": [tool]}
    past = {"type": "function_call", "call_id": "c", "namespace": space, "name": name}

    (shown,) = names(spaced)
    (message,) = messages({**past, "arguments": "{}"})

    assert len(shown) <= LONGEST
    assert shown.replace("_", "").replace("-", "").isascii()
    assert shown.replace("_", "").replace("-", "").isalnum()
    assert message["tool_calls"][0]["function"]["name"] == shown


def test_no_two_functions_have_one_name() -> None:
    """Names that would be the same differ; those without a namespace stay."""
    inner = {"type": "function", "name": "b__c"}
    spaces = [
        {"type": "namespace", "name": "a", "tools": [inner, inner]},
        {"type": "namespace", "name": "a__b", "tools": [{**inner, "name": "c"}]},
    ]
    plain = {**FUNCTION, "name": "shell"}

    shown = names(*spaces, {"type": "shell"}, plain)

    assert len(shown) == len(set(shown)) == 4
    assert shown[0] == "a__b__c"
    assert shown[3] == "shell"


# What is left out


@pytest.mark.parametrize(
    ("fields", "dropped", "needed"),
    [
        ({"tools": [FUNCTION, SEARCH]}, ["web_search"], ""),
        ({"tools": [SEARCH, {"type": "mcp"}]}, ["web_search", "mcp"], ""),
        ({"tools": [SEARCH, SEARCH]}, ["web_search"], ""),
        ({"tools": [SEARCH]}, ["web_search"], "web_search"),
        ({"tools": [SEARCH], "tool_choice": "none"}, ["web_search"], ""),
        (
            {"tools": [SEARCH, {"type": "x"}], "tool_choice": "required"},
            ["web_search", "x"],
            "web_search",
        ),
        ({"tools": [FUNCTION, SEARCH], "tool_choice": "required"}, ["web_search"], ""),
        (
            {"tools": [FUNCTION, SEARCH], "tool_choice": {"type": "web_search"}},
            ["web_search"],
            "web_search",
        ),
        (
            {
                "tools": [FUNCTION, SEARCH],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [SEARCH],
                },
            },
            ["web_search"],
            "web_search",
        ),
        (
            {
                "tools": [
                    FUNCTION,
                    {"type": "shell", "environment": {"type": "container_auto"}},
                ]
            },
            ["shell"],
            "",
        ),
        (
            {"tools": [FUNCTION, {"type": "tool_search", "execution": "client"}]},
            ["tool_search"],
            "",
        ),
        (
            {"tools": [{**TEAM, "tools": [FUNCTION, {"type": "news"}]}]},
            ["news"],
            "",
        ),
        ({"tools": [FUNCTION, {"type": "a\r\nb: c"}]}, ["a??b:?c"], ""),
        ({"tools": [FUNCTION]}, [], ""),
    ],
)
def test_hosted_tools(fields: Any, dropped: list[str], needed: str) -> None:
    """
    What OpenAI's servers run is left out and named; it is needed where it is forced, or
    where nothing else is declared.
    """
    request = asked(**fields)

    what = f"tools of the type {needed!r}" if needed else ""
    expected = tuple(f"tools.{kind}" for kind in dropped)
    assert request.hosted == HostedTools(names=expected, needed=what)
    left = [t.function.name for t in request.tools or () if t.function is not None]
    assert set(left) <= {"f", "team__f"}


def test_nothing_of_tools_where_none_is_left() -> None:
    """With the last tool, the choice and the wish for parallel calls go."""
    sent = chat(tools=[SEARCH, SEARCH], tool_choice="auto", parallel_tool_calls=True)

    assert set(sent) == {"messages"}


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ({"type": "custom", "name": "patch"}, "patch"),
        ({"type": "function", "name": "f"}, "f"),
        ({"type": "function", "name": "start", "namespace": "team"}, "team__start"),
        ({"type": "function", "name": "start"}, "team__start"),
        ({"type": "custom", "name": "say", "namespace": "team"}, "team__say"),
        ({"type": "local_shell"}, "local_shell"),
        ({"type": "shell"}, "shell"),
        ({"type": "apply_patch"}, "apply_patch"),
    ],
)
def test_choices_of_one_tool(choice: Any, shown: str) -> None:
    """A tool is chosen by the name of its function."""
    sent = chat(tools=ALL, tool_choice=choice)

    assert sent["tool_choice"] == {"type": "function", "function": {"name": shown}}


def test_allowed_tools() -> None:
    """Only allowed tools are declared, by their shown names; hosted ones are not."""
    rows = [
        SEARCH,
        {"type": "custom", "name": "patch"},
        {"type": "function", "name": "start", "namespace": "team"},
        {"type": "shell"},
    ]
    choice = {"type": "allowed_tools", "mode": "required", "tools": rows}

    assert names(*ALL, tool_choice=choice) == ["patch", "team__start", "shell"]
    assert chat(tools=ALL, tool_choice=choice)["tool_choice"] == "required"
    only = {"type": "namespace", "name": "team"}
    assert names(*ALL, tool_choice=only) == ["team__start", "team__say"]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "function"}, "tools[0].name"),
        ({"type": "custom"}, "tools[0].name"),
        ({"type": "custom", "name": ""}, "tools[0].name"),
        ({"name": "f"}, "tools[0].type"),
        ({"type": "namespace", "tools": []}, "tools[0].name"),
        ({**TEAM, "tools": [{"type": "function"}]}, "tools[0].tools[0].name"),
        ({**TEAM, "tools": [{}]}, "tools[0].tools[0].type"),
    ],
)
def test_bad_declarations(tool: Any, param: str) -> None:
    """A tool of a bad shape is refused with its place."""
    with pytest.raises(InvalidRequest) as caught:
        chat(tools=[tool])

    assert caught.value.param == param


# What comes back

ITEMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "custom": (
        "patch",
        json.dumps({"input": '*** Begin "x"\n\U0001f600'}),
        {
            "type": "custom_tool_call",
            "name": "patch",
            "input": '*** Begin "x"\n\U0001f600',
        },
    ),
    "custom, bare text": (
        "patch",
        "*** Begin Patch",
        {"type": "custom_tool_call", "name": "patch", "input": "*** Begin Patch"},
    ),
    "custom, another object": (
        "patch",
        '{"text": "x"}',
        {"type": "custom_tool_call", "name": "patch", "input": '{"text": "x"}'},
    ),
    "custom, empty": (
        "patch",
        '{"input": ""}',
        {"type": "custom_tool_call", "name": "patch", "input": ""},
    ),
    "namespace": (
        "team__start",
        '{"who": "me"}',
        {
            "type": "function_call",
            "namespace": "team",
            "name": "start",
            "arguments": '{"who": "me"}',
        },
    ),
    "custom in a namespace": (
        "team__say",
        '{"input": "hey"}',
        {
            "type": "custom_tool_call",
            "namespace": "team",
            "name": "say",
            "input": "hey",
        },
    ),
    "local_shell": (
        "local_shell",
        '{"command": ["ls"], "timeout_ms": 5}',
        {
            "type": "local_shell_call",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5},
        },
    ),
    "shell": (
        "shell",
        '{"commands": ["ls", "pwd"]}',
        {
            "type": "shell_call",
            "action": {
                "commands": ["ls", "pwd"],
                "timeout_ms": None,
                "max_output_length": None,
            },
        },
    ),
    "apply_patch": (
        "apply_patch",
        '{"operation": {"type": "create_file", "path": "a", "diff": "+x"}}',
        {
            "type": "apply_patch_call",
            "operation": {"type": "create_file", "path": "a", "diff": "+x"},
        },
    ),
    "shell, cut off": (
        "shell",
        '{"commands": ["l',
        {"type": "function_call", "name": "shell", "arguments": '{"commands": ["l'},
    ),
    "apply_patch, no operation": (
        "apply_patch",
        '{"operation": {"type": "chmod", "path": "a"}}',
        {
            "type": "function_call",
            "name": "apply_patch",
            "arguments": '{"operation": {"type": "chmod", "path": "a"}}',
        },
    ),
    "function": (
        "f",
        "{}",
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ),
    "not declared": (
        "g",
        "{}",
        {"type": "function_call", "name": "g", "arguments": "{}"},
    ),
}


def pieces(name: str, arguments: str, index: int = 0) -> list[Chunk]:
    """Return a call, a character a chunk."""
    begun = call(index, id=f"call_{index}", name=name)
    return [begun, *(call(index, arguments=character) for character in arguments)]


@pytest.mark.parametrize("kind", ITEMS)
def test_calls_come_back_as_declared(kind: str) -> None:
    """A call is the item of its tool's type, streamed and whole, however it is cut."""
    name, arguments, item = ITEMS[kind]
    called = [*pieces(name, arguments), chunk("tool_calls")]

    *_, done, completed = streamed(called, tools=ALL)
    response = answered(called, tools=ALL)

    made = {**item, "call_id": "call_0", "status": "completed"}
    (whole,) = (each.to_dict() for each in response.output)
    for shown in (done.item.to_dict(), completed.response.output[0].to_dict(), whole):
        assert {n: v for n, v in shown.items() if n != "id"} == made
    declared = [tool.to_dict() for tool in response.tools]
    assert [tool["type"] for tool in declared] == [tool["type"] for tool in ALL]


@pytest.mark.parametrize("kind", ITEMS)
def test_events_of_calls(kind: str) -> None:
    """Each type of item has its own events, and begins with its names in it."""
    name, arguments, item = ITEMS[kind]

    events = streamed([*pieces(name, arguments), chunk("tool_calls")], tools=ALL)

    added = events[2].item.to_dict()
    for field in ("type", "name", "namespace"):
        assert added.get(field) == item.get(field)
    told = {event.type for event in events[3:-2]}
    growing = {
        "custom_tool_call": "response.custom_tool_call_input",
        "function_call": "response.function_call_arguments",
    }.get(item["type"])
    if item["type"] in COMMANDS:
        assert told == set()
    elif item.get("input") == "":
        assert told == {f"{growing}.done"}
    else:
        assert told == {f"{growing}.delta", f"{growing}.done"}


def test_calls_of_all_types_keep_their_order() -> None:
    """Text and interleaved calls stand where they began."""
    shell, patch = ITEMS["shell"], ITEMS["custom"]
    first, second = pieces(*shell[:2], 0), pieces(*patch[:2], 1)
    mixed = [chunk(content="Now."), first[0], second[0], *second[1:], *first[1:]]

    *_, completed = streamed([*mixed, *pieces("f", "{}", 2), STOP], tools=ALL)

    kinds = [item.type for item in completed.response.output]
    assert kinds == ["message", "shell_call", "custom_tool_call", "function_call"]


def test_custom_calls_of_the_upstream() -> None:
    """An upstream's own custom call is one for the client, its input as it is."""
    begun = {"custom": {"name": "patch", "input": ""}}
    called = [
        chunk(tool_calls=(ToolCallDelta(index=0, id="call_0", extra=extra),))
        for extra in (begun, {"custom": {"input": '{"input"'}})
    ]

    *_, completed = streamed([*called, chunk("tool_calls")], tools=ALL)

    (item,) = completed.response.output
    assert (item.type, item.input) == ("custom_tool_call", '{"input"')


# History


def calls_of(message: Any) -> list[tuple[str, str, Any]]:
    return [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
        for c in message["tool_calls"]
    ]


PAST: list[tuple[dict[str, Any], str, Any]] = [
    (
        {"type": "custom_tool_call", "name": "patch", "input": "*** Begin"},
        "patch",
        {"input": "*** Begin"},
    ),
    (
        {
            "type": "function_call",
            "namespace": "team",
            "name": "start",
            "arguments": '{"a":1}',
        },
        "team__start",
        {"a": 1},
    ),
    (
        {
            "type": "local_shell_call",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        "local_shell",
        {"command": ["ls"], "env": {}},
    ),
    (
        {"type": "shell_call", "action": {"commands": ["ls"], "timeout_ms": None}},
        "shell",
        {"commands": ["ls"]},
    ),
    (
        {
            "type": "apply_patch_call",
            "operation": {"type": "delete_file", "path": "a"},
        },
        "apply_patch",
        {"operation": {"type": "delete_file", "path": "a"}},
    ),
]


@pytest.mark.parametrize("declared", [[], ALL])
@pytest.mark.parametrize(("item", "name", "arguments"), PAST)
def test_past_calls(
    item: dict[str, Any], name: str, arguments: Any, declared: list[Any]
) -> None:
    """Calls of all types go upstream as functions', declared or not, with a result."""
    output = {"type": f"{item['type']}_output", "call_id": "c1", "output": "Success"}
    past = [HELLO, {**item, "call_id": "c1"}, output, {**HELLO, "content": "go on"}]

    user, assistant, tool, last = chat(input=past, tools=declared)["messages"]

    assert (user, last) == (HELLO, {**HELLO, "content": "go on"})
    assert calls_of(assistant) == [("c1", name, arguments)]
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "Success"}


PRINTED = {
    "stdout": "a.txt",
    "stderr": "!",
    "outcome": {"type": "exit", "exit_code": 2},
}
IMAGE = {"type": "input_image", "image_url": "https://x.test/a.png"}
SHOWN = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}


@pytest.mark.parametrize(
    ("output", "text", "media"),
    [
        ("Done.", "Done.", []),
        (None, "", []),
        ([{"type": "input_text", "text": "a"}, IMAGE], "a", [SHOWN]),
        ([PRINTED], "a.txt\n!\n(exit code 2)", []),
        ([{"stdout": "", "outcome": {"type": "timeout"}}], "(timed out)", []),
        ([{"type": "news", "text": "x"}, {"a": 1}], 'x\n{"a":1}', []),
    ],
)
def test_outputs_of_all_shapes(output: Any, text: str, media: list[Any]) -> None:
    """An output is one message with its text; pictures come right after it."""
    past = {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}
    returned = {"type": "shell_call_output", "call_id": "c", "output": output}

    _, tool, *beside = messages(past, returned)

    assert tool == {"role": "tool", "tool_call_id": "c", "content": text}
    assert [part for message in beside for part in message["content"]] == media


@pytest.mark.parametrize("name", ["call_1", "lsh_1"])
def test_local_shell_outputs_by_either_id(name: str) -> None:
    """They have no `call_id`: their id is their call's, or that of its item."""
    past = {
        "type": "local_shell_call",
        "id": "lsh_1",
        "call_id": "call_1",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    }
    returned = {"type": "local_shell_call_output", "id": name, "output": "a.txt"}

    assistant, tool = messages(past, returned)

    assert calls_of(assistant)[0][0] == tool["tool_call_id"] == "call_1"


LEFT_OUT: list[list[dict[str, Any]]] = [
    [{"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}],
    [{"type": "tool_search_call", "call_id": "t", "arguments": {"query": "x"}}],
    [{"type": "mcp_call", "id": "m"}, {"type": "mcp_approval_response"}],
    [
        {"type": "computer_call", "call_id": "p"},
        {"type": "computer_call_output", "call_id": "p", "output": {}},
    ],
    [
        {"type": "news_call", "call_id": "n"},
        {"type": "function_call_output", "call_id": "n", "output": "x"},
    ],
    [{"type": "compaction", "encrypted_content": "x"}, {"type": "never heard of"}],
]


@pytest.mark.parametrize("items", LEFT_OUT)
def test_what_hosted_tools_did(items: list[Any]) -> None:
    """It is left out with what belongs to it: the messages are as without it."""
    part = {"type": "output_text", "text": "found"}
    said = {"type": "message", "role": "assistant", "content": [part], "phase": None}

    made = messages(HELLO, *items, said, {**HELLO, "content": "go on"})

    assert made == [
        HELLO,
        {"role": "assistant", "content": "found"},
        {"role": "user", "content": "go on"},
    ]


def test_nothing_but_what_is_left_out() -> None:
    """There is nothing to answer then, but for an upstream of the same API."""
    request = asked(input=[{"type": "compaction", "encrypted_content": "x"}])

    assert request.hosted.needed == "items of the type 'compaction'"


def test_outputs_without_a_call() -> None:
    """They are the user's words, after the results that do belong to calls."""
    past = [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": ""},
        {"type": "function_call_output", "call_id": "a", "output": "A"},
        {"type": "custom_tool_call_output", "call_id": "lost", "output": "lost"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "B"},
    ]

    assistant, *results, last = messages(HELLO, *past)[1:]

    assert [c[0] for c in calls_of(assistant)] == ["a", "b"]
    assert [m["tool_call_id"] for m in results] == ["a", "b"]
    assert last == {"role": "user", "content": "lost"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "custom_tool_call", "call_id": "c", "input": ""}, "name"),
        ({"type": "custom_tool_call", "name": "f", "input": ""}, "call_id"),
        ({"type": "shell_call", "action": {}}, "call_id"),
        ({"type": "shell_call", "call_id": "c"}, "action"),
        ({"type": "apply_patch_call", "call_id": "c"}, "operation"),
        ({"type": "custom_tool_call_output", "output": ""}, "call_id"),
        ({"type": 5}, "type"),
    ],
)
def test_broken_items(item: dict[str, Any], param: str) -> None:
    """A call without what makes it one is refused with its place."""
    with pytest.raises(InvalidRequest) as caught:
        messages(HELLO, item)

    assert caught.value.param == f"input[1].{param}"


MANY = 8_000


@pytest.mark.parametrize(
    "item",
    [
        {"role": "assistant", "content": "word " * 200},
        {"type": "web_search_call", "id": "ws"},
        {"type": "custom_tool_call_output", "call_id": "x", "output": "word " * 200},
        {"type": "reasoning", "summary": []},
    ],
)
def test_time_grows_as_the_items_do(item: dict[str, Any]) -> None:
    """Conversations are not copied again with each item."""
    begun = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}

    def seconds(count: int) -> float:
        start = time.process_time()
        messages(HELLO, begun, *([item] * count))
        return time.process_time() - start

    small = min(seconds(MANY // 4) for _ in range(2))
    assert seconds(MANY) < 20 * small + 0.5
