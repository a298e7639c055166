"""An assistant's turn: one message in a chat, several items in the Responses API."""

from collections.abc import Sequence

from attrs import define, field

from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.opaque import BESIDE_CALL, BLOCKS, is_detail, unsealed
from server.wire.reasoning import DETAILS, THOUGHT

from .calls import PastCall
from .input import TEXTS, InputMessage, InputReasoning, joined_lines


@define(eq=False)
class AssistantTurn:
    """
    The reasoning, texts and calls of an assistant's turn, as items are added.

    *open*: it has a text or a call, so that reasoning would begin another turn.
    """

    open: bool = False
    calls: list[JSONObject] = field(factory=list)
    _texts: list[str] = field(factory=list)
    _refusal: str = ""
    _reasoning: list[str] = field(factory=list)
    _blocks: list[JSON] = field(factory=list)
    _beside: JSONObject = field(factory=dict)

    @property
    def over(self) -> bool:
        """Whether a text or reasoning begins another turn: this one has no calls."""
        return self.open and not self.calls

    def say(self, message: InputMessage) -> None:
        self.open = True
        if isinstance(message.content, str):
            text, refusal = message.content, ""
        else:
            text = joined_lines(p.text for p in message.content if p.type in TEXTS)
            refusal = joined_lines(p.refusal for p in message.content)
        self._texts.append(text)
        self._refusal = refusal or self._refusal

    def call(self, call: PastCall) -> None:
        self.open = True
        chat_call = call.payload()
        if call.id in self._beside:
            chat_call[BESIDE_CALL] = self._beside[call.id]
        self.calls.append(chat_call)

    def think(self, reasoning: InputReasoning, sealed: JSON) -> None:
        blocks, beside = unsealed(sealed)
        self._blocks += blocks
        self._beside |= beside
        parts = reasoning.content or reasoning.summary or ()
        self._reasoning += [part.text for part in parts if part.text]

    def message(self) -> JSONObject | None:
        """Return the message; None for a turn that was cut off during its reasoning."""
        text = joined_lines(self._texts)
        if not (text or self.calls or self._refusal):
            return None
        message: JSONObject = {"role": "assistant", "content": text or None}
        if self.calls:
            message["tool_calls"] = self.calls
        if self._refusal:
            message["refusal"] = self._refusal
        message |= _by_field(self._blocks)
        if self._reasoning:
            # Vendors that refuse it have it among their `unsupported_fields`.
            message[THOUGHT] = "\n".join(self._reasoning)
        return message


def _by_field(blocks: Sequence[JSON]) -> JSONMapping:
    """Return unsealed *blocks* under the fields in which their upstreams want them."""
    details = [block for block in blocks if is_detail(block)]
    signed = [block for block in blocks if not is_detail(block)]
    fields = {BLOCKS: signed, DETAILS: details}
    return {name: value for name, value in fields.items() if value}
