"""The blocks of Anthropic's Messages that are read here."""

from collections.abc import Sequence
from typing import TypeAlias

from attrs import field, frozen
from attrs.validators import min_len

from server.json_types import JSONMapping

Block: TypeAlias = JSONMapping
Blocks: TypeAlias = Sequence[Block]


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
class ToolReference:
    """The name of a tool that a search for tools has found."""

    tool_name: str


@frozen(kw_only=True)
class SearchResult:
    """A result of the client's own search; *content* has blocks of text."""

    title: str = ""
    source: str = ""
    content: tuple[Block, ...] = ()


@frozen(kw_only=True)
class ThinkingBlock:
    thinking: str
