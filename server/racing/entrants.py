"""A provider in one race: each kind of call to it, with the type of what comes back."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from attrs import Factory, field, frozen

from providers import (
    ChatPiece,
    ChatRequest,
    Limits,
    Provider,
    Result,
    TaskRequest,
)

from .streams import P, PushedStream, RacerStream

R = TypeVar("R", bound=ChatRequest | TaskRequest)


@frozen
class Entrant(ABC, Generic[R, P]):
    """
    A provider in one race, with the model that it will be asked for.

    *hurried* says whether the client gives it less time than the configuration does.
    """

    provider: Provider
    model: str
    limits: Limits
    hurried: bool = False
    # Read for each event of a race: an attribute costs less than a property.
    id: str = field(
        default=Factory(lambda self: self.provider.id, takes_self=True), init=False
    )

    @abstractmethod
    def stream(self, request: R) -> RacerStream[P]:
        """Prepare the call for *request*; nothing is sent before the stream is read."""


@frozen
class ChatEntrant(Entrant[ChatRequest, ChatPiece]):
    """A provider that is asked for a chat's answer as a stream."""

    def stream(self, request: ChatRequest) -> PushedStream[ChatPiece]:
        return self.provider.chat(request, self.model, self.limits)


@frozen
class Alone(Entrant[ChatRequest, ChatPiece]):
    """
    A provider without a rival, asked for all of an answer at once: nobody has to be cut
    off at a first token.
    """

    def stream(self, request: ChatRequest) -> RacerStream[ChatPiece]:
        if request.is_large:  # streams are encoded beside the event loop
            return self.provider.chat(request, self.model, self.limits)
        return self.provider.whole(request, self.model, self.limits)


@frozen
class TokenCounter(Entrant[ChatRequest, Result]):
    """A provider that is asked how many tokens a chat has, in place of an answer."""

    def stream(self, request: ChatRequest) -> RacerStream[Result]:
        return self.provider.count(request, self.model, self.limits)


@frozen
class TaskEntrant(Entrant[TaskRequest, Result]):
    """A provider that is asked for what is no chat: images, speech, embeddings."""

    def stream(self, request: TaskRequest) -> RacerStream[Result]:
        return self.provider.task(request, self.model, self.limits)
