"""Vendors of OpenAI's API: their fields, roles, ids, and the order of messages."""

import re
from typing import Any

from attrs import frozen

from .checking import Validator, Wrong, is_json_object, known, need, validator

ROLES = ("system", "user", "assistant", "tool")
MESSAGE = ("role", "content", "name", "tool_calls", "tool_call_id")
CALL = ("id", "type", "function", "custom")
PARTS = ("text", "image_url", "input_audio", "file", "refusal")
CHANGES_NO_ANSWER = ("metadata", "prompt_cache_key", "safety_identifier", "store")
# Of the Responses API; no chat API has them.
NOBODYS = ("client_metadata", "include")


@frozen(kw_only=True)
class Rules:
    """What one vendor takes; () for *fields* and *in_calls*: anything."""

    roles: tuple[str, ...] = ("developer", *ROLES)
    fields: tuple[str, ...] = ()
    refused_fields: tuple[str, ...] = ()
    in_calls: tuple[str, ...] = ()
    ids: str = r"(?s:.*)"
    body_without: tuple[str, ...] = ()
    functions_only: bool = False
    strict_turns: bool = False
    text_only: bool = False
    carries_thoughts: bool = False
    signed: bool = False
    marks: bool = True


def checked(rules: Rules) -> Validator:
    """Return the validator of a vendor with *rules*."""

    def walk(body: Any) -> None:
        for name in (*rules.body_without, *NOBODYS):
            need(name not in body, f"{name} is not known")
        _tools(body)
        messages = body["messages"]
        need(messages, "there are no messages")
        for message in messages:
            _message(message, rules)
        _pairs(messages)
        if rules.strict_turns:
            _turns(messages)
        if rules.carries_thoughts:
            _thoughts(messages)

    return validator(walk)


def _tools(body: Any) -> None:
    if "tools" in body:
        need(body["tools"], "tools is empty")
        return
    need("parallel_tool_calls" not in body, "parallel_tool_calls without tools")
    need("tool_choice" not in body, "tool_choice without tools")


def _message(message: Any, rules: Rules) -> None:
    role = message["role"]
    need(role in rules.roles, f"the role {role}")
    if rules.fields:
        known(message, rules.fields, f"a message of the role {role}")
    for name in rules.refused_fields:
        need(name not in message, f"messages.{name}")
    _content(message.get("content"), role, rules)
    calls = message.get("tool_calls")
    need(calls is None or calls, "tool_calls is empty")
    for call in calls or ():
        _call(call, rules)
    if calls and rules.signed:
        google = calls[0].get("extra_content", {}).get("google", {})
        need(google.get("thought_signature"), "a call without thought_signature")
    if role == "tool":
        need(re.fullmatch(rules.ids, message["tool_call_id"]), "a result's id")


def _content(content: Any, role: str, rules: Rules) -> None:
    need(not rules.text_only or isinstance(content, str), "a content that is no text")
    if role != "assistant":
        need(content is not None, f"no content in a message of the role {role}")
    for part in content if isinstance(content, list) else ():
        need(part["type"] in PARTS, f"a part of the type {part['type']}")
        refuses = "refusal" in rules.refused_fields
        need(part["type"] != "refusal" or not refuses, "a part of the type refusal")
        need(rules.marks or "cache_control" not in part, "content.cache_control")


def _call(call: Any, rules: Rules) -> None:
    if rules.in_calls:
        known(call, rules.in_calls, "a tool call")
    need(re.fullmatch(rules.ids, call["id"]), f"the call id {call['id']}")
    if call["type"] == "custom" and not rules.functions_only:
        return
    need(call["type"] == "function", f"a call of the type {call['type']}")
    need(is_json_object(call["function"]["arguments"]), "arguments that are no object")


def _pairs(messages: Any) -> None:
    """Each call has a result right after it, and each result a call before it."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            name = message["tool_call_id"]
            need(name in waiting, f"a result without its call: {name}")
            waiting.remove(name)
            continue
        need(not waiting, f"calls without results: {waiting}")
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    need(not waiting, f"calls without results: {waiting}")


def _turns(messages: Any) -> None:
    before = ""
    for message in messages:
        role = message["role"]
        if before == "tool":
            need(role in ("assistant", "tool"), f"unexpected role {role} after tool")
        if role == "assistant":
            says = message.get("content") or message.get("tool_calls")
            need(says, "an assistant's message with neither content nor tool_calls")
        before = role


def _thoughts(messages: Any) -> None:
    """In a turn that calls, who has thought once carries thoughts from then on."""
    turn: list[Any] = []
    for message in [*messages, {"role": "user"}]:
        if message["role"] != "user":
            turn.append(message)
            continue
        said = [m for m in turn if m["role"] == "assistant"]
        if any(m.get("tool_calls") for m in said):
            thought = False
            for each in said:
                thought = thought or bool(each.get("reasoning_content"))
                if thought and not each.get("reasoning_content"):
                    raise Wrong("reasoning_content must be passed back")
        turn = []


FOREIGN = (
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "thinking_blocks",
)
OPENAI = Rules(
    # Of what other vendors want back, it takes no notice of the last.
    fields=(
        *MESSAGE,
        *("refusal", "audio", "annotations", "function_call", "reasoning_content"),
    ),
    in_calls=CALL,
    ids=r"(?s:.{1,40})",
    marks=False,
)
VENDORS: dict[str, Validator] = {
    "openai": checked(OPENAI),
    "mistral": checked(
        Rules(
            roles=ROLES,
            fields=(*MESSAGE, "prefix"),
            in_calls=("id", "type", "function", "index"),
            ids=r"[a-zA-Z0-9]{9}",
            body_without=(
                *("store", "safety_identifier", "user"),
                *("max_completion_tokens", "logit_bias", "seed"),
            ),
            functions_only=True,
            strict_turns=True,
            marks=False,
        )
    ),
    "deepseek": checked(
        Rules(
            roles=ROLES,
            refused_fields=("refusal",),
            body_without=("max_completion_tokens",),
            functions_only=True,
            carries_thoughts=True,
        )
    ),
    "groq": checked(
        Rules(
            refused_fields=(*FOREIGN, "name"),
            in_calls=CALL,
            body_without=CHANGES_NO_ANSWER,
            marks=False,
            functions_only=True,
        )
    ),
    "cerebras": checked(
        Rules(
            refused_fields=FOREIGN,
            in_calls=CALL,
            body_without=(
                *("metadata", "safety_identifier", "store"),
                *("parallel_tool_calls", "service_tier", "logit_bias"),
            ),
            marks=False,
            functions_only=True,
        )
    ),
    "cloudflare": checked(Rules(text_only=True)),
    "google's twin": checked(Rules(signed=True)),
    "lenient": checked(Rules()),
}
