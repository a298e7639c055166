"""The messages of a chat as the system's text and the turns of a conversation."""

from collections.abc import Mapping, Sequence

from providers.chat import ChatRequest, ContentPart, Message, ToolCall
from providers.dialects.translation import (
    called,
    json_schema,
    parts_of,
    refused,
    system_and_turns,
)
from providers.json_types import JSONMapping, JSONObject

from .media import document, picture

API = "Anthropic's Messages API"
JSON_ONLY = "Answer with one JSON object and with nothing else."
MARK = "cache_control"
Block = JSONObject


def conversation(request: ChatRequest, *, unsigned: bool) -> JSONObject:
    """
    Return the `system` and the `messages` of a chat; *unsigned*: thoughts that nobody
    has signed go back, too.

    Raises ProviderRefusedRequest for what the API can't say, or a chat without a word.
    """
    _, messages = system_and_turns(request.messages)
    leading = len(request.messages) - len(messages)
    system = _system(request, leading)
    turns = _turns(request, leading, unsigned=unsigned)
    if not turns and system:
        # The API wants a turn, and to be told something is one.
        turns, system = [{"role": "user", "content": system}], []
    if not turns:
        raise refused("no message has any content")
    if json_schema(request) == {}:
        system.append(_text(JSON_ONLY))
    if not system:
        return {"messages": turns}
    return {"system": _as_text(system), "messages": turns}


def _system(request: ChatRequest, leading: int) -> list[Block]:
    blocks = []
    for i, message in enumerate(request.messages[:leading]):
        texts = [p for p in parts_of(message) if p.text or p.refusal]
        if any(part.cache_control for part in texts) or _mark(request, i):
            blocks += _marked([_part(part) for part in texts], _mark(request, i))
        elif texts:
            text = "\n".join(part.text or part.refusal or "" for part in texts)
            blocks.append(_text(text))
    return [block for block in blocks if block["text"].strip()]


def _as_text(blocks: list[Block]) -> str | list[Block]:
    """Return what the system says as a text, unless something in it is marked."""
    if any(MARK in block for block in blocks):
        return blocks
    return "\n\n".join(block["text"] for block in blocks)


def _turns(request: ChatRequest, leading: int, *, unsigned: bool) -> list[Block]:
    """Return the turns, of the user and the assistant by turns, each in one message."""
    turns: list[Block] = []
    calling = _calling(request.messages) if unsigned else set()
    for i, message in enumerate(request.messages[leading:], leading):
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _marked(_blocks(message), _mark(request, i))
        if blocks and role == "assistant":
            blocks = _thoughts(request, i, unsigned=i in calling) + blocks
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return turns


def _calling(messages: Sequence[Message]) -> set[int]:
    """Return where messages stand in turns (from user to user) that call tools."""
    places: set[int] = set()
    turn: list[int] = []
    for i, message in enumerate(messages):
        if message.role == "user":
            turn = []
        turn.append(i)
        if message.tool_calls or turn[0] in places:
            places.update(turn)
    return places


def _blocks(message: Message) -> list[Block]:
    if message.role == "function":
        raise refused(f"{API} has nothing for messages of the role 'function'")
    parts = [block for p in parts_of(message) if _says(block := _part(p))]
    if message.role == "tool":
        if not message.tool_call_id:
            raise refused("a tool message has no tool_call_id")
        of = {"tool_use_id": message.tool_call_id}
        return [{"type": "tool_result", **of, "content": parts}]
    if message.refusal:
        parts.append(_text(message.refusal))
    return parts + [_tool_use(call) for call in message.tool_calls or ()]


def _says(block: Block) -> bool:
    return block["type"] != "text" or bool(block["text"].strip())


def _mark(request: ChatRequest, i: int) -> JSONMapping | None:
    """Return the mark that some clients put on a message as a whole."""
    sent = request.body.get("messages") or ()
    mark = sent[i].get(MARK) if i < len(sent) else None
    return mark if isinstance(mark, Mapping) else None


def _marked(blocks: list[Block], mark: JSONMapping | None) -> list[Block]:
    if blocks and mark is not None:
        blocks[-1].setdefault(MARK, mark)
    return blocks


def _thoughts(request: ChatRequest, i: int, *, unsigned: bool) -> list[Block]:
    """Return the thoughts that the client got with a message and sends back."""
    sent = request.body.get("messages") or ()
    blocks = sent[i].get("thinking_blocks") if i < len(sent) else None
    thoughts: list[Block] = []
    for block in blocks if isinstance(blocks, list) else ():
        match block:
            case {"type": "thinking", "thinking": str(text), "signature": str(mark)}:
                # A thought that is not shown has no text, but a signature.
                if mark:
                    thought = {"type": "thinking", "thinking": text}
                    thoughts.append({**thought, "signature": mark})
            case {"type": "redacted_thinking", "data": str(data)}:
                thoughts.append({"type": "redacted_thinking", "data": data})
    reasoning = request.messages[i].reasoning_content
    if thoughts or not unsigned or not reasoning:
        return thoughts
    return [{"type": "thinking", "thinking": reasoning, "signature": ""}]


def _part(part: ContentPart) -> Block:
    block = _unmarked(part)
    return {**block, MARK: part.cache_control} if part.cache_control else block


def _unmarked(part: ContentPart) -> Block:
    match part.type:
        case "text":
            return _text(part.text or "")
        case "refusal":
            return _text(part.refusal or "")
        case "image_url":
            return picture(part, API)
        case "file":
            return document(part, API)
    raise refused(f"{API} has nothing for content parts of the type {part.type!r}")


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _tool_use(call: ToolCall) -> Block:
    name, arguments = called(call, API)
    return {"type": "tool_use", "id": call.id, "name": name, "input": arguments}
