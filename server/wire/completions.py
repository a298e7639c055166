"""OpenAI's text completions, as we serve them: prompts in, what follows them out."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, evolve, field, frozen
from attrs.validators import ge, le, min_len, optional

from providers import (
    COMPLETIONS,
    ChatPiece,
    ChatRequest,
    Choice,
    Chunk,
    NativeRequest,
    ProviderProtocolError,
    Usage,
    chunks_of,
)
from server.errors import InvalidRequest
from server.racing.lineup import Selection

from .chat import DONE, MAX_ANSWER, error_frame, joined, usage_payload
from .format import Format
from .reading import make, read_object, take_selection

MAX_PROMPTS = 64
# What OpenAI's API takes where nothing is said.
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
FINISHES = ("stop", "length", "content_filter")
FILL_IN = (
    "You complete texts. You are given what stands before a gap in a text, and what"
    " stands after it. Answer with what belongs in the gap, and with nothing else."
)


@frozen(kw_only=True)
class CompletionRequest:
    """What a client asks of the completions API; *body* is the JSON object it sent."""

    model: str = field(validator=min_len(1))
    prompt: str | tuple[Any, ...] = field()
    suffix: str | None = None
    echo: bool | None = None
    n: int | None = field(default=None, validator=optional([ge(1), le(128)]))
    best_of: int | None = None
    max_tokens: int | None = field(default=None, validator=optional(ge(1)))
    logprobs: int | None = field(default=None, validator=optional([ge(0), le(5)]))
    body: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def prompts(self) -> Sequence[str]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def each(self) -> int:
        """How many texts go on from each prompt."""
        return self.n or 1

    def chats(self) -> tuple[ChatRequest, ...]:
        """Return a chat for each prompt; raises InvalidRequest."""
        return tuple(self._chat(prompt) for prompt in self.prompts)

    def _chat(self, prompt: str) -> ChatRequest:
        given = {n: value for n, value in self.body.items() if value is not None}
        most = self.max_tokens or DEFAULT_MAX_TOKENS
        completion = {n: v for n, v in given.items() if n not in ("best_of", "echo")}
        completion |= {"prompt": prompt, "max_tokens": most}
        body = {n: v for n, v in given.items() if n not in NO_CHAT_FIELDS}
        body |= {"messages": self._messages(prompt), "max_completion_tokens": most}
        if self.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": self.logprobs}
        native = NativeRequest(format=COMPLETIONS, body=completion)
        return evolve(make({**body, "body": body}, ChatRequest), native=native)

    def _messages(self, prompt: str) -> list[dict[str, Any]]:
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
    """Return what *body* asks to be completed, and by whom; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    asked = make({**payload, "body": payload}, CompletionRequest)
    if not all(isinstance(prompt, str) for prompt in asked.prompts):
        raise InvalidRequest(
            "'prompt' must be a string or an array of strings: the numbers of tokens"
            " mean something else to each model.",
            param="prompt",
        )
    if not 1 <= len(asked.prompts) <= MAX_PROMPTS:
        raise InvalidRequest(
            f"'prompt' must have 1 to {MAX_PROMPTS} texts.", param="prompt"
        )
    if asked.best_of not in (None, 1, asked.each):
        raise InvalidRequest(
            "'best_of' must not be more than 'n': nobody here chooses.", param="best_of"
        )
    if asked.echo and asked.logprobs is not None:
        raise InvalidRequest(
            "'logprobs' can't be had with 'echo': prompts are not weighed here.",
            param="logprobs",
        )
    return asked, selection


def form_of(asked: CompletionRequest, *, include_usage: bool) -> Format:
    """Return how *asked* is answered."""
    return Format(
        lambda _, provider, model: CompletionStream(
            Texts(asked, provider, model), include_usage
        ),
        lambda _, provider, model: CompletionAnswer(Texts(asked, provider, model)),
        error_frame,
    )


