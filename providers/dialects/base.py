"""What a dialect is: one wire format, pure, one instance a call."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import orjson
from attrs import Factory, field, frozen

from providers.chat import ChatPiece, ChatRequest
from providers.json_types import JSON
from providers.settings import ProviderSettings

from .translation import refused

# What a dialect raises when it meets data of a shape that it does not know.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
Made = TypeVar("Made")


@frozen
class Call:
    """An HTTP request to an upstream; *path* is relative to its base URL."""

    path: str
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)


def written(body: JSON) -> bytes:
    """
    Return what an upstream is sent, as JSON.

    Raises ProviderRefusedRequest for what is nested more deeply than it can be written:
    254 levels, and four times as many can be read.
    """
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as exc:
        raise refused(f"the request can't be written as JSON: {exc}") from exc


def noted(make: Callable[[list[str]], Made]) -> Made:
    """Return a dialect's attribute that is made of its notes, and adds to them."""
    of_notes = Factory(lambda dialect: make(dialect.notes), takes_self=True)
    made: Made = field(default=of_notes, init=False)
    return made


class Dialect(Protocol):
    """
    One call's translator: the request to bytes, the answer's bytes to chunks.

    Besides ProviderError, *receive* and *end* may raise what Python raises for data
    of an unexpected shape (ValueError, TypeError, KeyError, AttributeError): whoever
    drives the dialect takes that as a frame that can't be parsed. The chunks that they
    yield before stand.
    """

    def __init__(self, settings: ProviderSettings) -> None: ...

    # Whether the answer's last event has come: nothing more need be read.
    done: bool
    # What was put right, in the request or in the answer; for the race's story.
    notes: list[str]
    # What of the request was not sent, as clients are told: "tools.web_search".
    dropped: list[str]

    @property
    def finished(self) -> bool:
        """Whether all that the answer must have is there, so that an end is an end."""
        ...

    @property
    def sound_end(self) -> bool:
        """Whether the answer is over, and its upstream has said why it ended."""
        ...

    def encode(self, request: ChatRequest, model: str) -> Call: ...

    def receive(self, received: bytes) -> Iterable[ChatPiece]: ...

    def end(self) -> Iterable[ChatPiece]:
        """Yield what the end of the body completes; raise if the answer is cut."""
        ...

    def list_models(self) -> Call: ...

    def read_models(self, body: bytes) -> tuple[str, ...]: ...


class WholeDialect(Dialect, Protocol):
    """A dialect whose answers may also be asked for in one piece."""

    def encode_whole(self, request: ChatRequest, model: str) -> Call: ...

    def read_whole(self, body: bytes) -> Iterable[ChatPiece]:
        """Yield what is in the body of an answer; raise as *receive* and *end* do."""
        ...
