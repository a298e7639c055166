"""What the server may know of the providers: these names, and no module of theirs."""

from .calls.chat import ChatCall
from .calls.task import TaskCall
from .chat import (
    COMPLETIONS,
    MESSAGES,
    NO_DELTA,
    RESPONSES,
    SEALED_HERE,
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Delta,
    FinishReason,
    HostedTools,
    Message,
    NativeEvent,
    NativeRequest,
    TextRun,
    ToolCallDelta,
    Usage,
    chunks_of,
    with_text,
)
from .dialects import Result, is_gradio_model, kinds, tasks_of
from .dialects.call_ids import word_id
from .dialects.tools import function_of, hosted_tools
from .errors import (
    Phase,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from .http.attempt import Attempt
from .http.session import open_session
from .local import Engine, EngineAddress, Engines
from .local.files import engine_missing
from .models import ModelList
from .packages import load_packages
from .provider import Provider
from .settings import CAPABILITIES, Limits, ProviderSettings, vendors
from .tasks import (
    Blob,
    EmbeddingsRequest,
    Image,
    ImageRequest,
    Images,
    SpeechRequest,
    TaskRequest,
    TokenCount,
    TranscriptionRequest,
)

__all__ = [
    "CAPABILITIES",
    "COMPLETIONS",
    "MESSAGES",
    "NO_DELTA",
    "RESPONSES",
    "SEALED_HERE",
    "Attempt",
    "Blob",
    "ChatCall",
    "ChatPiece",
    "ChatRequest",
    "Choice",
    "Chunk",
    "Completion",
    "Delta",
    "EmbeddingsRequest",
    "Engine",
    "EngineAddress",
    "Engines",
    "FinishReason",
    "HostedTools",
    "Image",
    "ImageRequest",
    "Images",
    "Limits",
    "Message",
    "ModelList",
    "NativeEvent",
    "NativeRequest",
    "Phase",
    "Provider",
    "ProviderBusy",
    "ProviderError",
    "ProviderProtocolError",
    "ProviderRefusedRequest",
    "ProviderSettings",
    "ProviderTimeout",
    "Result",
    "SpeechRequest",
    "TaskCall",
    "TaskRequest",
    "TextRun",
    "TokenCount",
    "ToolCallDelta",
    "TranscriptionRequest",
    "Usage",
    "chunks_of",
    "engine_missing",
    "function_of",
    "hosted_tools",
    "is_gradio_model",
    "kinds",
    "load_packages",
    "open_session",
    "tasks_of",
    "vendors",
    "with_text",
    "word_id",
]
