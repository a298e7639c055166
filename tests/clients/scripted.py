"""Upstreams that play a model: it calls a tool, and speaks when it knows the result."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from attrs import frozen

from .responses_upstream import responses
from .rig import (
    DIALECTS,
    Call,
    Part,
    Received,
    Step,
    Text,
    Upstream,
    answers,
    upstream,
)

SPEAKS: dict[str, Callable[..., list[Step]]] = {**DIALECTS, "responses": responses}


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


def script(kind: str, parts: list[Part], request: Received) -> list[Step]:
    """Return *parts* in the dialect *kind*, or the number of tokens if it asks that."""
    path = request.path.partition("?")[0]
    if path.endswith("/count_tokens"):
        return answers(200, {"input_tokens": 1000})
    if path.endswith(":countTokens"):
        return answers(200, {"totalTokens": 1000})
    if kind == "responses" and not path.endswith("/responses"):
        return answers(404, {"error": {"message": f"there is no {path}"}})
    return SPEAKS[kind](*parts)


def settings(upstreams: Mapping[str, Upstream]) -> str:
    """Return a configuration with a provider for each dialect, all raced by default."""
    names = ", ".join(json.dumps(provider(kind)) for kind in upstreams)
    tables = (_table(kind, each) for kind, each in upstreams.items())
    return "\n".join([f"[race]\ndefault_providers = [{names}]", *tables])


def provider(kind: str) -> str:
    """Return the id of the provider that speaks *kind*."""
    return f"Speaks-{kind}"


def _table(kind: str, upstream: Upstream) -> str:
    of = {"default_model": "upstream-model"}
    if kind == "responses":
        return upstream.table(provider(kind), responses="always", **of)
    table = upstream.table(provider(kind), **of)
    return table.replace('kind = "openai"', f'kind = "{kind}"')


@asynccontextmanager
async def model(kind: str, turn: Turn) -> AsyncIterator[Upstream]:
    """Start an upstream that speaks *kind*, and takes its part in *turn*."""
    async with upstream() as made:
        made.choose = lambda request: script(kind, turn.parts(request), request)
        yield made
