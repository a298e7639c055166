"""What the fake upstream and the load generator agree on: orders, words, and frames."""

import json
import re
from functools import cache
from typing import Any

from attrs import frozen

# A model's name is an order. Gateways may put a vendor before it, or a blank.
ORDER = re.compile(rb'"model": ?"(?:[\w.-]+/)?bench-(\d+)-(\w+)-(\w+)"')
# Every word is a number, so that one that is lost, doubled or displaced is seen.
WORD = re.compile(rb"w(\d{6})")
MOST = 10_000
NUMBERS = [b"%06d" % number for number in range(MOST)]
BASE = {
    "id": "chatcmpl-0123456789abcdefghijklmnopqrs",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "bench-model-1",
    "system_fingerprint": "fp_0123456789",
}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@frozen
class Order:
    """
    What a request asks of the fake upstream.

    So many *events* with a word each, *gap* milliseconds apart; the second waits until
    all such streams are told to go on. A *gap* of "0" sends all in one write, "each"
    at once too but in a write each, as servers flush them; "step" sends one when it is
    told to. The first comes *delay* milliseconds after the
    request: "tail" draws it from the heavy-tailed distribution. After a *gap* of
    "never" nothing follows the role.
    """

    events: int
    gap: str = "0"
    delay: str = "0"

    @property
    def model(self) -> str:
        """Return the model's name that gives this order."""
        return f"bench-{self.events}-{self.gap}-{self.delay}"


def chunked(data: bytes) -> bytes:
    """Return *data* as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(**more: Any) -> bytes:
    data = json.dumps({**BASE, **more}, separators=(",", ":")).encode()
    return chunked(b"data: %s\n\n" % data)


def _choice(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _event(choices=[choice])


ROLE = _choice({"role": "assistant", "content": ""})
EVENTS = [_choice({"content": f"w{number.decode()} "}) for number in NUMBERS]
STOP = _choice({}, "stop")
DONE = chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"


@cache
def ending(*, usage: bool) -> bytes:
    """Return what follows the last word of a stream."""
    return STOP + (_event(choices=[], usage=USAGE) if usage else b"") + DONE


@cache
def burst(events: int) -> bytes:
    """Return a stream's first *events* words, each its own event and its own chunk."""
    return b"".join(EVENTS[:events])


def _native(name: str, number: int, **more: Any) -> bytes:
    payload = {"type": name, "sequence_number": number, **more}
    data = json.dumps(payload, separators=(",", ":")).encode()
    return chunked(b"event: %b\ndata: %b\n\n" % (name.encode(), data))


@cache
def native(events: int) -> bytes:
    """Return a stream of OpenAI's Responses API that says so many words, to its end."""
    place = {"item_id": "msg_0123456789", "output_index": 0, "content_index": 0}
    said = {"logprobs": [], "obfuscation": "0123456789"}
    words = [f"w{number.decode()} " for number in NUMBERS[:events]]
    part = {"type": "output_text", "annotations": [], "text": ""}
    item = {"type": "message", "id": "msg_0123456789", "role": "assistant"}
    full = {**item, "content": [{**part, "text": "(benchmark)"}]}
    response = {"id": "resp_0", "object": "response", "model": "bench-model-1"}
    ended = {**response, "status": "completed", "output": [full]}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": {**response, "output": []}}),
        ("output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
        ("content_part.added", {**place, "part": part}),
        *(("output_text.delta", {**place, "delta": word, **said}) for word in words),
        ("output_item.done", {"output_index": 0, "item": full}),
        ("completed", {"response": ended}),
    ]
    made = [_native(f"response.{n}", i, **more) for i, (n, more) in enumerate(rows)]
    return b"".join(made) + b"0\r\n\r\n"


@cache
def whole(events: int) -> bytes:
    """Return the answer that is no stream."""
    text = "".join(f"w{number.decode()} " for number in NUMBERS[:events])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    more = {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    return json_answer({**BASE, **more})


def json_answer(payload: Any) -> bytes:
    """Return *payload* as a whole HTTP answer."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d"
    return head % len(body) + b"\r\n\r\n" + body
