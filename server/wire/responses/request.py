"""A request for a response, and the chat that its racers are sent."""

from collections.abc import Sequence

from attrs import evolve, field, frozen
from attrs.validators import ge, in_, le, min_len, optional

from providers import ChatRequest
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection

from .choice import chat_tools
from .history import messages_of
from .input import reasoning_in, reference_in
from .settings import NO_REASONING, NO_TEXT, Reasoning, TextSettings
from .tools import NO_TOOLS, Toolbox, toolbox_of

LOGPROBS = "message.output_text.logprobs"
OPAQUE = "reasoning.encrypted_content"
# Items of a conversation, with those of its earlier responses: reading them holds up
# the event loop.
MOST_ITEMS = 100_000
# Fields that are refused, and why.
NOT_HERE = {
    "background": "an answer lasts as long as its connection here",
    "conversation": "conversations are not kept here; send 'previous_response_id'",
    "prompt": "prompt templates are kept at OpenAI; send 'instructions' and 'input'",
}
# The fields that a chat has elsewhere or not at all; it gets all others as they are.
NO_CHAT_FIELDS = frozenset(
    (
        "background_options",
        "client_metadata",
        "context_management",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "messages",
        # OpenAI's chat completions refuse it where the answer is not stored.
        "metadata",
        "n",
        "previous_response_id",
        "reasoning",
        "store",
        "stream",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "truncation",
        *NOT_HERE,
    )
)
# Fields that mean nothing without tools: some vendors refuse them then.
WITH_TOOLS = ("parallel_tool_calls",)


@frozen(kw_only=True)
class ResponseRequest:
    """
    What a client asks of the Responses API.

    *body* is the JSON object that it sent, without `provider` and `race`; *toolbox* is
    what its tools are to a model.
    """

    model: str = field(validator=min_len(1))
    input: str | tuple[JSON, ...] | None = field(
        default=None, validator=optional(min_len(1))
    )
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    include: tuple[str, ...] | None = None
    max_output_tokens: int | None = field(default=None, validator=optional(ge(1)))
    temperature: float | None = field(default=None, validator=optional([ge(0), le(2)]))
    top_p: float | None = field(default=None, validator=optional([ge(0), le(1)]))
    top_logprobs: int | None = field(default=None, validator=optional([ge(0), le(20)]))
    tools: tuple[JSONMapping, ...] | None = None
    tool_choice: str | JSONMapping | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: Reasoning | None = None
    metadata: JSONMapping | None = None
    truncation: str | None = field(
        default=None, validator=optional(in_(("auto", "disabled")))
    )
    body: JSONMapping = field(factory=dict, repr=False)
    toolbox: Toolbox = field(default=NO_TOOLS, metadata={"read": False})

    @property
    def kept(self) -> bool:
        """Whether the response is to be stored, as it is unless the client says no."""
        return self.store is not False

    @property
    def summarized(self) -> bool:
        """Whether reasoning is shown as a summary: by default, as it is."""
        return (self.reasoning or NO_REASONING).summary is not None

    @property
    def shows_opaque(self) -> bool:
        """Whether the client wants reasoning with its `encrypted_content`."""
        return OPAQUE in (self.include or ())

    def items(self) -> list[JSON]:
        """Return the input as items, as they came."""
        if isinstance(self.input, str):
            text = {"type": "input_text", "text": self.input}
            return [{"type": "message", "role": "user", "content": [text]}]
        return list(self.input or ())

    def references(self) -> list[str]:
        """Return the ids of the stored items that the input names."""
        ids = (reference_in(item) for item in self.items())
        return [name for name in ids if name is not None]

    def stored_ids(self) -> list[str]:
        """Return the ids of all items that may be stored here, reasoning too."""
        ids = (reference_in(item) or reasoning_in(item) for item in self.items())
        return [name for name in ids if name is not None]

    def chat(
        self, earlier: Sequence[JSONMapping], items: Sequence[JSON]
    ) -> ChatRequest:
        """
        Return the request as a chat; raises InvalidRequest.

        *earlier* are the items of the responses that it goes on from, *items* its own,
        with what they refer to in the references' places.
        """
        body = {
            name: value
            for name, value in self.body.items()
            if name not in NO_CHAT_FIELDS and value is not None
        }
        check_items(len(earlier) + len(items))
        toolbox = self.toolbox
        messages, only = messages_of(self.instructions, earlier, items, toolbox)
        tools, hosted = chat_tools(toolbox, self.tool_choice)
        if only:
            hosted = evolve(hosted, needed=only)
        body["messages"] = messages
        body |= tools
        body |= (self.text or NO_TEXT).chat_fields() | self._sampling()
        if "tools" not in body:
            body = {n: value for n, value in body.items() if n not in WITH_TOOLS}
        if self.stream is not None:
            body["stream"] = self.stream
        chat = make({**body, "body": body}, ChatRequest)
        return evolve(chat, hosted=hosted) if hosted != chat.hosted else chat

    def _sampling(self) -> JSONObject:
        body: JSONObject = {}
        if self.max_output_tokens is not None:
            body["max_completion_tokens"] = self.max_output_tokens
        effort = (self.reasoning or NO_REASONING).effort
        if effort is not None:
            body["reasoning_effort"] = effort
        if LOGPROBS in (self.include or ()) or self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs or 0}
        return body


def parse_count(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ResponseRequest, Selection]:
    """Return the request whose input's tokens are to be counted, and by whom."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    return _request(payload), selection


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ResponseRequest, Selection]:
    """Return the request in *body*, and whom it asks; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    for name, why in NOT_HERE.items():
        if payload.get(name):
            raise InvalidRequest(f"{name!r} can't be done: {why}.", param=name)
    if isinstance(items := payload.get("input"), list):
        check_items(len(items))
    request = _request(payload)
    if request.input is None and request.previous_response_id is None:
        raise InvalidRequest("'input' is missing.", param="input")
    return request, selection


def _request(payload: JSONObject) -> ResponseRequest:
    request = make({**payload, "body": payload}, ResponseRequest)
    if not request.tools:
        return request
    return evolve(request, toolbox=toolbox_of(request.tools))


def check_items(count: int) -> None:
    """Raise InvalidRequest if a conversation has too many items."""
    if count > MOST_ITEMS:
        raise InvalidRequest(
            f"The conversation has {count} items, and may have {MOST_ITEMS}.",
            param="input",
        )
