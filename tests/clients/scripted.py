"""Upstreams that play a model: it calls a tool, and speaks when it knows the result."""

import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Protocol

from attrs import frozen

from .rig import (
    DIALECTS,
    END,
    HEAD,
    Call,
    Part,
    Received,
    Step,
    Text,
    Upstream,
    answers,
    chunked,
    upstream,
)

# The prompt's tokens, as each dialect tells them, and its sum with the answer's two.
PROMPT_TOKENS = re.compile(
    rb'("(?:prompt_tokens|input_tokens|promptTokenCount|prompt_eval_count)": )\d+'
)
TOTAL_TOKENS = re.compile(rb'("(?:total_tokens|totalTokenCount)": )\d+')
MESSAGES = count(1)
SPEAKS = DIALECTS


@frozen(kw_only=True)
class Turn:
    """
    What a model does in one turn of a client: it makes *call*, if the request declares
    that tool, and says *answer* when a request has *result* in it, which only the tool
    can have told. Without a *call* it says *answer* at once. Whatever else a client
    asks beside (a title, a summary) is answered with a word.
    """

    answer: str
    call: Call | None = None
    result: str = ""

    def parts(self, request: Received) -> list[Part]:
        """Return what the model says to *request*."""
        if self.call is None or (self.result and self.result.encode() in request.body):
            return [Text(self.answer)]
        if json.dumps(self.call.name).encode() in request.body:
            return [self.call]
        return [Text("Fine.")]

    def script(self, kind: str, request: Received) -> list[Step]:
        """Return the answer to *request* in the dialect *kind*."""
        return script(kind, self.parts(request), request)


def script(
    kind: str, parts: Iterable[Part], request: Received, tokens: int = 3
) -> list[Step]:
    """
    Return *parts* in the dialect *kind*, said of a prompt of so many *tokens*; or that
    number alone, where that is what the request asks.
    """
    path = request.path.partition("?")[0]
    if path.endswith("/count_tokens"):
        return answers(200, {"input_tokens": tokens})
    if path.endswith(":countTokens"):
        return answers(200, {"totalTokens": tokens})
    if kind == "responses" and not path.endswith("/responses"):
        return answers(404, {"error": {"message": f"there is no {path}"}})
    return [_retold(step, tokens) for step in SPEAKS[kind](*parts)]


def _retold(step: Step, tokens: int) -> Step:
    """Put a prompt's *tokens*, and an id that no other message has, into a chunk."""
    if not isinstance(step, bytes) or step in {HEAD, END} or step.startswith(b"HTTP"):
        return step
    size, _, rest = step.partition(b"\r\n")
    data = PROMPT_TOKENS.sub(rb"\g<1>%d" % tokens, rest[: int(size, 16)])
    data = TOTAL_TOKENS.sub(rb"\g<1>%d" % (tokens + 2), data)
    return chunked(data.replace(b"msg_theirs", b"msg_%08x" % next(MESSAGES)))


class Plays(Protocol):
    """What a provider says to a request, in its dialect."""

    def script(self, kind: str, request: Received) -> Iterable[Step]: ...


@frozen
class Racer:
    """A provider by its name, the dialect that it speaks, and what it says."""

    name: str
    kind: str
    plays: Plays


def settings(started: Iterable[tuple[Racer, Upstream]]) -> str:
    """Return the configuration of a server that races all of them by default."""
    pairs = list(started)
    names = ", ".join(json.dumps(racer.name) for racer, _ in pairs)
    tables = (_table(*pair) for pair in pairs)
    return "\n".join([f"[race]\ndefault_providers = [{names}]", *tables])


def _table(racer: Racer, upstream: Upstream) -> str:
    of = {"default_model": "upstream-model"}
    if racer.kind == "responses":
        return upstream.table(racer.name, responses="always", **of)
    table = upstream.table(racer.name, **of)
    return table.replace('kind = "openai"', f'kind = "{racer.kind}"')


@asynccontextmanager
async def model(racer: Racer) -> AsyncIterator[Upstream]:
    """Start the upstream of *racer*."""
    async with upstream() as made:
        made.choose = lambda request: racer.plays.script(racer.kind, request)
        yield made
