"""What the blocks of Anthropic's messages add to a chat's message."""

from collections.abc import Iterable

from attrs import define, field

from providers.chat import Delta, ToolCallDelta
from providers.json_types import JSONMapping

from .reading import text_of
from .whole import Event

NOTHING_SAID: tuple[Delta, ...] = ()


@define
class _ReadBlock:
    """A content block that is open: what must be known of it at its end."""

    start: Event
    call: int = 0
    pieces: list[str] = field(factory=list)
    signature: str = ""


@define(eq=False)
class BlockReader:
    """The blocks of one message, whose events come in good order."""

    _blocks: dict[int, _ReadBlock] = field(factory=dict, init=False)
    _calls: int = field(default=0, init=False)
    _thoughts: int = field(default=0, init=False)

    def open(self, index: int, start: Event) -> Iterable[Delta]:
        """Return what is in the start of a block already."""
        block = self._blocks[index] = _ReadBlock(start)
        match start["type"]:
            case "text":
                return _said(content=text_of(start.get("text")))
            case "thinking":
                block.signature = start.get("signature") or ""
                return _think(block, start.get("thinking"))
            case "tool_use":
                block.call = self._calls
                self._calls += 1
                call = ToolCallDelta(
                    index=block.call,
                    id=start["id"],
                    type="function",
                    name=text_of(start["name"]),
                )
                return (Delta(tool_calls=(call,)),)
        return NOTHING_SAID

    def grow(self, index: int, delta: Event) -> Iterable[Delta]:
        """Return what a delta adds."""
        block = self._blocks[index]
        match delta["type"], block.start["type"]:
            case "text_delta", _:
                return _said(content=text_of(delta["text"]))
            case "thinking_delta", _:
                return _think(block, delta["thinking"])
            case "signature_delta", _:
                block.signature += delta["signature"]
            # The calls of tools that the server runs itself are none of the client's.
            case "input_json_delta", "tool_use":
                arguments = text_of(delta["partial_json"])
                if arguments:
                    piece = ToolCallDelta(index=block.call, arguments=arguments)
                    return (Delta(tool_calls=(piece,)),)
        return NOTHING_SAID

    def close(self, index: int) -> Iterable[Delta]:
        """Return what a block is known to be at its end: a thought with its seal."""
        block = self._blocks.pop(index)
        match block.start["type"]:
            case "thinking" if block.signature:
                signed = {"type": "thinking", "thinking": "".join(block.pieces)}
                return self._keep({**signed, "signature": block.signature})
            case "redacted_thinking":
                data = block.start["data"]
                return self._keep({"type": "redacted_thinking", "data": data})
        return NOTHING_SAID

    def _keep(self, thought: JSONMapping) -> Iterable[Delta]:
        # OpenAI's package puts lists of objects together by their index, or fails.
        block = {"index": self._thoughts, **thought}
        self._thoughts += 1
        return (Delta(extra={"thinking_blocks": [block]}),)


def _think(block: _ReadBlock, thought: str | None) -> Iterable[Delta]:
    block.pieces.append(thought or "")
    return _said(reasoning_content=text_of(thought))


def _said(
    *, content: str | None = None, reasoning_content: str | None = None
) -> Iterable[Delta]:
    if not (content or reasoning_content):
        return NOTHING_SAID
    return (Delta(content=content, reasoning_content=reasoning_content),)
