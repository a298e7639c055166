"""The items of a conversation, turned into the messages of a chat."""

from collections.abc import Mapping, Sequence

from attrs import define, field

from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.reading import make
from server.wire.reasoning import carry_thoughts

from .calls import CALLS, OUTPUTS, PastCall, PastOutput, as_user, call_in, output_in
from .input import InputMessage, InputReasoning, content_of, joined_lines
from .tools import Toolbox
from .turn import AssistantTurn


def messages_of(
    instructions: str | None,
    earlier: Sequence[JSONMapping],
    items: Sequence[JSON],
    toolbox: Toolbox,
) -> tuple[list[JSONObject], str]:
    """
    Return a conversation as a chat's messages; *toolbox* has the tools it may call.

    If all its items are of types that no chat has, return one empty message, and the
    name of such a type; else "" for that. Raises InvalidRequest with the place in
    `input` that is to blame.
    """
    conversation = Conversation(toolbox)
    if instructions:
        conversation.messages.append({"role": "system", "content": instructions})
    for item in earlier:
        conversation.add(item, "previous_response_id")
    for i, item in enumerate(items):
        conversation.add(item, f"input[{i}]")
    messages = conversation.finished()
    if not messages and conversation.left_out:
        nothing = {"role": "user", "content": ""}
        return [nothing], f"items of the type {conversation.left_out!r}"
    return messages, ""


@define(eq=False)
class Conversation:
    """
    The messages of a chat, as items are added.

    An assistant's turn is one message in a chat, and several items here: its text, its
    calls, and its reasoning before them. Pictures and files in a tool's result become
    a message of the user, since a chat takes them from nobody else; so do results whose
    call is nowhere. Items that no chat has, such as what hosted tools did, are left
    out, with what belongs to them.
    """

    toolbox: Toolbox
    # The type of the first item that was left out.
    left_out: str = ""
    messages: list[JSONObject] = field(factory=list)
    _turn: AssistantTurn = field(factory=AssistantTurn)
    _media: list[JSONObject] = field(factory=list)
    # The ids of calls, by the ids that outputs may have for them; "": it is left out.
    _calls: dict[str, str] = field(factory=dict)
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
            case "reasoning":
                self._add_reasoning(item, path)
            case kind if kind in CALLS:
                self._add_call(call_in(item, path, self.toolbox))
            case kind if kind in OUTPUTS:
                self._add_output(output_in(item, path))
            case str():
                self._leave_out(item)
            case _:
                raise InvalidRequest(
                    f"'{path}.type' must be a string.", param=f"{path}.type"
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
        # Not all vendors know the role 'developer', which ranks as the system's does.
        role = "user" if message.role == "user" else "system"
        if role == "user":
            self._starts.append(len(self.messages))
        self.messages.append({"role": role, "content": content_of(message, path)})

    def _add_to_turn(self, message: InputMessage) -> None:
        self._send_media()
        if self._turn.over:
            self._end_turn()  # two messages in a row
        self._turn.say(message)

    def _add_call(self, call: PastCall) -> None:
        self._send_media()
        self._calls[call.id] = call.id
        if call.item:
            self._calls.setdefault(call.item, call.id)
        self._turn.call(call)

    def _add_output(self, output: PastOutput) -> None:
        call = self._calls.get(output.call)
        if call == "":
            return
        self._end_turn()
        if call is None:
            self._media += as_user(output)
            return
        self._media += output.media
        self.messages.append(
            {"role": "tool", "tool_call_id": call, "content": output.text}
        )

    def _leave_out(self, item: JSONMapping) -> None:
        """Leave an item out; if it is a call, its output will be left out, too."""
        self.left_out = self.left_out or item["type"]
        call_id = item.get("call_id")
        if isinstance(call_id, str):
            self._calls.setdefault(call_id, "")

    def _add_reasoning(self, item: JSONMapping, path: str) -> None:
        if self._turn.over:
            self._end_turn()
        reasoning = make(item, InputReasoning, path)
        self._turn.think(reasoning, item.get("encrypted_content"))

    def _end_turn(self) -> None:
        if (message := self._turn.message()) is not None:
            self.messages.append(message)
        self._turn = AssistantTurn()

    def _send_media(self) -> None:
        """Add a user's message with what tools have returned besides text."""
        if not self._media:
            return
        texts = [part["text"] for part in self._media if part["type"] == "text"]
        all_text = len(texts) == len(self._media)
        content = joined_lines(texts) if all_text else self._media
        self.messages.append({"role": "user", "content": content})
        self._media = []
