"""The items of a response's output, as they grow."""

import uuid
from typing import cast

from attrs import define, evolve, field, frozen

from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.custom import input_in
from server.wire.opaque import sealed
from server.wire.ordering import is_whole_object
from server.wire.reasoning import joined_details

from .commands import COMMANDS, command_in
from .logprobs import TokenLogprob
from .payloads import (
    COMMAND_TYPES,
    PREFIXES,
    TYPES_OF_CALLS,
    CommandItem,
    CustomCallItem,
    FunctionCallItem,
    ItemPayload,
    ItemStatus,
    ItemType,
    PartKind,
    PartPayload,
    ReasoningItem,
    ReasoningKind,
)
from .tools import ShownTool


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"


@define(eq=False)
class OutputPart:
    """
    A part of an item, as it grows; a call's arguments are a part, too.

    *wrapped*: the input of a custom tool's call comes as the arguments of the function
    that the model is shown in the tool's place.
    """

    kind: PartKind
    pieces: list[str] = field(factory=list)
    logprobs: list[TokenLogprob] = field(factory=list)
    wrapped: bool = False

    @property
    def text(self) -> str:
        text = "".join(self.pieces)
        return input_in(text) if self.wrapped else text

    def payload(self) -> PartPayload:
        """Return the part as it stands in a content; arguments never do."""
        match self.kind:
            case "refusal":
                return {"type": "refusal", "refusal": self.text}
            case "output_text":
                return {
                    "type": "output_text",
                    "text": self.text,
                    "annotations": [],
                    "logprobs": self.logprobs,
                }
            case "reasoning_text" | "summary_text" as kind:
                return {"type": kind, "text": self.text}
        raise AssertionError(f"{self.kind} is no part of a content")


@define(eq=False)
class OutputItem:
    """
    One item of the output; *name*, *call_id* and *tool* are a call's.

    *name* is the one that the model was shown, *tool* the tool that was declared under
    it, if any was. *blocks*, *beside* and *details* are what the upstream wants back
    with its reasoning.
    """

    type: ItemType
    index: int
    parts: list[OutputPart] = field(factory=list)
    name: str = ""
    call_id: str = ""
    tool: ShownTool | None = None
    blocks: list[JSON] = field(factory=list)
    beside: JSONObject = field(factory=dict)
    details: list[JSONMapping] = field(factory=list)
    key: str = field(factory=lambda: uuid.uuid4().hex)

    @property
    def id(self) -> str:
        return f"{PREFIXES[self.type]}_{self.key}"

    @property
    def has_name(self) -> bool:
        if not self.is_call:
            return True
        return bool(self.name) and (self.type not in COMMAND_TYPES or self.whole)

    @property
    def whole(self) -> bool:
        if not self.is_call:
            return True
        part = self.parts[0]
        plain_input = part.kind == "input" and not part.wrapped
        return plain_input or is_whole_object(part.pieces)

    @property
    def is_call(self) -> bool:
        return self.type in TYPES_OF_CALLS

    def settle(self) -> None:
        """Become a function's call, if the arguments are no command's."""
        if self.type in COMMAND_TYPES and self._command() is None:
            self.type, self.tool = "function_call", None

    def start(self) -> ItemPayload:
        """Return the item as it is shown before any of its parts has come."""
        if self.type in COMMAND_TYPES:
            return self.payload("in_progress", opaque=False)
        parts = [OutputPart(self.parts[0].kind)] if self.is_call else []
        return evolve(self, parts=parts).payload("in_progress", opaque=False)

    def payload(self, status: ItemStatus, *, opaque: bool) -> ItemPayload:
        """Return the item as a response has it; *opaque*: with `encrypted_content`."""
        match self.type:
            case "reasoning":
                return self._reasoning(status, opaque=opaque)
            case "message":
                return {
                    "id": self.id,
                    "type": "message",
                    "status": status,
                    "role": "assistant",
                    "content": [part.payload() for part in self.parts],
                }
            case "function_call":
                return self._function_call(status)
            case "custom_tool_call":
                return self._custom_call(status)
            case kind:
                command = self._command() or {}
                return cast(
                    "CommandItem",
                    {
                        "id": self.id,
                        "type": kind,
                        "status": status,
                        "call_id": self.call_id,
                        **command,
                    },
                )

    def _function_call(self, status: ItemStatus) -> FunctionCallItem:
        item: FunctionCallItem = {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self._declared_name,
            "arguments": self.parts[0].text,
        }
        if self.tool is not None and self.tool.namespace:
            item["namespace"] = self.tool.namespace
        return item

    def _custom_call(self, status: ItemStatus) -> CustomCallItem:
        item: CustomCallItem = {
            "id": self.id,
            "type": "custom_tool_call",
            "status": status,
            "call_id": self.call_id,
            "name": self._declared_name,
            "input": self.parts[0].text,
        }
        if self.tool is not None and self.tool.namespace:
            item["namespace"] = self.tool.namespace
        return item

    @property
    def _declared_name(self) -> str:
        return self.name if self.tool is None else self.tool.name

    def _command(self) -> JSONObject | None:
        kind = self.tool.kind if self.tool is not None else None
        if kind not in COMMANDS:
            return None
        return command_in(kind, self.parts[0].text)

    def _reasoning(self, status: ItemStatus, *, opaque: bool) -> ReasoningItem:
        summary = self._of_kind("summary_text")
        item: ReasoningItem = {
            "id": self.id,
            "type": "reasoning",
            "status": status,
            "summary": summary,
        }
        if content := self._of_kind("reasoning_text"):
            item["content"] = content
        blocks = [*self.blocks, *joined_details(self.details)]
        if opaque and (text := sealed(blocks, self.beside)):
            item["encrypted_content"] = text
        return item

    def _of_kind(self, kind: ReasoningKind) -> list[PartPayload]:
        return [part.payload() for part in self.parts if part.kind == kind]


@frozen
class OutputPiece:
    """What one chunk adds to one part of one item."""

    item: OutputItem
    part: OutputPart
    text: str
    logprobs: list[TokenLogprob] = field(factory=list)
