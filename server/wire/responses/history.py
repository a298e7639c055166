"""The items of a conversation, turned into the messages of a chat."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field, frozen
from attrs.validators import in_, min_len

from server.errors import InvalidRequest
from server.wire.reading import make
from server.wire.reasoning import DETAILS, THOUGHT, carry_thoughts

from .opaque import BESIDE_CALL, BLOCKS, is_detail, unsealed

Item: TypeAlias = Mapping[str, Any]
Body: TypeAlias = dict[str, Any]
ROLES = ("user", "assistant", "system", "developer")
TEXTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text")


@frozen(kw_only=True)
class Part:
    """One part of an item's content."""

    type: str = field(validator=min_len(1))
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: Mapping[str, Any] | None = None


@frozen(kw_only=True)
class InputMessage:
    role: str = field(validator=in_(ROLES))
    content: str | tuple[Part, ...]


@frozen(kw_only=True)
class FunctionCall:
    call_id: str = field(validator=min_len(1))
    name: str = field(validator=min_len(1))
    arguments: str


@frozen(kw_only=True)
class Thought:
    summary: tuple[Part, ...] | None = None
    content: tuple[Part, ...] | None = None


@frozen(kw_only=True)
class FunctionCallOutput:
    call_id: str = field(validator=min_len(1))
    output: str | tuple[Part, ...]


def reference_in(item: Any) -> str | None:
    """Return the id of the stored item that *item* refers to, if that is all it is."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    bare = item.get("type") is None and "role" not in item
    return item["id"] if bare or item.get("type") == "item_reference" else None


def thought_in(item: Any) -> str | None:
    """Return the id of a reasoning item that came without what its upstream wants."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    bare = item.get("type") == "reasoning" and not item.get("encrypted_content")
    return item["id"] if bare else None


def messages_of(
    instructions: str | None, earlier: Sequence[Item], items: Sequence[Any]
) -> list[Body]:
    """
    Return a conversation as a chat's messages.

    Raises InvalidRequest with the place in `input` to blame.
    """
    made = _Conversation()
    if instructions:
        made.messages.append({"role": "system", "content": instructions})
    for item in earlier:
        made.add(item, "previous_response_id")
    for i, item in enumerate(items):
        made.add(item, f"input[{i}]")
    return made.finished()


