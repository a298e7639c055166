"""Calls and their outputs among a request's items, as a chat has them."""

from collections.abc import Mapping

import orjson
from attrs import field, frozen

from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.reading import make

from .commands import CommandKind
from .input import (
    TEXTS,
    InputCommandCall,
    InputCustomCall,
    InputFunctionCall,
    InputFunctionCallOutput,
    InputPart,
    InputToolOutput,
    joined_lines,
    part_of,
)
from .tools import Toolbox

COMMAND_CALLS: Mapping[str, CommandKind] = {
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
}
CALLS = ("function_call", "custom_tool_call", *COMMAND_CALLS)
OUTPUTS = tuple(f"{kind}_output" for kind in CALLS)
# The parts of an output that a chat has a place for.
PARTS = (*TEXTS, "input_image", "input_file", "input_audio")


@frozen
class PastCall:
    """A call with its id; outputs may name it by its item's own id, *item*, instead."""

    id: str
    name: str
    arguments: str
    item: str | None = None

    def payload(self) -> JSONObject:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@frozen
class PastOutput:
    """What a call has returned: its text, and pictures and files beside it."""

    call: str
    text: str
    media: list[JSONObject] = field(factory=list)


def call_in(item: JSONMapping, path: str, toolbox: Toolbox) -> PastCall:
    """
    Return a call under the name that the model is shown.

    Raises InvalidRequest with *path* if it lacks something.
    """
    match item["type"]:
        case "function_call":
            call = make(item, InputFunctionCall, path)
            name = toolbox.name_of(call.name, call.namespace or "")
            return PastCall(call.call_id, name, call.arguments)
        case "custom_tool_call":
            free = make(item, InputCustomCall, path)
            name = toolbox.name_of(free.name, free.namespace or "")
            return PastCall(free.call_id, name, _written({"input": free.input}))
    kind = COMMAND_CALLS[item["type"]]
    command = make(item, InputCommandCall, path)
    call_id = _id(command.call_id, command.id, path)
    arguments = _written(_arguments(kind, command, path))
    return PastCall(call_id, toolbox.command_name(kind), arguments, command.id)


def output_in(item: JSONMapping, path: str) -> PastOutput:
    """Return what a call has returned; raises InvalidRequest with *path*."""
    if item["type"] == "function_call_output":
        returned = make(item, InputFunctionCallOutput, path)
        if isinstance(returned.output, str):
            return PastOutput(returned.call_id, returned.output)
        parts = [part_of(part, f"{path}.output") for part in returned.output]
        return _split(returned.call_id, parts)
    other = make(item, InputToolOutput, path)
    call_id = _id(other.call_id, other.id, path)
    if not isinstance(other.output, tuple):
        return PastOutput(call_id, other.output or other.status or "")
    parts = [_part(part, f"{path}.output") for part in other.output]
    return _split(call_id, parts)


def as_user(output: PastOutput) -> list[JSONObject]:
    """Return the content of an output without a call as parts of a user's message."""
    text = [{"type": "text", "text": output.text}] if output.text else []
    return [*text, *output.media]


def _split(call: str, parts: list[JSONObject]) -> PastOutput:
    media = [part for part in parts if part["type"] != "text"]
    return PastOutput(call, joined_lines(part.get("text") for part in parts), media)


def _part(part: JSONMapping, path: str) -> JSONObject:
    """Return a part of a chat's content; anything else becomes a part with its text."""
    if part.get("type") in PARTS:
        return part_of(make(part, InputPart, path), path)
    return {"type": "text", "text": _text_of(part)}


def _text_of(part: JSONMapping) -> str:
    """Return the text of what a shell has printed, or of anything else."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if not {"stdout", "stderr"} & part.keys():
        return _written(part)
    printed = [str(part.get(name) or "") for name in ("stdout", "stderr")]
    return joined_lines([*printed, _outcome(part.get("outcome"))])


def _outcome(outcome: JSON) -> str:
    if not isinstance(outcome, dict):
        return ""
    if outcome.get("type") == "timeout":
        return "(timed out)"
    code = outcome.get("exit_code")
    return f"(exit code {code})" if code else ""


def _arguments(kind: CommandKind, call: InputCommandCall, path: str) -> JSONMapping:
    """Return a command's arguments, as the model writes them."""
    name = "operation" if kind == "apply_patch" else "action"
    action = call.operation if kind == "apply_patch" else call.action
    if action is None:
        raise InvalidRequest(f"'{path}.{name}' is missing.", param=f"{path}.{name}")
    if kind == "apply_patch":
        return {"operation": action}
    return {k: v for k, v in action.items() if k != "type" and v is not None}


def _id(call_id: str | None, item_id: str | None, path: str) -> str:
    name = call_id or item_id
    if not name:
        raise InvalidRequest(f"'{path}.call_id' is missing.", param=f"{path}.call_id")
    return name


def _written(value: JSONMapping) -> str:
    return orjson.dumps(value).decode()
