"""A provider: who is called, what it can do, and within which limits."""

from collections.abc import Callable, Mapping
from functools import partial

import aiohttp
from attrs import evolve

from .calls.call import OpenCall
from .calls.chat import ChatCall
from .calls.listing import Listing, list_models
from .calls.rerouted import ReroutedCall, ReroutedChat
from .calls.task import TaskCall
from .calls.ways import Route, Ways
from .calls.whole import WholeCall
from .chat import CHAT_FIELDS, NEEDED_BY, RESPONSES, ChatRequest
from .dialects import (
    COUNTERS,
    DIALECTS,
    TALKERS,
    WHOLE_DIALECTS,
    Dialect,
    Responses,
    tasks_of,
)
from .settings import Limits, ProviderSettings
from .tasks import IMAGE_FIELDS, TaskRequest
from .upstream import Upstream

# The seconds of image services that make their callers wait in a queue.
IMAGE_TIMEOUT = 120.0
TASKS = frozenset({"chat", "images", "speech", "transcription", "embeddings"})


class Provider:
    """
    A configured upstream.

    *settings.kind* names the dialect; *limits* hold where a call has no tighter ones.
    *problem* answers why it can't be used for now, with "" while it can. What the
    upstream's answers name is fetched through *public_session*. *speaks_responses*:
    clients of the Responses API can be passed through to it.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        limits: Limits,
        session: aiohttp.ClientSession,
        problem: Callable[[], str] = lambda: "",
        public_session: aiohttp.ClientSession | None = None,
    ) -> None:
        self.id = settings.id
        self.settings = settings
        self.limits = limits
        self.problem = problem
        self.tasks = tasks_of(settings.kind)
        self._ways = Ways(settings)
        self.speaks_responses = self._ways.has_responses
        self.upstream = Upstream(settings, session, public_session, problem)

    def params(self) -> list[str]:
        """Return the request fields that can be sent to it."""
        if "chat" not in self.tasks:
            return list(IMAGE_FIELDS)
        missing = {
            field
            for field, need in NEEDED_BY.items()
            if self.settings.lacks(frozenset({need}))
        }
        return [field for field in CHAT_FIELDS if field not in missing]

    def lacks(self, needs: frozenset[str]) -> frozenset[str]:
        """Return those of *needs* that it can't serve, as far as is known."""
        return self.settings.lacks(needs) | (needs & TASKS - self.tasks)

    def models_for(self, task: str) -> Mapping[str, str]:
        """Return the models configured for a task, as clients say, and as it does."""
        if task == "images" and "chat" in self.tasks:
            return self.settings.image_models
        return self.settings.models

    def default_for(self, task: str) -> str:
        """Return the model for who names none, or one that is not known; "" if none."""
        if task == "chat" or "chat" not in self.tasks:
            default = self.settings.default_model
            models = self.models_for(task)
            return models.get(default, default) or next(iter(models.values()), "")
        return next(iter(self.models_for(task).values()), "")

    def limits_for(self, task: str) -> Limits:
        """Return the limits of a task; an image has no token before it is done."""
        if task != "images" or self.settings.own_limits.first_token_timeout is not None:
            return self.limits
        return evolve(self.limits, first_token_timeout=IMAGE_TIMEOUT)

    def dialect(self) -> Dialect:
        """Return a new instance of its wire format, for one call."""
        return DIALECTS[self.settings.kind](self.settings)

    def task(self, request: TaskRequest, model: str, limits: Limits) -> TaskCall:
        """Prepare to ask for what is no chat; nothing is sent yet."""
        talker = TALKERS[self.settings.kind, request.task]
        talk = talker(self.settings, request, model)
        return TaskCall(OpenCall(self.upstream, limits), talk)

    def chat(
        self, request: ChatRequest, model: str, limits: Limits
    ) -> ChatCall | ReroutedChat:
        """Prepare to request a chat's answer as a stream; nothing is sent yet."""
        call = OpenCall(self.upstream, limits)
        if not self.speaks_responses:
            return self._stream(request, model, call)
        route = self._ways.route(request, model)
        return ReroutedChat(call, route, partial(self._streamed, route))

    def _stream(self, request: ChatRequest, model: str, call: OpenCall) -> ChatCall:
        return _streamed(self.dialect(), request, model, call)

    def _streamed(self, route: Route, call: OpenCall) -> ChatCall:
        dialect = Responses if route.by_responses else DIALECTS[self.settings.kind]
        return _streamed(dialect(self.settings), route.request, route.model, call)

    @property
    def tells_all(self) -> bool:
        """
        Whether an answer can be requested of it in one piece.

        Not of the embedded model: llama.cpp looks once a second whether anybody still
        waits for such an answer, and works on till then.
        """
        return (
            self.settings.kind in WHOLE_DIALECTS and not self.settings.engine.model_file
        )

    def whole(
        self, request: ChatRequest, model: str, limits: Limits
    ) -> WholeCall | ReroutedCall[WholeCall]:
        """Prepare to request a chat's answer in one piece; nothing is sent yet."""
        call = OpenCall(self.upstream, limits)
        if not self.speaks_responses:
            dialect = WHOLE_DIALECTS[self.settings.kind](self.settings)
            encode = partial(dialect.encode_whole, request, model)
            stream = partial(self._stream, request, model)
            return WholeCall(call, dialect, encode, stream)
        route = self._ways.route(request, model)
        return ReroutedCall(call, route, partial(self._whole, route))

    def _whole(self, route: Route, call: OpenCall) -> WholeCall:
        kind = RESPONSES if route.by_responses else self.settings.kind
        dialect = WHOLE_DIALECTS[kind](self.settings)
        encode = partial(dialect.encode_whole, route.request, route.model)
        return WholeCall(call, dialect, encode, partial(self._streamed, route))

    @property
    def counts(self) -> bool:
        """Whether it can say how many tokens a chat has."""
        return self._counter in COUNTERS

    def count(self, request: ChatRequest, model: str, limits: Limits) -> TaskCall:
        """Prepare to request how many tokens a chat has; nothing is sent yet."""
        talk = COUNTERS[self._counter](self.settings, request, model)
        return TaskCall(OpenCall(self.upstream, limits), talk)

    @property
    def _counter(self) -> str:
        return RESPONSES if self.speaks_responses else self.settings.kind

    async def list_models(self) -> Listing:
        """
        Return the models that the upstream has.

        A provider that does not chat has no list: none is requested. Raises
        ProviderError.
        """
        if self.settings.kind not in DIALECTS:
            return Listing()
        return await list_models(self.upstream, self.dialect(), self.limits)


def _streamed(
    dialect: Dialect, request: ChatRequest, model: str, call: OpenCall
) -> ChatCall:
    encode = partial(dialect.encode, request, model)
    encoded = encode if request.is_large else encode()
    return ChatCall(call, dialect, encoded, shown=bool(request.stream))
