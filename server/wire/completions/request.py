"""Requests for text completions, and the chats that ask upstreams for them."""

from collections.abc import Sequence

from attrs import evolve, field, frozen
from attrs.validators import ge, le, min_len, optional

from providers import COMPLETIONS, ChatRequest, NativeRequest
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection

MAX_PROMPTS = 64
# The `max_tokens` of OpenAI's API where a request has none.
DEFAULT_MAX_TOKENS = 16
NO_CHAT_FIELDS = (
    "best_of",
    "echo",
    "logprobs",
    "max_tokens",
    "messages",
    "prompt",
    "suffix",
)
FILL_IN = (
    "You complete texts. You are given what stands before a gap in a text, and what"
    " stands after it. Answer with what belongs in the gap, and with nothing else."
)


@frozen(kw_only=True)
class CompletionRequest:
    """What a client asks of the completions API; *body* is the JSON object it sent."""

    model: str = field(validator=min_len(1))
    prompt: str | tuple[JSON, ...] = field()
    suffix: str | None = None
    echo: bool | None = None
    n: int | None = field(default=None, validator=optional([ge(1), le(128)]))
    best_of: int | None = None
    max_tokens: int | None = field(default=None, validator=optional(ge(1)))
    logprobs: int | None = field(default=None, validator=optional([ge(0), le(5)]))
    body: JSONMapping = field(factory=dict, repr=False)

    @property
    def prompts(self) -> Sequence[str]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def include_usage(self) -> bool:
        """Whether the client of a stream wants its usage."""
        options = self.body.get("stream_options") or {}
        return options.get("include_usage") is True

    @property
    def each(self) -> int:
        """How many texts go on from each prompt."""
        return self.n or 1

    def chats(self) -> tuple[ChatRequest, ...]:
        """Return a chat for each prompt; raises InvalidRequest."""
        return tuple(self._chat(prompt) for prompt in self.prompts)

    def _chat(self, prompt: str) -> ChatRequest:
        fields = {n: value for n, value in self.body.items() if value is not None}
        most = self.max_tokens or DEFAULT_MAX_TOKENS
        completion = {n: v for n, v in fields.items() if n not in ("best_of", "echo")}
        completion |= {"prompt": prompt, "max_tokens": most}
        body = {n: v for n, v in fields.items() if n not in NO_CHAT_FIELDS}
        body |= {"messages": self._messages(prompt), "max_completion_tokens": most}
        if self.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": self.logprobs}
        native = NativeRequest(format=COMPLETIONS, body=completion)
        return evolve(make({**body, "body": body}, ChatRequest), native=native)

    def _messages(self, prompt: str) -> list[JSONObject]:
        if not self.suffix:
            return [{"role": "user", "content": prompt}]
        gap = f"Before the gap:\n{prompt}\n\nAfter the gap:\n{self.suffix}"
        return [
            {"role": "system", "content": FILL_IN},
            {"role": "user", "content": gap},
        ]


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[CompletionRequest, Selection]:
    """Return the request in *body*, and whom it asks; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    request = make({**payload, "body": payload}, CompletionRequest)
    if not all(isinstance(prompt, str) for prompt in request.prompts):
        raise InvalidRequest(
            "'prompt' must be a string or an array of strings: the numbers of tokens"
            " mean something else to each model.",
            param="prompt",
        )
    if not 1 <= len(request.prompts) <= MAX_PROMPTS:
        raise InvalidRequest(
            f"'prompt' must have 1 to {MAX_PROMPTS} texts.", param="prompt"
        )
    if request.best_of not in (None, 1, request.each):
        raise InvalidRequest(
            "'best_of' must not be more than 'n': nobody here chooses.", param="best_of"
        )
    if request.echo and request.logprobs is not None:
        raise InvalidRequest(
            "'logprobs' can't be had with 'echo': prompts are not weighed here.",
            param="logprobs",
        )
    return request, selection
