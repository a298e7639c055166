"""A chat's messages as the input items of a response."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from attrs import define, field

from providers.chat import NOTHING, ChatRequest, ContentPart, Message, ToolCall
from providers.dialects.translation import image_url, parts_of, refused, text_of
from providers.json_types import JSONMapping, JSONObject

from .reasoning import items_from

API = "OpenAI's Responses API"
# Characters of a call's id; other vendors make longer ones.
LONGEST_ID = 64
OUTPUTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
Item = JSONObject


def input_items(
    request: ChatRequest, messages: Sequence[Message], provider: str, role: str
) -> list[Item]:
    """
    Return the last *messages* of a chat as items.

    *provider* is who is asked; only its own sealed reasoning goes with them. *role* is
    what the system is called among items. Raises ProviderRefusedRequest for what the
    API can't say.
    """
    made = _Turns(provider, role)
    sent = request.body.get("messages") or ()
    for i, message in enumerate(messages, len(request.messages) - len(messages)):
        made.add(message, sent[i] if i < len(sent) else NOTHING)
    return made.paired()


@define
class _Turns:
    """
    Items, as messages come in.

    The API answers 400 to a call without its output, and to an output without its
    call. Calls have ids that no other call has, though other vendors begin to count
    anew with each turn.
    """

    provider: str
    role: str
    _items: list[Item] = field(factory=list, init=False)
    # The calls by the ids that the client has for them, each the last one of its id.
    _calls: dict[str, Item] = field(factory=dict, init=False)
    _ids: set[str] = field(factory=set, init=False)
    _answered: set[str] = field(factory=set, init=False)

    def add(self, message: Message, sent: JSONMapping) -> None:
        match message.role:
            case "function":
                raise refused(f"{API} has nothing for messages of the role 'function'")
            case "assistant":
                self._assistant(message, sent)
            case "tool":
                self._output(message)
            case "user":
                self._say("user", _content(message))
            case _:
                self._say(self.role, text_of(message))

    def paired(self) -> list[Item]:
        """Return the items, an empty output for each call that has none."""
        items: list[Item] = []
        missing: list[Item] = []
        for item in self._items:
            if item.get("type") not in OUTPUTS:
                items += missing
                missing = []
            elif item["call_id"] not in self._answered:
                missing.append(_output_of(item, ""))
            items.append(item)
        return items + missing

    def _say(self, role: str, content: str | list[Item]) -> None:
        if content:
            self._items.append({"role": role, "content": content})

    def _assistant(self, message: Message, sent: JSONMapping) -> None:
        calls = message.tool_calls or ()
        said = _said(message)
        if not said and not calls:
            return  # reasoning that has led to nothing is refused
        self._items += items_from(sent, self.provider)
        self._say("assistant", said)
        raw = sent.get("tool_calls") or ()
        for i, call in enumerate(calls):
            self._call(call, raw[i] if i < len(raw) else NOTHING)

    def _call(self, call: ToolCall, sent: JSONMapping) -> None:
        item: Item = {"type": "function_call", "call_id": self._new_id(call.id)}
        custom = sent.get("custom")
        if call.function is not None:
            arguments = call.function.arguments or "{}"
            item |= {"name": call.function.name, "arguments": arguments}
        elif isinstance(custom, Mapping) and custom.get("name"):
            item["type"] = "custom_tool_call"
            item |= {"name": custom["name"], "input": custom.get("input") or ""}
        else:
            raise refused(f"{API} has nothing for tool calls of the type {call.type!r}")
        self._calls[call.id] = item
        self._items.append(item)

    def _new_id(self, theirs: str) -> str:
        """Return an id that fits; the same history always has the same ids."""
        ours, again = theirs, 0
        while not ours or len(ours) > LONGEST_ID or ours in self._ids:
            ours = f"call_{sha256(f'{theirs} {again}'.encode()).hexdigest()[:24]}"
            again += 1
        self._ids.add(ours)
        return ours

    def _output(self, message: Message) -> None:
        call = self._calls.get(message.tool_call_id or "")
        if call is None or call["call_id"] in self._answered:
            # Its call has been left out of the history: what it says is kept.
            self._say("user", _content(message))
            return
        self._answered.add(call["call_id"])
        self._items.append(_output_of(call, _content(message)))


def _output_of(call: Item, content: str | list[Item]) -> Item:
    kind = OUTPUTS[call["type"]]
    return {"type": kind, "call_id": call["call_id"], "output": content}


def _said(message: Message) -> str | list[Item]:
    """Return what an assistant has said; a refusal is a part of its own."""
    parts = parts_of(message)
    refusals = [part.refusal for part in parts if part.refusal]
    if message.refusal:
        refusals.append(message.refusal)
    texts = [part.text for part in parts if part.text]
    if not refusals:
        return "".join(texts)
    said = [{"type": "output_text", "text": text} for text in texts]
    return said + [{"type": "refusal", "refusal": refusal} for refusal in refusals]


def _content(message: Message) -> str | list[Item]:
    """Return a content as text where it is no more: small servers take no parts."""
    parts = parts_of(message)
    if all(part.type == "text" for part in parts):
        return text_of(message)
    return [_part(part) for part in parts]


def _part(part: ContentPart) -> Item:
    match part.type:
        case "text" | "refusal":
            return {"type": "input_text", "text": part.text or part.refusal or ""}
        case "image_url":
            detail = (part.image_url or NOTHING).get("detail") or "auto"
            return {
                "type": "input_image",
                "image_url": image_url(part),
                "detail": detail,
            }
        case "file":
            return _file(part.file or NOTHING)
        case "input_audio":
            sound = part.input_audio or NOTHING
            return {"type": "input_audio", "input_audio": dict(sound)}
    raise refused(f"{API} has nothing for content parts of the type {part.type!r}")


def _file(file: JSONMapping) -> Item:
    names = ("file_id", "file_data", "filename")
    item = {name: file[name] for name in names if file.get(name)}
    if "file_id" in item:
        return {"type": "input_file", "file_id": item["file_id"]}
    if "file_data" not in item:
        raise refused("a file part has neither file_data nor a file_id")
    return {"type": "input_file", "filename": "document", **item}
