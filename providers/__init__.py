"""What the server may know of the providers: these names, and no module of theirs."""

from .chat import (
    ChatRequest,
    Choice,
    Chunk,
    Delta,
    FinishReason,
    Message,
    ToolCallDelta,
    Usage,
)
from .dialects import DIALECTS
from .errors import (
    Phase,
    ProviderBusy,
    ProviderError,
    ProviderProtocolError,
    ProviderRefusedRequest,
    ProviderTimeout,
)
from .http import open_session
from .local import Endpoint, Engine, Engines, engine_missing
from .models import ModelList
from .provider import ChatStream, Provider
from .settings import CAPABILITIES, Limits, ProviderSettings, vendors

__all__ = [
    "CAPABILITIES",
    "DIALECTS",
    "ChatRequest",
    "ChatStream",
    "Choice",
    "Chunk",
    "Delta",
    "Endpoint",
    "Engine",
    "Engines",
    "FinishReason",
    "Limits",
    "Message",
    "ModelList",
    "Phase",
    "Provider",
    "ProviderBusy",
    "ProviderError",
    "ProviderProtocolError",
    "ProviderRefusedRequest",
    "ProviderSettings",
    "ProviderTimeout",
    "ToolCallDelta",
    "Usage",
    "engine_missing",
    "open_session",
    "vendors",
]
