"""Upstreams that play a model: it calls a tool, and speaks when it knows the result."""

import json
from collections.abc import Callable
from typing import Any

from attrs import frozen

from .responses_upstream import responses
from .rig import DIALECTS, Call, Part, Received, Step, Text, answers

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


def settings(kind: str) -> dict[str, Any]:
    """Return the keys of a provider's table that make it speak *kind*."""
    if kind == "responses":
        return {"kind": "openai", "responses": "always"}
    return {"kind": kind}
