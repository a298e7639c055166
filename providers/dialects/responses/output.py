"""What the events of a response's items add to a chat's message."""

from collections.abc import Callable, Iterable, Mapping

import orjson
from attrs import define, field

from providers.chat import NOTHING, Delta, ToolCallDelta
from providers.json_types import JSONMapping, JSONObject

from .items import CALLS, OpenItem, OpenItems
from .parts import (
    delta_of,
    image_in,
    message_rest,
    separator,
    text_in,
    thoughts_of,
)
from .reasoning import BLOCKS, entry_of

Event = JSONMapping
# What an event that ends a part is about: the kind of its text, the type of its item,
# where the part's index and where its whole text are.
PARTS = {
    "response.output_text.done": ("text", "message", "content_index", "text"),
    "response.refusal.done": ("refusal", "message", "content_index", "refusal"),
    "response.reasoning_text.done": (
        "reasoning",
        "reasoning",
        "content_index",
        "text",
    ),
    "response.reasoning_summary_text.done": (
        "summary",
        "reasoning",
        "summary_index",
        "text",
    ),
}


@define(eq=False)
class OutputReader:
    """
    The output of one answer, as its events come.

    *provider* is who gives it, named in what only it can read again.
    """

    provider: str
    items: OpenItems = field(factory=OpenItems, init=False)
    _seals: int = field(default=0, init=False)
    _call_ids: set[str] = field(factory=set, init=False)

    def added(self, event: Event) -> list[Delta]:
        """Open an item; a call's arguments that are in it already come again."""
        item = event.get("item") or NOTHING
        opened = self.items.open(event, item)
        return self._call(opened, item) if opened.type in CALLS else []

    def refuse(self, event: Event) -> list[Delta]:
        delta = text_in(event.get("delta"))
        if not delta:
            return []
        item = self.items.of(event, "message")
        item.add("refusal", event.get("content_index") or 0, delta)
        return [Delta(refusal=delta)]

    def think(self, event: Event) -> list[Delta]:
        return self._think(event, "reasoning", event.get("content_index") or 0)

    def summarize(self, event: Event) -> list[Delta]:
        return self._think(event, "summary", event.get("summary_index") or 0)

    def argue(self, event: Event) -> list[Delta]:
        """Read a piece of a function's arguments, or of a custom tool's input."""
        delta = text_in(event.get("delta"))
        if not delta:
            return []
        item = self.items.of(event, _call_type(event))
        item.add("arguments", 0, delta)
        return _argued(item, delta) if item.shown else []

    def cite(self, event: Event) -> list[Delta]:
        """Read a citation of a web page, as a chat has it."""
        found = event.get("annotation") or NOTHING
        if found.get("type") != "url_citation":
            return []
        names = ("url", "title", "start_index", "end_index")
        cited = {name: found[name] for name in names if name in found}
        citation = {"type": "url_citation", "url_citation": cited}
        return [Delta(extra={"annotations": [citation]})]

    def part_done(self, event: Event) -> list[Delta]:
        """Read what a part has that has not come in pieces: some send nothing else."""
        kind, type_, index, name = PARTS[event["type"]]
        whole, part = text_in(event.get(name)), event.get(index)
        if not whole or type(part) is not int:
            return []  # it is in its item, too
        item = self.items.of(event, type_)
        between = separator(item, kind, part)
        rest = item.missing(kind, whole, part)
        return [delta_of(kind, between + rest)] if rest else []

    def call_done(self, event: Event) -> list[Delta]:
        item = self.items.of(event, _call_type(event))
        return self._call(item, event, _arguments(event))

    def item_done(self, event: Event) -> list[Delta]:
        item = event.get("item") or NOTHING
        return self._whole(self.items.done(event, item), item)

    def rest(self, output: Iterable[Event]) -> list[Delta]:
        """Return what of the whole *output* has not come with its items' events."""
        deltas: list[Delta] = []
        for index, item in enumerate(output):
            opened = self.items.at(index, item)
            if opened is not None:
                deltas += self._whole(opened, item)
        return deltas

    def _whole(self, opened: OpenItem, item: Event) -> list[Delta]:
        known, opened.done = opened.done, True
        if opened.type in CALLS:
            # Clients parse the arguments, so even none are an object.
            none = "{}" if opened.type == "function_call" else ""
            said = opened.said("arguments")
            return self._call(opened, item, _arguments(item) or said or none)
        if opened.type == "message":
            return message_rest(opened, item)
        if opened.type == "image_generation_call" and not known:
            return image_in(item)
        if opened.type != "reasoning":
            return []
        thoughts = [] if opened.pieces else thoughts_of(opened, item)
        return thoughts if known else thoughts + self._seal(item)

    def _think(self, event: Event, kind: str, part: int) -> list[Delta]:
        delta = text_in(event.get("delta"))
        if not delta:
            return []
        item = self.items.of(event, "reasoning")
        between = separator(item, kind, part)
        item.add(kind, part, delta)
        return [Delta(reasoning_content=between + delta)]

    def _call(self, opened: OpenItem, given: Event, arguments: str = "") -> list[Delta]:
        """Show a call as soon as its name and its id are known; then, what is new."""
        opened.name = opened.name or text_in(given.get("name")) or ""
        opened.call_id = opened.call_id or text_in(given.get("call_id")) or ""
        rest = opened.missing("arguments", arguments)
        if opened.shown:
            return _argued(opened, rest) if rest else []
        if not opened.name or not (opened.call_id or opened.done):
            return []
        opened.shown = True
        if opened.call_id in self._call_ids:
            opened.call_id = ""  # it gets one of its own further in
        self._call_ids.add(opened.call_id)
        return _argued(opened, opened.said("arguments"), opened.name)

    def _seal(self, item: Event) -> list[Delta]:
        entry = entry_of(item, self.provider)
        if entry is None:
            return []
        # OpenAI's package puts lists of objects together by their index, or fails.
        block = {"index": self._seals, **entry}
        self._seals += 1
        return [Delta(extra={BLOCKS: [block]})]


