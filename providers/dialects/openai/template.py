"""Events that differ from the one before in their text alone, known by their bytes."""

import re
from collections.abc import Sequence

import orjson
from attrs import define

from providers.chat import Chunk, with_text
from providers.json_types import JSON

# So many may be learned in vain: an upstream that varies another field is not alike.
LESSONS = 4
# Bytes of an event that is looked at: what is alike is small and comes often, and a
# large one would take the event loop's time.
LARGEST = 16 * 1024
# A JSON string that needs no second look: ASCII, with nothing escaped.
PLAIN = re.compile(rb'"[ !#-\[\]-~]+"').fullmatch
STRING = re.compile(rb'"content":\s*("(?:[^"\\]|\\.)*")')


@define(eq=False)
class Template:
    """What stands before and after the text in events that are *like* one."""

    like: Chunk
    before: bytes
    after: bytes

    def words(self, events: Sequence[bytes], start: int) -> list[bytes]:
        """
        Return the texts, as JSON strings, of those *events* from *start* on that are
        alike, up to the first that is not.
        """
        before, after = self.before, self.after
        begin, end = len(before), -len(after)
        words = []
        for at in range(start, len(events)):
            data = events[at]
            if not (data.startswith(before) and data.endswith(after)):
                break
            word = data[begin:end]
            if not PLAIN(word) and not _is_text(word):
                break
            words.append(word)
        return words


def learn(data: bytes, payload: JSON, chunk: Chunk) -> Template | None:
    """
    Return what events like *data* have in common; None where it is more than a text.

    *payload* is its JSON, *chunk* what that was made of.
    """
    if len(chunk.choices) != 1 or chunk.usage is not None or len(data) > LARGEST:
        return None
    (choice,) = chunk.choices
    if not choice.delta.is_plain or choice.finish_reason or choice.logprobs:
        return None
    found = STRING.search(data)
    if found is None or data.count(b'"content":') != 1:
        return None
    begin, end = found.span(1)
    template = Template(with_text(chunk, ""), data[:begin], data[end:])
    return template if _holds(template, payload) else None


def _holds(template: Template, payload: JSON) -> bool:
    """Say whether another text between the same bytes changes the text, and no more."""
    delta = payload["choices"][0].get("delta")
    if not isinstance(delta, dict) or "content" not in delta:
        return False
    other = orjson.loads(template.before + b'"\\u0001"' + template.after)
    delta["content"] = "\x01"
    return bool(other == payload)


def _is_text(word: bytes) -> bool:
    """Say whether it is one JSON string, with something in it."""
    try:
        text = orjson.loads(word)
    except orjson.JSONDecodeError:
        return False
    return isinstance(text, str) and bool(text)
