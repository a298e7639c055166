"""LiteLLM with a tool, streamed and whole: `litellm_tools.py MODEL BASE_URL`."""

import json
import sys
from pathlib import Path
from typing import Any

# It is installed in an environment of its own.
import litellm  # type: ignore[import-not-found]

READ_FILE = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Return the text of a file.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
}


def ask(messages: list[Any], *, stream: bool) -> Any:
    answer = litellm.completion(
        model=sys.argv[1],
        base_url=sys.argv[2],
        api_key="none",
        messages=messages,
        tools=[READ_FILE],
        stream=stream,
    )
    whole = litellm.stream_chunk_builder(list(answer)) if stream else answer
    return whole.choices[0].message


for stream in (False, True):
    question = {"role": "user", "content": "Say what is in note.txt"}
    called = ask([question], stream=stream)
    call = called.tool_calls[0]
    text = Path(json.loads(call.function.arguments)["name"]).read_text(encoding="utf-8")
    result = {"role": "tool", "tool_call_id": call.id, "content": text}
    history = [question, called.model_dump(exclude_none=True), result]
    print(ask(history, stream=stream).content)  # noqa: T201 - that is its output
