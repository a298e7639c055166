"""The items of a response's output as JSON objects, and the words in them."""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypeAlias, TypedDict

from server.json_types import JSONObject, JSONText

from .commands import COMMANDS
from .logprobs import TokenLogprob
from .tools import ToolKind

CallType = Literal[
    "function_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
]
ItemType = Literal["message", "reasoning", CallType]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
ReasoningKind = Literal["reasoning_text", "summary_text"]
PartKind = Literal[
    "output_text", "refusal", "reasoning_text", "summary_text", "arguments", "input"
]
# What is no part of a content: a call's, of which it has one.
OF_CALLS = ("arguments", "input")
PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "local_shell_call": "lsh",
    "shell_call": "sh",
    "apply_patch_call": "apc",
}
CALL_TYPES: Mapping[ToolKind, CallType] = {
    "function": "function_call",
    "custom": "custom_tool_call",
    "local_shell": "local_shell_call",
    "shell": "shell_call",
    "apply_patch": "apply_patch_call",
}
COMMAND_TYPES = tuple(CALL_TYPES[kind] for kind in COMMANDS)
TYPES_OF_CALLS = tuple(CALL_TYPES.values())


class OutputTextPart(TypedDict):
    type: Literal["output_text"]
    text: str
    annotations: list[JSONObject]
    logprobs: list[TokenLogprob]


class RefusalPart(TypedDict):
    type: Literal["refusal"]
    refusal: str


class ReasoningPart(TypedDict):
    type: ReasoningKind
    text: str


PartPayload: TypeAlias = OutputTextPart | RefusalPart | ReasoningPart


class MessageItem(TypedDict):
    id: str
    type: Literal["message"]
    status: ItemStatus
    role: Literal["assistant"]
    content: list[PartPayload]


class FunctionCallItem(TypedDict):
    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    namespace: NotRequired[str]
    arguments: JSONText


class CustomCallItem(TypedDict):
    id: str
    type: Literal["custom_tool_call"]
    status: ItemStatus
    call_id: str
    name: str
    namespace: NotRequired[str]
    input: str


class CommandItem(TypedDict):
    """A call of what runs on the client's machine: an `action` or an `operation`."""

    id: str
    type: Literal["local_shell_call", "shell_call", "apply_patch_call"]
    status: ItemStatus
    call_id: str
    action: NotRequired[JSONObject]
    operation: NotRequired[JSONObject]


class ReasoningItem(TypedDict):
    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[PartPayload]
    content: NotRequired[list[PartPayload]]
    encrypted_content: NotRequired[str]


ItemPayload: TypeAlias = (
    MessageItem | FunctionCallItem | CustomCallItem | CommandItem | ReasoningItem
)
