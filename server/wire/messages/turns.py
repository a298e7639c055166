"""The turns of Anthropic's Messages as those of a chat: blocks to parts and calls."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import orjson
from attrs import define, field, frozen
from attrs.validators import in_, min_len

from server.errors import InvalidRequest
from server.json_types import JSONMapping, JSONObject
from server.wire.opaque import BLOCKS, sealed_in
from server.wire.reading import make

Block: TypeAlias = JSONMapping
Blocks: TypeAlias = Sequence[Block]


@frozen(kw_only=True)
class Turn:
    """One turn of a conversation: whose it is, and its text or blocks."""

    role: str = field(validator=in_(("user", "assistant", "system")))
    content: str | tuple[Block, ...]


@frozen(kw_only=True)
class TextBlock:
    text: str


@frozen(kw_only=True)
class BlockSource:
    """Where an image or a document is; its *type* decides which fields it has."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | tuple[Block, ...] | None = None


@frozen(kw_only=True)
class ImageBlock:
    source: BlockSource


@frozen(kw_only=True)
class DocumentBlock:
    source: BlockSource
    title: str | None = None
    context: str | None = None


@frozen(kw_only=True)
class ToolUseBlock:
    id: str = field(validator=min_len(1))
    name: str = field(validator=min_len(1))
    input: Block


@frozen(kw_only=True)
class ToolResultBlock:
    tool_use_id: str = field(validator=min_len(1))
    content: str | tuple[Block, ...] | None = None
    is_error: bool | None = None


@frozen(kw_only=True)
class ThinkingBlock:
    thinking: str


