"""The items of a response's output, as they grow."""

import uuid
from collections.abc import Mapping
from typing import Literal, NotRequired, TypeAlias, TypedDict

from attrs import Factory, define, evolve, field, frozen

from server.json_types import JSON, JSONMapping, JSONObject, JSONText
from server.wire.opaque import sealed
from server.wire.ordering import is_whole_object
from server.wire.reasoning import joined_details

from .logprobs import TokenLogprob

ItemType = Literal["message", "reasoning", "function_call"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
ReasoningKind = Literal["reasoning_text", "summary_text"]
PartKind = Literal[
    "output_text", "refusal", "reasoning_text", "summary_text", "arguments"
]
PREFIXES: Mapping[ItemType, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
}


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
    arguments: JSONText


class ReasoningItem(TypedDict):
    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[PartPayload]
    content: NotRequired[list[PartPayload]]
    encrypted_content: NotRequired[str]


ItemPayload: TypeAlias = MessageItem | FunctionCallItem | ReasoningItem


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"


@define(eq=False)
class OutputPart:
    """A part of an item, as it grows; a call's arguments are one, too."""

    kind: PartKind
    pieces: list[str] = field(factory=list)
    logprobs: list[TokenLogprob] = field(factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def payload(self) -> PartPayload:
        """Return the part as it stands in its item; arguments do not stand so."""
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
        raise AssertionError("arguments are no part of a content")


@define(eq=False)
class OutputItem:
    """
    One item of the output; *name* and *call_id* are a function call's.

    *blocks*, *beside* and *details* are what the upstream wants back with its
    reasoning.
    """

    type: ItemType
    index: int
    parts: list[OutputPart] = field(factory=list)
    name: str = ""
    call_id: str = ""
    blocks: list[JSON] = field(factory=list)
    beside: JSONObject = field(factory=dict)
    details: list[JSONMapping] = field(factory=list)
    id: str = field(
        default=Factory(lambda item: new_id(PREFIXES[item.type]), takes_self=True)
    )

    @property
    def named(self) -> bool:
        return self.type != "function_call" or bool(self.name)

    @property
    def whole(self) -> bool:
        return self.type != "function_call" or is_whole_object(self.parts[0].pieces)

    def start(self) -> ItemPayload:
        """Return it as it stands in a response before any of its parts has come."""
        empty = evolve(self, parts=[OutputPart("arguments")] if self.name else [])
        return empty.payload("in_progress", opaque=False)

    def payload(self, status: ItemStatus, *, opaque: bool) -> ItemPayload:
        """Return it as a response has it; *opaque*: with what is to be sent back."""
        match self.type:
            case "function_call":
                return self._function_call(status)
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

    def _function_call(self, status: ItemStatus) -> FunctionCallItem:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": self.parts[0].text,
        }

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
        kept = [*self.blocks, *joined_details(self.details)]
        if opaque and (text := sealed(kept, self.beside)):
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
