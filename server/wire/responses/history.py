"""The items of a conversation, turned into the messages of a chat."""

from collections.abc import Mapping, Sequence

from attrs import define, field

from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.opaque import BESIDE_CALL, BLOCKS, is_detail, unsealed
from server.wire.reading import make
from server.wire.reasoning import DETAILS, THOUGHT, carry_thoughts

from .input import (
    TEXTS,
    InputFunctionCall,
    InputFunctionCallOutput,
    InputMessage,
    InputReasoning,
    content_of,
    joined_lines,
    part_of,
)


def messages_of(
    instructions: str | None, earlier: Sequence[JSONMapping], items: Sequence[JSON]
) -> list[JSONObject]:
    """
    Return a conversation as a chat's messages.

    Raises InvalidRequest with the place in `input` to blame.
    """
    conversation = Conversation()
    if instructions:
        conversation.messages.append({"role": "system", "content": instructions})
    for item in earlier:
        conversation.add(item, "previous_response_id")
    for i, item in enumerate(items):
        conversation.add(item, f"input[{i}]")
    return conversation.finished()


@define(eq=False)
class Conversation:
    """
    The messages of a chat, as items are added.

    An assistant's turn is one message in a chat, and several items here: its text, its
    calls, and its reasoning before them. Pictures and files in a tool's result become
    a message of the user, since a chat takes them from nobody else.
    """

    messages: list[JSONObject] = field(factory=list)
    _turn: JSONObject | None = None
    _media: list[JSONObject] = field(factory=list)
    _blocks: list[JSON] = field(factory=list)
    _beside: JSONObject = field(factory=dict)
    _reasoning: list[str] = field(factory=list)
    # Where the messages of the user stand.
    _starts: list[int] = field(factory=list)

    def add(self, item: JSON, path: str) -> None:
        """Take in *item*; raises InvalidRequest with *path* if it is no item."""
        if not isinstance(item, Mapping):
            raise InvalidRequest(f"'{path}' must be an object.", param=path)
        match item.get("type"):
            case "message" | None:
                message = make(item, InputMessage, path)
                if message.role == "assistant":
                    self._add_to_turn(message)
                else:
                    self._add_message(message, path)
            case "function_call":
                self._add_call(make(item, InputFunctionCall, path))
            case "function_call_output":
                self._add_output(make(item, InputFunctionCallOutput, path), path)
            case "reasoning":
                self._add_reasoning(item, path)
            case other:
                raise InvalidRequest(
                    f"'{path}.type': items of the type {other!r} can't be understood"
                    " here.",
                    param=f"{path}.type",
                )

    def finished(self) -> list[JSONObject]:
        """Return the messages of all items that were added."""
        self._end_turn()
        self._send_media()
        carry_thoughts(self.messages, self._starts)
        return self.messages

    def _add_message(self, message: InputMessage, path: str) -> None:
        self._end_turn()
        self._send_media()
        # Not all vendors know the role 'developer', which is the system's by its rank.
        role = "user" if message.role == "user" else "system"
        if role == "user":
            self._starts.append(len(self.messages))
        self.messages.append({"role": role, "content": content_of(message, path)})

    def _add_to_turn(self, message: InputMessage) -> None:
        self._send_media()
        if self._turn is not None and "tool_calls" not in self._turn:
            self._end_turn()  # two messages in a row
        turn = self._open_turn()
        if isinstance(message.content, str):
            text, refusal = message.content, ""
        else:
            text = joined_lines(p.text for p in message.content if p.type in TEXTS)
            refusal = joined_lines(p.refusal for p in message.content)
        if text:
            turn["content"] = joined_lines((turn["content"], text))
        if refusal:
            turn["refusal"] = refusal

    def _add_call(self, call: InputFunctionCall) -> None:
        self._send_media()
        turn = self._open_turn()
        function = {"name": call.name, "arguments": call.arguments}
        chat_call = {"id": call.call_id, "type": "function", "function": function}
        if call.call_id in self._beside:
            chat_call[BESIDE_CALL] = self._beside[call.call_id]
        turn.setdefault("tool_calls", []).append(chat_call)

    def _add_output(self, output: InputFunctionCallOutput, path: str) -> None:
        self._end_turn()
        text = output.output
        if not isinstance(text, str):
            parts = [part_of(part, f"{path}.output") for part in text]
            self._media += [part for part in parts if part["type"] != "text"]
            text = joined_lines(part.get("text") for part in parts)
        self.messages.append(
            {"role": "tool", "tool_call_id": output.call_id, "content": text}
        )

    def _add_reasoning(self, item: JSONMapping, path: str) -> None:
        if self._turn is not None and "tool_calls" not in self._turn:
            self._end_turn()
        blocks, beside = unsealed(item.get("encrypted_content"))
        self._blocks += blocks
        self._beside |= beside
        reasoning = make(item, InputReasoning, path)
        parts = reasoning.content or reasoning.summary or ()
        self._reasoning += [part.text for part in parts if part.text]

    def _open_turn(self) -> JSONObject:
        if self._turn is None:
            self._turn = {"role": "assistant", "content": None}
        return self._turn

    def _end_turn(self) -> None:
        turn = self._turn
        # An answer that was cut off during its reasoning leaves an empty turn.
        if turn is not None and turn != {"role": "assistant", "content": None}:
            turn |= _by_field(self._blocks)
            if self._reasoning:
                # Those that refuse it list `messages.reasoning_content` as unsupported.
                turn[THOUGHT] = "\n".join(self._reasoning)
            self.messages.append(turn)
        self._turn, self._blocks, self._beside, self._reasoning = None, [], {}, []

    def _send_media(self) -> None:
        """Have the user send what tools have returned besides text."""
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
            self._media = []


def _by_field(blocks: Sequence[JSON]) -> JSONObject:
    """Return what was sealed under the fields in which its upstreams have it."""
    details = [block for block in blocks if is_detail(block)]
    signed = [block for block in blocks if not is_detail(block)]
    fields = {BLOCKS: signed, DETAILS: details}
    return {name: kept for name, kept in fields.items() if kept}
