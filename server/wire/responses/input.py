"""The items of a request's input, and their contents as those of a chat's messages."""

from collections.abc import Iterable

from attrs import field, frozen
from attrs.validators import in_, min_len

from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject

ROLES = ("user", "assistant", "system", "developer")
TEXTS = ("input_text", "output_text", "text", "reasoning_text", "summary_text")


@frozen(kw_only=True)
class InputPart:
    """One part of an item's content."""

    type: str = field(validator=min_len(1))
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: JSONMapping | None = None


@frozen(kw_only=True)
class InputMessage:
    role: str = field(validator=in_(ROLES))
    content: str | tuple[InputPart, ...]


@frozen(kw_only=True)
class InputFunctionCall:
    call_id: str = field(validator=min_len(1))
    name: str = field(validator=min_len(1))
    namespace: str | None = None
    arguments: str


@frozen(kw_only=True)
class InputCustomCall:
    call_id: str = field(validator=min_len(1))
    name: str = field(validator=min_len(1))
    namespace: str | None = None
    input: str


@frozen(kw_only=True)
class InputCommandCall:
    """A call of a command, which has no name; *call_id* or *id* is the call's own."""

    call_id: str | None = None
    id: str | None = None
    action: JSONMapping | None = None
    operation: JSONMapping | None = None


@frozen(kw_only=True)
class InputReasoning:
    summary: tuple[InputPart, ...] | None = None
    content: tuple[InputPart, ...] | None = None


@frozen(kw_only=True)
class InputFunctionCallOutput:
    call_id: str = field(validator=min_len(1))
    output: str | tuple[InputPart, ...]


@frozen(kw_only=True)
class InputToolOutput:
    """What another tool has returned; *call_id* or *id* names its call."""

    call_id: str | None = None
    id: str | None = None
    output: str | tuple[JSONMapping, ...] | None = None
    status: str | None = None


def reference_in(item: JSON) -> str | None:
    """Return the id in *item* if it is nothing but a reference to a stored item."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    only_an_id = item.get("type") is None and "role" not in item
    return item["id"] if only_an_id or item.get("type") == "item_reference" else None


def reasoning_in(item: JSON) -> str | None:
    """Return the id of a reasoning item that came without its encrypted content."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        return None
    lacks_it = item.get("type") == "reasoning" and not item.get("encrypted_content")
    return item["id"] if lacks_it else None


def content_of(message: InputMessage, path: str) -> str | list[JSONObject]:
    """Return a message's content, texts as one string: not all vendors take parts."""
    if isinstance(message.content, str):
        return message.content
    parts = [part_of(part, f"{path}.content") for part in message.content]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(texts) == len(parts) and (len(texts) == 1 or message.role != "user"):
        return joined_lines(texts)
    return parts


def part_of(part: InputPart, path: str) -> JSONObject:
    """Return a part of a chat's content; raises InvalidRequest with *path*."""
    match part.type:
        case kind if kind in TEXTS:
            return {"type": "text", "text": part.text or ""}
        case "input_image" if part.image_url:
            image = {"url": part.image_url}
            if part.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.file_data or part.file_id:
            return {"type": "file", "file": _file(part)}
        case "input_audio" if part.input_audio:
            return {"type": "input_audio", "input_audio": dict(part.input_audio)}
        case "input_image":
            why = "an image must have an 'image_url': no files are kept here"
        case "input_file":
            why = "a file must be sent as 'file_data': none is fetched from a URL"
        case other:
            why = f"parts of the type {other!r} can't be understood here"
    raise InvalidRequest(f"'{path}': {why}.", param=path)


def _file(part: InputPart) -> JSONObject:
    fields = {n: getattr(part, n) for n in ("file_data", "file_id", "filename")}
    return {name: value for name, value in fields.items() if value}


def joined_lines(texts: Iterable[str | None]) -> str:
    """Return the texts that say something, each on lines of its own."""
    return "\n".join(filter(None, texts))
