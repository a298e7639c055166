"""The turns of Anthropic's Messages as those of a chat: blocks to parts and calls."""

from collections.abc import Iterable

import orjson
from attrs import define, field, frozen
from attrs.validators import in_

from server.errors import InvalidRequest
from server.json_types import JSONObject
from server.wire.opaque import BESIDE_CALL, BLOCKS, sealed_in
from server.wire.reading import make

from .blocks import (
    Block,
    Blocks,
    BlockSource,
    DocumentBlock,
    ImageBlock,
    SearchResult,
    TextBlock,
    ThinkingBlock,
    ToolReference,
    ToolResultBlock,
    ToolUseBlock,
)

# Calls of tools that Anthropic's servers run. The types of their results all end alike.
HOSTED_CALLS = ("server_tool_use", "mcp_tool_use")


@frozen(kw_only=True)
class Turn:
    """One turn of a conversation: its role, and its text or blocks."""

    role: str = field(validator=in_(("user", "assistant", "system")))
    content: str | tuple[Block, ...]


@define
class Turns:
    """
    Translates turns; *only* names the first thing in them that no other API has, such
    as a picture that is stored at Anthropic.

    Calls of hosted tools are left out, with their results; other blocks of unknown
    types become text, if there is any in them. A known block that lacks a field raises
    InvalidRequest.
    """

    only: str = field(default="", init=False)
    # The first block of an unknown type, for a conversation that has no other.
    _unknown: str = field(default="", init=False)
    _left_out: set[str] = field(factory=set, init=False)

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
            self.only = self._unknown
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
                result = make(block, ToolResultBlock, at)
                if result.tool_use_id in self._left_out:
                    continue
                message, media = self._result(result, at)
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
                case _:
                    texts += self._texts_of(block, at)
        text = "".join(texts)
        if not text and not calls:
            return []
        seals, beside = sealed_in(blocks)
        message: JSONObject = {"role": "assistant", "content": text or None}
        thinking = "\n".join(reasoning) if any(reasoning) else None
        more = {
            "reasoning_content": thinking,
            BLOCKS: seals,
            "tool_calls": [_with_signature(call, beside) for call in calls],
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
            case _:
                return [_text(text) for text in self._texts_of(block, at)]

    def _texts_of(self, block: Block, at: str) -> list[str]:
        """Return the texts in a block that no other API has."""
        kind = _type(block, at)
        self._unknown = self._unknown or f"content blocks of the type {kind!r}"
        if kind in HOSTED_CALLS:
            self._left_out.add(str(block.get("id")))
            return []
        if kind.endswith("_tool_result"):
            return []
        match kind:
            case "tool_reference":
                name = make(block, ToolReference, at).tool_name
                return [f"The tool {name} can be called now."]
            case "search_result":
                result = make(block, SearchResult, at)
                texts = [each.get("text") for each in result.content]
                lines = (result.title, result.source, *texts)
                return ["\n".join(line for line in lines if line)]
        text = block.get("text")
        return [text] if isinstance(text, str) and text else []

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


def _with_signature(call: JSONObject, beside: JSONObject) -> JSONObject:
    """Return a call with what came beside it, as another vendor wants that back."""
    extra = beside.get(call["id"])
    return {**call, BESIDE_CALL: extra} if extra else call


def _call(use: ToolUseBlock) -> JSONObject:
    arguments = orjson.dumps(use.input).decode()
    function = {"name": use.name, "arguments": arguments}
    return {"id": use.id, "type": "function", "function": function}
