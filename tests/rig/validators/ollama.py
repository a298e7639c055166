"""Ollama's own chat API."""

from typing import Any

from .checking import known, need, validator

MESSAGE = (
    *("role", "content", "images", "thinking"),
    *("tool_calls", "tool_name", "tool_call_id"),
)


def _walk(body: Any) -> None:
    need(body["messages"], "there are no messages")
    for message in body["messages"]:
        known(message, MESSAGE, "a message")
        role = message["role"]
        need(role in ("system", "user", "assistant", "tool"), f"the role {role}")
        need(isinstance(message["content"], str), "a content that is no text")
        for call in message.get("tool_calls", ()):
            arguments = call["function"]["arguments"]
            need(isinstance(arguments, dict), "arguments that are no object")
        if role == "tool":
            need(message.get("tool_name"), "a result without its tool's name")


ollama = validator(_walk)