@define(eq=False)
class Texts:
    """The texts of one answer, as they grow: what streams and whole answers share."""

    asked: CompletionRequest
    provider: str
    model: str
    usage: Usage | None = field(default=None, init=False)
    id: str = field(factory=lambda: f"cmpl-{uuid.uuid4().hex}", init=False)
    created: int = field(factory=lambda: int(time.time()), init=False)
    _lengths: dict[int, int] = field(factory=dict, init=False)
    _finished: set[int] = field(factory=set, init=False)

    def take(self, chunk: Chunk) -> list[dict[str, Any]]:
        """Take in *chunk*; return the choices that it adds to."""
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        return [shown for c in chunk.choices if (shown := self._choice(c))]

    def payload(self, **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "provider": self.provider,
            **more,
        }

    def _choice(self, choice: Choice) -> dict[str, Any] | None:
        index, reason = choice.index, choice.finish_reason
        if index in self._finished:
            return None
        text = choice.delta.content or choice.delta.refusal or ""
        if not text and reason is None and choice.logprobs is None:
            return None
        if self.asked.echo and index not in self._lengths:
            place = min(index // self.asked.each, len(self.asked.prompts) - 1)
            text = self.asked.prompts[place] + text
        begin = self._lengths.get(index, 0)
        self._lengths[index] = begin + len(text)
        if reason is not None:
            self._finished.add(index)
            reason = reason if reason in FINISHES else "stop"
        return {
            "text": text,
            "index": index,
            "logprobs": _logprobs(choice.logprobs, begin),
            "finish_reason": reason,
        }


@define(eq=False)
class CompletionStream:
    """Chunks to server-sent events, each a completion that goes on from the last."""

    texts: Texts
    include_usage: bool

    def render(self, pieces: Iterable[ChatPiece]) -> bytes:
        taken = map(self.texts.take, chunks_of(pieces))
        payloads = (self.texts.payload(choices=choices) for choices in taken if choices)
        return b"".join(map(_data, payloads))

    def end(self) -> bytes:
        usage = self.texts.usage
        if not self.include_usage or usage is None:
            return DONE
        last = self.texts.payload(choices=[], usage=usage_payload(usage))
        return _data(last) + DONE


@define(eq=False)
class CompletionAnswer:
    """Chunks to one completion."""

    texts: Texts
    _choices: dict[int, dict[str, Any]] = field(factory=dict, init=False)
    _pieces: dict[int, list[str]] = field(factory=dict, init=False)
    _size: int = field(default=0, init=False)

    def add(self, pieces: Iterable[ChatPiece]) -> None:
        """Take in more; raises ProviderProtocolError if it grows without end."""
        for chunk in map(joined, pieces):
            for new in self.texts.take(chunk):
                known = self._choices.setdefault(
                    new["index"], {**new, "logprobs": None}
                )
                known["finish_reason"] = new["finish_reason"]
                known["logprobs"] = _added(known["logprobs"], new["logprobs"])
                self._pieces.setdefault(new["index"], []).append(new["text"])
                self._size += len(new["text"]) + len(str(new["logprobs"]))
        if self._size > MAX_ANSWER:
            raise ProviderProtocolError(f"the answer is larger than {MAX_ANSWER} bytes")

    def body(self) -> bytes:
        choices = [
            {
                **choice,
                "text": "".join(self._pieces[index]),
                "finish_reason": choice["finish_reason"] or "stop",
            }
            for index, choice in sorted(self._choices.items())
        ]
        payload = self.texts.payload(choices=choices)
        if self.texts.usage is not None:
            payload["usage"] = usage_payload(self.texts.usage)
        return orjson.dumps(payload)


def _logprobs(logprobs: Mapping[str, Any] | None, begin: int) -> dict[str, Any] | None:
    """
    Return log probabilities in the shape that completions have: lists side by side.

    A chat's are a list of rows, as are those of some upstreams' completions.
    """
    if logprobs is None:
        return None
    rows = logprobs.get("content")
    if not isinstance(rows, list):
        return {name: v for name, v in logprobs.items() if isinstance(v, list)} or None
    rows = [row for row in rows if isinstance(row, dict)]
    tokens = [str(row.get("token", "")) for row in rows]
    offsets = [begin + sum(map(len, tokens[:i])) for i in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [row.get("logprob") for row in rows],
        "top_logprobs": [_tops(row.get("top_logprobs")) for row in rows],
        "text_offset": offsets,
    }


def _tops(rows: Any) -> dict[str, Any]:
    tops = [row for row in rows or () if isinstance(row, dict)]
    return {str(top.get("token", "")): top.get("logprob") for top in tops}


def _added(
    known: dict[str, Any] | None, new: dict[str, Any] | None
) -> dict[str, Any] | None:
    if known is None or new is None:
        return new or known
    return {name: known.get(name, []) + new.get(name, []) for name in known | new}


def _data(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"
