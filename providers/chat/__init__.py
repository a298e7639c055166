"""The words of a chat: what is asked of a provider, and the chunks it answers with.

Both have the shape of OpenAI's chat completions API (shared by most vendors), so that
an upstream which speaks it costs nothing to translate; other dialects translate to and
from these records.
"""

from .chunks import (
    NO_DELTA,
    NOTHING,
    Choice,
    Chunk,
    Delta,
    FinishReason,
    NativeEvent,
    ToolCallDelta,
    Usage,
)
from .pieces import ChatPiece, Completion, TextRun, chunks_of, with_text
from .requests import (
    CHAT_FIELDS,
    COMPLETIONS,
    MESSAGES,
    NEEDED_BY,
    RESPONSES,
    ROLES,
    SEALED_HERE,
    ChatRequest,
    ContentPart,
    CustomCall,
    FreeTool,
    Function,
    HostedTools,
    Message,
    NativeRequest,
    Tool,
    ToolCall,
)

__all__ = [
    "CHAT_FIELDS",
    "COMPLETIONS",
    "MESSAGES",
    "NEEDED_BY",
    "NOTHING",
    "NO_DELTA",
    "RESPONSES",
    "ROLES",
    "SEALED_HERE",
    "ChatPiece",
    "ChatRequest",
    "Choice",
    "Chunk",
    "Completion",
    "ContentPart",
    "CustomCall",
    "Delta",
    "FinishReason",
    "FreeTool",
    "Function",
    "HostedTools",
    "Message",
    "NativeEvent",
    "NativeRequest",
    "TextRun",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "chunks_of",
    "with_text",
]
