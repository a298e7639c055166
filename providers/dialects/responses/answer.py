"""The events of OpenAI's Responses API as the chunks of a chat."""

from collections.abc import Iterable

from attrs import define, field

from providers.chat import NO_DELTA, NOTHING, Choice, Chunk, Delta
from providers.dialects.upstream_errors import error_in
from providers.errors import ProviderProtocolError
from providers.json_types import JSON, JSONMapping, JSONObject

from .alike import TEXT
from .ending import FAILED, failure, finish_reason, usage_of
from .items import OpenItem
from .output import OUTPUT, OutputReader
from .parts import text_in

Event = JSONMapping
# Seconds since 1970; more is no time of this century or the next.
MAX_TIME = 2**33
BEGINNINGS = frozenset(("response.created", "response.queued", "response.in_progress"))
ENDINGS = frozenset(("response.completed", "response.incomplete"))
FAILURES = frozenset(("error", "response.failed", "response.cancelled"))


@define(eq=False)
class AnswerReader:
    """
    One answer: its events in, chunks out.

    *provider* is who gives it, named in what only it can read again. *ended*: its last
    event has come. *spoken*: the item that a text was last added to.
    """

    provider: str
    ended: bool = field(default=False, init=False)
    spoken: OpenItem | None = field(default=None, init=False)
    _id: str | None = field(default=None, init=False)
    _model: str | None = field(default=None, init=False)
    _created: int | None = field(default=None, init=False)
    _spoke: bool = field(default=False, init=False)
    _kept: JSONMapping = field(default=NOTHING, init=False)
    _output: OutputReader = field(init=False)

    @_output.default
    def _new_output(self) -> OutputReader:
        return OutputReader(self.provider)

    def take(self, event: Event) -> list[Chunk]:
        """
        Return the chunks that an event is: none for most types, known or not.

        Raises ProviderError for one that tells of a failure, and what Python raises
        for one of an unexpected shape.
        """
        kind = event.get("type")
        if kind == TEXT:  # nearly all
            return self._say(event)
        read = OUTPUT.get(kind or "")
        if read is not None:
            return self._chunks(read(self._output, event))
        if kind in ENDINGS:
            return self._end(event)
        if kind in FAILURES or event.get("error") or (not kind and error_in(event)):
            raise failure(event)
        if kind in BEGINNINGS:
            # OpenAI says so at once, and may still fail.
            self._learn(event.get("response") or NOTHING)
        return []

    def _say(self, event: Event) -> list[Chunk]:
        text = text_in(event.get("delta"))
        if text is None:
            return []
        item = self.spoken = self._output.items.of(event, "message")
        item.add("text", event.get("content_index") or 0, text)
        chunks = self._chunks([Delta(content=text)])
        if rows := event.get("logprobs"):
            (choice,) = chunks[0].choices
            choice.logprobs = _logprobs(rows)
        return chunks

    def _end(self, event: Event) -> list[Chunk]:
        """Read the last event, which has all of the answer in it once more."""
        response = event.get("response") or NOTHING
        if response.get("status") in FAILED:
            raise failure(event)
        self._learn(response)
        chunks = self._chunks(self._output.rest(response.get("output") or ()))
        if self._kept:
            chunks.append(self._chunk(Delta(extra=self._kept)))
        items = self._output.items
        if items.unnamed():
            raise ProviderProtocolError("a tool call came without its name")
        name = event["type"].removeprefix("response.")
        counts = response.get("usage")
        last = self._chunk(NO_DELTA)
        reason = finish_reason(name, response, calls=items.calls > 0)
        last.choices = (Choice(finish_reason=reason),)
        last.usage = usage_of(counts) if counts else None
        if tier := response.get("service_tier"):
            last.extra = {"service_tier": tier}
        self.ended = True
        return [*chunks, last]

    def _learn(self, response: Event) -> None:
        name, model = response.get("id"), response.get("model")
        self._id = name if name and type(name) is str else self._id
        self._model = model if model and type(model) is str else self._model
        created = response.get("created_at")
        if (type(created) is int or type(created) is float) and 0 <= created < MAX_TIME:
            self._created = int(created)

    def _chunks(self, deltas: Iterable[Delta]) -> list[Chunk]:
        """
        Return what *deltas* come in.

        A seal may come before the first token, and goes with it: whatever has no token
        by then is not kept in a race.
        """
        if self._spoke:
            return [self._chunk(delta) for delta in deltas]
        chunks = []
        for delta in deltas:
            if self._spoke or delta.has_token:
                delta.extra = _merged(self._kept, delta.extra)
                self._spoke, self._kept = True, NOTHING
                chunks.append(self._chunk(delta))
            else:
                self._kept = _merged(self._kept, delta.extra)
        return chunks

    def _chunk(self, delta: Delta) -> Chunk:
        return Chunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=(Choice(delta=delta),),
        )


def _merged(first: JSONMapping, then: JSONMapping) -> JSONMapping:
    """Return the fields of both, all of which are lists."""
    if not first:
        return then
    return {**first, **{name: [*first.get(name, ()), *then[name]] for name in then}}


def _logprobs(rows: JSON) -> JSONObject:
    """Return log probabilities as a chat has them: with each token's bytes."""
    likely = [
        {
            **_likely(row),
            "top_logprobs": [_likely(o) for o in row["top_logprobs"] or ()],
        }
        for row in rows
    ]
    return {"content": likely, "refusal": None}


def _likely(row: Event) -> JSONObject:
    token = row.get("token") or ""
    spelled = row.get("bytes") or list(token.encode())
    return {"token": token, "logprob": row.get("logprob"), "bytes": spelled}
