"""Anthropic's Messages API, and what copies of it take besides."""

import re
from typing import Any

from .checking import Validator, known, need, validator

BLOCKS: dict[str, tuple[str, ...]] = {
    "text": ("text", "cache_control", "citations"),
    "image": ("source", "cache_control"),
    "document": ("source", "cache_control", "title", "context", "citations"),
    "tool_use": ("id", "name", "input", "cache_control"),
    "tool_result": ("tool_use_id", "content", "is_error", "cache_control"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def checked(*, own_host: bool) -> Validator:
    def walk(body: Any) -> None:
        _system(body.get("system"))
        _bounds(body)
        need("tools" not in body or body["tools"], "tools: at least one")
        messages = body["messages"]
        need(messages, "messages: at least one is required")
        for message in messages:
            need(message["role"] in ("user", "assistant"), f"role {message['role']}")
            content = message["content"]
            blocks = content if isinstance(content, list) else [_text(content)]
            need(blocks, "messages must have non-empty content")
            for block in blocks:
                _block(block, own_host=own_host)
        _pairs(messages)
        _prefill(messages[-1])

    return validator(walk)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _system(system: Any) -> None:
    if system is None:
        return
    blocks = system if isinstance(system, list) else [_text(system)]
    need(blocks, "system is empty")
    for block in blocks:
        need(block["type"] == "text", "system: text blocks only")
        need(block["text"].strip(), "system: text must contain non-whitespace")


def _bounds(body: Any) -> None:
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        budget = thinking["budget_tokens"]
        need(body["max_tokens"] > budget, "max_tokens must be greater than the budget")
    if thinking.get("type") in ("enabled", "adaptive"):
        need(body.get("temperature", 1) == 1, "temperature may only be 1")
    for stop in body.get("stop_sequences", ()):
        need(stop.strip(), "stop_sequences: must contain non-whitespace")
    need(body.get("stop_sequences") != [], "stop_sequences is empty")


def _block(block: Any, *, own_host: bool) -> None:
    kind = block["type"]
    need(kind in BLOCKS, f"a block of the type {kind}")
    known(block, ("type", *BLOCKS[kind]), kind)
    match kind:
        case "text":
            need(block["text"].strip(), "text blocks must contain non-whitespace")
        case "thinking":
            need(block.get("signature") or not own_host, "thinking without a signature")
        case "tool_use":
            need(re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]), f"the id {block['id']}")
            need(isinstance(block["input"], dict), "input must be an object")
        case "tool_result":
            content = block.get("content")
            for part in content if isinstance(content, list) else ():
                _block(part, own_host=own_host)
        case "image":
            source = block["source"]
            allowed = source["type"] == "url" or source["media_type"] in IMAGES
            need(allowed, "an image's media_type")


def _pairs(messages: Any) -> None:
    """Each call has its result in the next message, before all else; ids are unique."""
    waiting: set[str] = set()
    seen: set[str] = set()
    for message in messages:
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        need(set(results) == waiting, f"results {results} for the calls {waiting}")
        need(len(results) == len(set(results)), "two results of one call")
        kinds = [block["type"] for block in blocks]
        need(
            "tool_result" not in kinds[len(results) :], "tool_result blocks come first"
        )
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        need(not calls or message["role"] == "assistant", "a call of the user")
        need(len(set(calls)) == len(calls), "tool_use ids must be unique")
        need(seen.isdisjoint(calls), "tool_use ids must be unique")
        seen.update(calls)
        waiting = set(calls)
    need(not waiting, "tool_use without tool_result")


def _prefill(last: Any) -> None:
    if last["role"] != "assistant":
        return
    content = last["content"]
    text = content if isinstance(content, str) else content[-1].get("text", "")
    need(text == text.rstrip(), "the final text must not end with white space")


anthropic = checked(own_host=True)
anthropic_copy = checked(own_host=False)
