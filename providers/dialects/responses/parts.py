"""What the parts of a response's items say, as a chat's deltas say it."""

from providers.chat import Delta
from providers.json_types import JSON, JSONMapping

from .items import OpenItem

# Stands between two thoughts that are parts of their own.
BETWEEN = "\n\n"


def text_in(value: JSON) -> str | None:
    """Return a text, None for an empty one; raises TypeError for what is none."""
    if value is None or type(value) is str:
        return value or None
    raise TypeError(f"text expected, not {type(value).__name__}")


def separator(item: OpenItem, kind: str, part: int) -> str:
    """Return what separates a part from the one before it: thoughts have no markup."""
    apart = item.type == "reasoning" and item.pieces and (kind, part) not in item.pieces
    return BETWEEN if apart else ""


def delta_of(kind: str, text: str) -> Delta:
    """Return what adds a text of a kind: `text`, `refusal`, or a thought."""
    if kind == "text":
        return Delta(content=text)
    return Delta(refusal=text) if kind == "refusal" else Delta(reasoning_content=text)


def message_rest(opened: OpenItem, item: JSONMapping) -> list[Delta]:
    """Return what of a message has not come in pieces."""
    texts, refusals = [], []
    for part in item.get("content") or ():
        match part:
            case {"type": "output_text" | "text", "text": str(text)}:
                texts.append(text)
            case {"type": "refusal", "refusal": str(text)}:
                refusals.append(text)
    text = opened.missing("text", "".join(texts))
    refusal = opened.missing("refusal", "".join(refusals))
    said = Delta(content=text or None, refusal=refusal or None)
    return [said] if said.has_token else []


def thoughts_of(opened: OpenItem, item: JSONMapping) -> list[Delta]:
    """Return what a reasoning item says: itself, or else its summary."""
    for name in ("content", "summary"):
        texts = [text_in(part.get("text")) for part in item.get(name) or ()]
        if whole := BETWEEN.join(text for text in texts if text):
            opened.add(name, 0, whole)
            return [Delta(reasoning_content=whole)]
    return []


def image_in(item: JSONMapping) -> list[Delta]:
    """Return a picture as the part of a message."""
    data = text_in(item.get("result"))
    if not data:
        return []
    url = f"data:image/{item.get('output_format') or 'png'};base64,{data}"
    return [Delta(extra={"images": [{"type": "image_url", "image_url": {"url": url}}]})]