@define
class Turns:
    """
    Translates turns; *only* names the first thing in them that no other API has.

    A block of an unknown type is such a thing; a known one that lacks a field raises
    InvalidRequest.
    """

    only: str = field(default="", init=False)

    def translated(
        self, system: str | Blocks | None, turns: Iterable[Turn]
    ) -> list[JSONObject]:
        """Return the messages of a chat; raises InvalidRequest if there are none."""
        messages = self._system(system or "", "system")
        for i, turn in enumerate(turns):
            where = f"messages[{i}].content"
            blocks: Blocks = _blocks(turn.content)
            match turn.role:
                case "assistant":
                    messages += self._assistant(blocks, where)
                case "system":
                    messages += self._system(turn.content, where)
                case _:
                    messages += self._user(blocks, where)
        if not messages and not self.only:
            raise InvalidRequest("'messages' has no content.", param="messages")
        return messages or [{"role": "user", "content": self.only}]

    def _system(self, content: str | Blocks, where: str) -> list[JSONObject]:
        parts = self._all_parts(_blocks(content), where)
        text = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
        return [{"role": "system", "content": text}] if text else []

    def _user(self, blocks: Blocks, where: str) -> list[JSONObject]:
        """Return the results of tools, each a message, and what the user says."""
        results: list[JSONObject] = []
        parts: list[JSONObject] = []
        for i, block in enumerate(blocks):
            at = f"{where}[{i}]"
            if _type(block, at) == "tool_result":
                message, media = self._result(make(block, ToolResultBlock, at), at)
                results.append(message)
                # Pictures can't stand in a tool's message: they come right after it.
                parts += media
            else:
                parts += self._parts(block, at)
        content = _joined(parts)
        return [*results, {"role": "user", "content": content}] if content else results

    def _result(
        self, result: ToolResultBlock, at: str
    ) -> tuple[JSONObject, list[JSONObject]]:
        parts = self._all_parts(_blocks(result.content or ""), f"{at}.content")
        media = [part for part in parts if part["type"] != "text"]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        if result.is_error:
            text = f"Error: {text}" if text else "Error"
        if media:
            label = f"What the tool call {result.tool_use_id} has returned:"
            media.insert(0, {"type": "text", "text": label})
            text = text or "See the user's next message."
        call = {"role": "tool", "tool_call_id": result.tool_use_id}
        return {**call, "content": text}, media

    def _assistant(self, blocks: Blocks, where: str) -> list[JSONObject]:
        texts: list[str] = []
        reasoning: list[str] = []
        calls: list[JSONObject] = []
        for i, block in enumerate(blocks):
            at = f"{where}[{i}]"
            match _type(block, at):
                case "text":
                    texts.append(make(block, TextBlock, at).text)
                case "thinking":
                    reasoning.append(make(block, ThinkingBlock, at).thinking)
                case "redacted_thinking":
                    pass  # only the model that wrote it can read it
                case "tool_use":
                    calls.append(_call(make(block, ToolUseBlock, at)))
                case other:
                    self._give_up(f"content blocks of the type {other!r}")
        text = "".join(texts)
        if not text and not calls:
            return []
        message: JSONObject = {"role": "assistant", "content": text or None}
        thought = "\n".join(reasoning) if any(reasoning) else None
        more = {
            "reasoning_content": thought,
            BLOCKS: sealed_in(blocks),
            "tool_calls": calls,
        }
        return [message | {name: value for name, value in more.items() if value}]

    def _all_parts(self, blocks: Blocks, where: str) -> list[JSONObject]:
        return [
            part
            for i, block in enumerate(blocks)
            for part in self._parts(block, f"{where}[{i}]")
        ]

    def _parts(self, block: Block, at: str) -> list[JSONObject]:
        match _type(block, at):
            case "text":
                text = make(block, TextBlock, at).text
                return [_text(text)] if text else []
            case "image":
                return self._image(make(block, ImageBlock, at).source)
            case "document":
                return self._document(make(block, DocumentBlock, at), at)
            case other:
                return self._give_up(f"content blocks of the type {other!r}")

    def _image(self, source: BlockSource) -> list[JSONObject]:
        match source:
            case BlockSource(type="base64", media_type=str(kind), data=str(data)):
                url = f"data:{kind};base64,{data}"
            case BlockSource(type="url", url=str(url)):
                pass
            case _:
                return self._give_up(f"images of the source {source.type!r}")
        return [{"type": "image_url", "image_url": {"url": url}}]

    def _document(self, document: DocumentBlock, at: str) -> list[JSONObject]:
        """Return a document's parts: its title and context, and what is in it."""
        source = document.source
        parts = [_text(text) for text in (document.title, document.context) if text]
        match source:
            case BlockSource(type="text", data=str(text)):
                return [*parts, _text(text)]
            case BlockSource(type="content", content=str() | tuple() as content):
                where = f"{at}.source.content"
                return parts + self._all_parts(_blocks(content), where)
            case BlockSource(type="base64", media_type=str(kind), data=str(data)):
                name = document.title or "document.pdf"
                url = f"data:{kind};base64,{data}"
                file = {"filename": name, "file_data": url}
                return [*parts, {"type": "file", "file": file}]
        return self._give_up(f"documents of the source {source.type!r}")

    def _give_up(self, what: str) -> list[JSONObject]:
        self.only = self.only or what
        return []


def _blocks(content: str | Blocks) -> Blocks:
    """Return content as blocks; a string stands for one of text."""
    return [_text(content)] if isinstance(content, str) else content


def _type(block: Block, at: str) -> str:
    kind = block.get("type")
    if not isinstance(kind, str):
        raise InvalidRequest(f"'{at}.type' must be a string.", param=f"{at}.type")
    return kind


def _text(text: str) -> JSONObject:
    return {"type": "text", "text": text}


def _joined(parts: list[JSONObject]) -> str | list[JSONObject]:
    """Return text alone as a string, since not every upstream takes parts."""
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _call(use: ToolUseBlock) -> JSONObject:
    arguments = orjson.dumps(use.input).decode()
    function = {"name": use.name, "arguments": arguments}
    return {"id": use.id, "type": "function", "function": function}