# Which event is read how.
OUTPUT: Mapping[str, Callable[[OutputReader, Event], list[Delta]]] = {
    "response.output_item.added": OutputReader.added,
    "response.refusal.delta": OutputReader.refuse,
    "response.reasoning_text.delta": OutputReader.think,
    "response.reasoning_summary_text.delta": OutputReader.summarize,
    "response.function_call_arguments.delta": OutputReader.argue,
    "response.custom_tool_call_input.delta": OutputReader.argue,
    "response.output_text.annotation.added": OutputReader.cite,
    **dict.fromkeys(PARTS, OutputReader.part_done),
    "response.function_call_arguments.done": OutputReader.call_done,
    "response.custom_tool_call_input.done": OutputReader.call_done,
    "response.output_item.done": OutputReader.item_done,
}


def _call_type(event: Event) -> str:
    custom = "custom_tool_call" in event["type"]
    return "custom_tool_call" if custom else "function_call"


def _arguments(call: Event) -> str:
    """Return a function's arguments, or a custom tool's input."""
    given = call.get("input") if "input" in call else call.get("arguments")
    if isinstance(given, Mapping):
        return orjson.dumps(given).decode()
    return text_in(given) or ""


def _argued(opened: OpenItem, arguments: str, name: str = "") -> list[Delta]:
    """Return a piece of a call; the first one has its *name*, and its id."""
    custom = opened.type == "custom_tool_call"
    begun: JSONObject = {}
    if name:
        begun["id"] = opened.call_id or None
        begun["type"] = "custom" if custom else "function"
    if custom:
        said = {"name": name, "input": arguments} if name else {"input": arguments}
        call = ToolCallDelta(index=opened.call, extra={"custom": said}, **begun)
    else:
        call = ToolCallDelta(
            index=opened.call, name=name or None, arguments=arguments or None, **begun
        )
    return [Delta(tool_calls=(call,))]
