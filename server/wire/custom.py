"""The input of a custom tool's call, where its model was shown a function."""

import orjson


def input_in(arguments: str) -> str:
    """Return the `input` in *arguments*; all of the text, if there is none in it."""
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    text = parsed.get("input") if isinstance(parsed, dict) else None
    return text if isinstance(text, str) else arguments
