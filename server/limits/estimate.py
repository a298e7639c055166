"""How much a request will probably take, before anybody has been asked. Pure."""

from collections import deque
from collections.abc import Iterable

import orjson
from attrs import define, field

from providers import (
    ChatRequest,
    EmbeddingsRequest,
    Message,
    SpeechRequest,
    TaskRequest,
)

# Characters of a token in most languages and tokenizers, roughly.
CHARACTERS = 4
# Tokens of a picture, a sound or a file, roughly: what vendors count for a picture of
# usual size.
ATTACHMENT = 1000
# Tokens of an answer where nothing is known of a client's answers, and at most, however
# many its request allows: who asks for 64,000 seldom gets them.
USUAL, MOST = 1024, 4096
# Answers whose length is remembered, and the part of them that an estimate covers.
REMEMBERED, COVERED = 50, 0.95


def input_tokens(request: ChatRequest | TaskRequest) -> int:
    """Return how many tokens a request has, roughly."""
    match request:
        case ChatRequest():
            tools = request.body.get("tools")
            declared = len(orjson.dumps(tools)) // CHARACTERS if tools else 0
            return declared + sum(map(_message_tokens, request.messages))
        case EmbeddingsRequest():
            return _tokens(request.input)
        case SpeechRequest():
            return _tokens(request.input)
        case _:
            return 0


def _message_tokens(message: Message) -> int:
    tokens = _tokens(message.reasoning_content or "")
    for call in message.tool_calls or ():
        if call.function is not None:
            tokens += _tokens(call.function.arguments)
        if call.custom is not None:
            tokens += _tokens(call.custom.input)
    if isinstance(message.content, str):
        return tokens + _tokens(message.content)
    for part in message.content or ():
        tokens += ATTACHMENT if part.text is None else _tokens(part.text)
    return tokens


def _tokens(content: object) -> int:
    """Return the tokens of a text, of token ids, or of several of either."""
    if isinstance(content, str):
        return -(-len(content) // CHARACTERS)
    if isinstance(content, Iterable):
        return sum(map(_tokens, content))
    return 1


@define
class Answers:
    """How long a client's last answers were, in tokens."""

    _lengths: deque[int] = field(factory=lambda: deque(maxlen=REMEMBERED), init=False)

    def add(self, tokens: int) -> None:
        self._lengths.append(tokens)

    def expected(self, allowed: int | None, limit: int) -> int:
        """
        Return the length of the next answer, probably: what 95 % of the last ones stay
        within. *allowed* is what its request allows, if it says so; while nothing is
        known, no more than a tenth of the client's *limit*.
        """
        if self._lengths:
            lengths = sorted(self._lengths)
            usual = lengths[int((len(lengths) - 1) * COVERED)]
        else:
            usual = min(USUAL, limit // 10)
        return min(usual, MOST, MOST if allowed is None else allowed)