@define(eq=False)
class _Conversation:
    """
    Messages, as items come in.

    An assistant's turn is one message in a chat: its text, its calls, and what it
    thought before them are several items. What a tool's result shows besides text, a
    chat takes from its user only.
    """

    messages: list[Body] = field(factory=list)
    _turn: Body | None = None
    _shown: list[Body] = field(factory=list)
    _blocks: list[Any] = field(factory=list)
    _beside: Body = field(factory=dict)
    _thoughts: list[str] = field(factory=list)
    # Where the user's messages stand.
    _starts: list[int] = field(factory=list)

    def add(self, item: Any, path: str) -> None:
        if not isinstance(item, Mapping):
            raise InvalidRequest(f"'{path}' must be an object.", param=path)
        match item.get("type"):
            case "message" | None:
                message = make(item, InputMessage, path)
                if message.role == "assistant":
                    self._say(message)
                else:
                    self._message(message, path)
            case "function_call":
                self._call(make(item, FunctionCall, path))
            case "function_call_output":
                self._output(make(item, FunctionCallOutput, path), path)
            case "reasoning":
                self._reasoning(item, path)
            case other:
                raise InvalidRequest(
                    f"'{path}.type': items of the type {other!r} can't be understood"
                    " here.",
                    param=f"{path}.type",
                )

    def finished(self) -> list[Body]:
        self._end_turn()
        self._show()
        carry_thoughts(self.messages, self._starts)
        return self.messages

    def _message(self, message: InputMessage, path: str) -> None:
        self._end_turn()
        self._show()
        # Not all vendors know the role 'developer', which is the system's by its rank.
        role = "user" if message.role == "user" else "system"
        if role == "user":
            self._starts.append(len(self.messages))
        self.messages.append({"role": role, "content": _content(message, path)})

    def _say(self, message: InputMessage) -> None:
        self._show()
        if self._turn is not None and "tool_calls" not in self._turn:
            self._end_turn()  # two messages in a row
        turn = self._open_turn()
        if isinstance(message.content, str):
            text, refusal = message.content, ""
        else:
            text = _joined(p.text for p in message.content if p.type in TEXTS)
            refusal = _joined(p.refusal for p in message.content)
        if text:
            turn["content"] = _joined((turn["content"], text))
        if refusal:
            turn["refusal"] = refusal

    def _call(self, call: FunctionCall) -> None:
        self._show()
        turn = self._open_turn()
        made: Body = {"id": call.call_id, "type": "function"}
        made["function"] = {"name": call.name, "arguments": call.arguments}
        if call.call_id in self._beside:
            made[BESIDE_CALL] = self._beside[call.call_id]
        turn.setdefault("tool_calls", []).append(made)

    def _output(self, output: FunctionCallOutput, path: str) -> None:
        self._end_turn()
        said = output.output
        if not isinstance(said, str):
            parts = [_part(part, f"{path}.output") for part in said]
            self._shown += [part for part in parts if part["type"] != "text"]
            said = _joined(part.get("text") for part in parts)
        self.messages.append(
            {"role": "tool", "tool_call_id": output.call_id, "content": said}
        )

    def _reasoning(self, item: Item, path: str) -> None:
        if self._turn is not None and "tool_calls" not in self._turn:
            self._end_turn()
        blocks, beside = unsealed(item.get("encrypted_content"))
        self._blocks += blocks
        self._beside |= beside
        thought = make(item, Thought, path)
        parts = thought.content or thought.summary or ()
        self._thoughts += [part.text for part in parts if part.text]

    def _open_turn(self) -> Body:
        if self._turn is None:
            self._turn = {"role": "assistant", "content": None}
        return self._turn

    def _end_turn(self) -> None:
        turn = self._turn
        # One that says nothing, as an answer cut off in its thoughts, is no message.
        if turn is not None and turn != {"role": "assistant", "content": None}:
            turn |= _kept(self._blocks)
            if self._thoughts:
                # Who refuses it has `messages.reasoning_content` among its
                # unsupported fields.
                turn[THOUGHT] = "\n".join(self._thoughts)
            self.messages.append(turn)
        self._turn, self._blocks, self._beside, self._thoughts = None, [], {}, []

    def _show(self) -> None:
        """Have the user send what the tools' results show."""
        if self._shown:
            self.messages.append({"role": "user", "content": self._shown})
            self._shown = []


def _kept(blocks: Sequence[Any]) -> dict[str, list[Any]]:
    """Return what was sealed by the fields that its upstreams have it in."""
    details = [block for block in blocks if is_detail(block)]
    signed = [block for block in blocks if not is_detail(block)]
    found = {BLOCKS: signed, DETAILS: details}
    return {name: blocks for name, blocks in found.items() if blocks}


def _content(message: InputMessage, path: str) -> str | list[Body]:
    """Return a content as text where it is no more: not all vendors take parts."""
    if isinstance(message.content, str):
        return message.content
    parts = [_part(part, f"{path}.content") for part in message.content]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(texts) == len(parts) and (len(texts) == 1 or message.role != "user"):
        return _joined(texts)
    return parts


def _part(part: Part, path: str) -> Body:
    match part.type:
        case kind if kind in TEXTS:
            return {"type": "text", "text": part.text or ""}
        case "input_image" if part.image_url:
            image = {"url": part.image_url}
            if part.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.file_data or part.file_id:
            return {"type": "file", "file": _file(part)}
        case "input_audio" if part.input_audio:
            return {"type": "input_audio", "input_audio": dict(part.input_audio)}
        case "input_image":
            why = "an image must have an 'image_url': no files are kept here"
        case "input_file":
            why = "a file must be sent as 'file_data': none is fetched from a URL"
        case other:
            why = f"parts of the type {other!r} can't be understood here"
    raise InvalidRequest(f"'{path}': {why}.", param=path)


def _file(part: Part) -> Body:
    fields = {n: getattr(part, n) for n in ("file_data", "file_id", "filename")}
    return {name: value for name, value in fields.items() if value}


def _joined(texts: Any) -> str:
    return "\n".join(filter(None, texts))
