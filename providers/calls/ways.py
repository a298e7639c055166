"""By which API an upstream that speaks two of them is asked for a chat."""

import re
from collections.abc import Mapping

from attrs import define, evolve, field

from providers.chat import COMPLETIONS, RESPONSES, ChatRequest, NativeRequest
from providers.errors import ProviderError
from providers.json_types import JSON
from providers.settings import ProviderSettings

# What OpenAI, Copilot and Bedrock say of models that they don't serve in chats, or not
# with tools; and what is said of those that they serve nowhere else.
NOT_IN_CHATS = re.compile(
    r"v1/responses|/responses instead|not a chat model|unsupported_api_for_model"
    r"|does not support the '/v1/chat",
    re.IGNORECASE,
)
NOT_IN_RESPONSES = re.compile(
    r"(not (supported|available)|n't (supported|available)|n't support|not support)"
    r"[^.]*(responses api|v1/responses)",
    re.IGNORECASE,
)
# Another vendor's reasoning, or another account's.
FOREIGN_SEAL = re.compile("invalid_encrypted_content")
SEALED = ("thinking_blocks",)
# So many models are remembered: clients may make up their names.
MOST_LEARNED = 1000


@define(eq=False)
class Ways:
    """
    Which models are asked by which API: as configured, and as refusals have taught.

    What is learned of a request with tools holds for those alone; of one without, for
    all. It lasts as long as the provider.
    """

    settings: ProviderSettings
    _learned: dict[tuple[str, bool], bool] = field(factory=dict, init=False)

    @property
    def has_responses(self) -> bool:
        """Whether the upstream speaks the Responses API."""
        return self.settings.kind == RESPONSES or self.settings.rules.responses != "off"

    @property
    def has_both(self) -> bool:
        """Whether there is a choice."""
        return (
            self.settings.kind != RESPONSES
            and self.settings.rules.responses == "native"
        )

    def route(self, request: ChatRequest, model: str) -> "Route":
        """Return how a request is put to *model*, as far as is known."""
        return Route(self, request, model, self._by_responses(request, model))

    def _by_responses(self, request: ChatRequest, model: str) -> bool:
        """Say whether *model* is to be asked by the Responses API."""
        if not self.has_both:
            return self.has_responses
        if request.native is not None and request.native.format == COMPLETIONS:
            return False
        for with_tools in (_calls(request), False):
            learned = self._learned.get((model, with_tools))
            if learned is not None:
                return learned
        return request.native is not None and request.native.format == RESPONSES

    def learn(self, request: ChatRequest, model: str, *, by_responses: bool) -> None:
        """Ask *model* so from now on, for requests like this one."""
        if len(self._learned) >= MOST_LEARNED:
            del self._learned[next(iter(self._learned))]
        self._learned[model, _calls(request)] = by_responses


@define(eq=False)
class Route:
    """
    How one request is put to an upstream: by which API, and with which reasoning.

    A refusal may show that it was put the wrong way; each is turned once at most.
    """

    ways: Ways
    request: ChatRequest
    model: str
    by_responses: bool
    _turned: bool = field(default=False, init=False)
    _bare: bool = field(default=False, init=False)

    def turn(self, error: ProviderError) -> str:
        """
        Put the request another way if *error* says so, and return how, for the race's
        story; "" if there is no other way.
        """
        said = f"{error.upstream_code} {error.message}"
        if not error.blames_request:
            return ""
        if self.by_responses and not self._bare and FOREIGN_SEAL.search(said):
            self._bare, self.request = True, unsealed(self.request)
            return "sent again without reasoning that is sealed for others"
        wrong = NOT_IN_RESPONSES if self.by_responses else NOT_IN_CHATS
        if self._turned or not self.ways.has_both or not wrong.search(said):
            return ""
        self._turned, self.by_responses = True, not self.by_responses
        api = "the Responses API" if self.by_responses else "chat completions"
        return f"sent again by {api}"

    def learn(self) -> None:
        """Remember the way that an answer has come on, if it is not the usual one."""
        if self._turned:
            self.ways.learn(self.request, self.model, by_responses=self.by_responses)


def unsealed(request: ChatRequest) -> ChatRequest:
    """Return a request less all reasoning that only its maker can read."""
    messages = [_less(m) for m in request.body.get("messages") or ()]
    bare = evolve(request, body={**request.body, "messages": messages})
    native = request.native
    if native is None or native.format != RESPONSES:
        return bare
    return evolve(bare, native=_less_reasoning(native))


def _less_reasoning(native: NativeRequest) -> NativeRequest:
    items = native.body.get("input")
    if not isinstance(items, list | tuple):
        return native
    left = [item for item in items if _type(item) != "reasoning"]
    return evolve(native, body={**native.body, "input": left})


def _less(message: JSON) -> JSON:
    if not isinstance(message, Mapping):
        return message
    return {name: value for name, value in message.items() if name not in SEALED}


def _type(item: JSON) -> object:
    return item.get("type") if isinstance(item, Mapping) else None


def _calls(request: ChatRequest) -> bool:
    native = request.native
    own = native is not None and native.format == RESPONSES and native.body.get("tools")
    return bool(request.tools or own)
