"""JSON schemas of answers, derived from the TypedDicts that these are written as."""

from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs

from server.errors import ErrorPayload, LossPayload
from server.json_types import Keywords
from server.record.payloads import (
    RaceEventPayload,
    RacePayload,
    RacerStepPayload,
    RacesPayload,
    RaceStartedPayload,
    ReplayPayload,
    ResyncPayload,
    SummaryPayload,
)
from server.wire.chat.payloads import ChatCompletion, ChatCompletionChunk, UsagePayload
from server.wire.completions.texts import TextCompletion, TextCompletionChunk
from server.wire.errors import ErrorBody
from server.wire.images import ImagesPayload
from server.wire.keys import DeletedKey, KeyPayload, KeysPayload, NewKeyPayload
from server.wire.messages.count import TokenCountPayload
from server.wire.messages.errors import MessagesErrorBody
from server.wire.messages.events import MessageEvent, MessagePayload
from server.wire.models import ModelPayload, ModelsPayload
from server.wire.probes import (
    ReadinessPayload,
    RootPayload,
    ServerPayload,
    StatusPayload,
)
from server.wire.providers import ProviderDetails, ProviderPayload
from server.wire.responses.events import ResponsesEvent
from server.wire.responses.passing import PassedEvent, PassedPayload
from server.wire.responses.payloads import ItemPayload
from server.wire.responses.response import ResponsePayload
from server.wire.responses.stored import DeletedResponse, InputItemsPage, InputTokens
from server.wire.tasks import EmbeddingsPayload, TranscriptionPayload
from server.wire.usage_rows import UsageRows

from .records import Schema, nullable, ref

# The answers that the document names: others that contain them refer to them.
NAMES: dict[object, str] = {
    ErrorBody: "Error",
    ErrorPayload: "ErrorObject",
    LossPayload: "Loss",
    UsagePayload: "Usage",
    ChatCompletion: "ChatCompletion",
    ChatCompletionChunk: "ChatCompletionChunk",
    TextCompletion: "Completion",
    TextCompletionChunk: "CompletionChunk",
    ResponsePayload: "Response",
    ItemPayload: "OutputItem",
    ResponsesEvent: "ResponseEvent",
    PassedPayload: "PassedResponse",
    PassedEvent: "PassedResponseEvent",
    DeletedResponse: "DeletedResponse",
    InputItemsPage: "InputItems",
    InputTokens: "InputTokens",
    MessagePayload: "Message",
    MessageEvent: "MessageEvent",
    MessagesErrorBody: "MessagesError",
    TokenCountPayload: "TokenCount",
    ImagesPayload: "Images",
    EmbeddingsPayload: "Embeddings",
    TranscriptionPayload: "Transcription",
    ModelPayload: "Model",
    ModelsPayload: "Models",
    ProviderPayload: "Provider",
    ProviderDetails: "ProviderDetails",
    KeyPayload: "Key",
    KeysPayload: "Keys",
    NewKeyPayload: "NewKey",
    DeletedKey: "DeletedKey",
    RacePayload: "Race",
    RacesPayload: "Races",
    RaceStartedPayload: "RaceStarted",
    RacerStepPayload: "RacerStep",
    ResyncPayload: "Resync",
    RaceEventPayload: "RaceEvent",
    SummaryPayload: "RaceSummary",
    ReplayPayload: "Replay",
    UsageRows: "UsageRows",
    StatusPayload: "Status",
    ReadinessPayload: "Readiness",
    ServerPayload: "Server",
    RootPayload: "Root",
}
SCALARS: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def schema_of_answer(kind: object) -> Schema:
    """Return the schema of a type of JSON; an answer with a name is referred to."""
    if kind in NAMES:
        return ref(NAMES[kind])
    return _written_out(kind)


def _written_out(kind: object) -> Schema:
    if is_typeddict(kind):
        return _object(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is None:
        return dict(SCALARS[kind])
    return COMPOSED[origin](*args)


def _object(kind: object) -> Schema:
    """Return the schema of a TypedDict. Objects may have other fields, too."""
    fields = get_type_hints(kind, include_extras=True)
    schema: Schema = {
        "type": "object",
        "properties": {name: _field(field) for name, field in fields.items()},
    }
    if required := [n for n, f in fields.items() if get_origin(f) is not NotRequired]:
        schema["required"] = required
    if kind.__doc__:
        schema["description"] = " ".join(kind.__doc__.split())
    return schema


def _field(kind: object) -> Schema:
    inner = get_args(kind)[0] if get_origin(kind) is NotRequired else kind
    return schema_of_answer(inner)


def _union(*kinds: object) -> Schema:
    schemas = [schema_of_answer(kind) for kind in kinds if kind is not NoneType]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return nullable(schema) if NoneType in kinds else schema


def _literal(*values: object) -> Schema:
    schema = SCALARS[type(values[0])]
    if len(values) == 1:
        return {**schema, "const": values[0]}
    return {**schema, "enum": list(values)}


def _mapping(_: object, values: object) -> Schema:
    if values is Any:
        return {"type": "object"}
    return {"type": "object", "additionalProperties": schema_of_answer(values)}


def _annotated(kind: object, *notes: Keywords) -> Schema:
    """Return the schema of what has several notes, of which the last says most."""
    schema = schema_of_answer(kind)
    for keywords in notes:
        values = attrs.asdict(keywords)
        if keywords.enum is not None:
            values["enum"] = list(keywords.enum)
        schema = schema | {n: value for n, value in values.items() if value is not None}
    return schema


def _array(items: object) -> Schema:
    return {"type": "array", "items": schema_of_answer(items)}


# The schemas of types that are made of other types, which are the arguments.
COMPOSED: dict[object, Callable[..., Schema]] = {
    Annotated: _annotated,
    Literal: _literal,
    Union: _union,
    UnionType: _union,
    list: _array,
    Sequence: _array,
    dict: _mapping,
    Mapping: _mapping,
}
ANSWERS: dict[str, Schema] = {name: _written_out(kind) for kind, name in NAMES.items()}
