"""The items of an answer that are on their way, found by what their events say."""

from attrs import define, field

from providers.dialects.framing import EventTooLarge
from providers.json_types import JSON, JSONMapping

CALLS = ("function_call", "custom_tool_call")
MOST_ITEMS = 10_000
LONGEST_ITEM = 64 * 1024 * 1024


@define(eq=False)
class OpenItem:
    """
    An item of the output, and what of it has been passed on.

    *pieces* are its texts by their kind and the index of their part. *call* numbers a
    call among the answer's calls; a call can be shown once its *name* is known.
    *place* is where it stands in the whole output, once that has come.
    """

    type: str
    call: int = -1
    call_id: str = ""
    name: str = ""
    place: int = -1
    shown: bool = False
    done: bool = False
    pieces: dict[tuple[str, int], list[str]] = field(factory=dict)
    _size: int = 0

    def add(self, kind: str, part: int, text: str) -> None:
        """Take in a piece of a text; raises EventTooLarge if there is no end to it."""
        self.extend(kind, part, [text])

    def extend(self, kind: str, part: int, texts: list[str]) -> None:
        """Take in several of them."""
        self._size += sum(map(len, texts))
        if self._size > LONGEST_ITEM:
            raise EventTooLarge(f"an item is longer than {LONGEST_ITEM} characters")
        known = self.pieces.get((kind, part))
        if known is None:
            self.pieces[kind, part] = texts
        else:
            known += texts

    def said(self, kind: str) -> str:
        """Return what has come of a kind, all its parts together."""
        return "".join(
            piece
            for (known, _), pieces in sorted(self.pieces.items())
            if known == kind
            for piece in pieces
        )

    def missing(self, kind: str, whole: str, part: int | None = None) -> str:
        """
        Return what *whole* has besides what has come, and take it in.

        Nothing, if it is worded otherwise: what is shown can't be taken back. *part*
        None: it is all parts together.
        """
        said = self.said(kind)
        if part is not None:
            said = "".join(self.pieces.get((kind, part), ()))
        if not whole.startswith(said) or len(whole) == len(said):
            return ""
        rest = whole[len(said) :]
        self.add(kind, part or 0, rest)
        return rest


@define(eq=False)
class OpenItems:
    """
    The items of one answer.

    Events name theirs by `output_index` and by `item_id`. Copies leave out one or both,
    give several items one index, or make up another id each time: then the other
    counts, and where neither is known, the last item of the type that it must be.
    """

    calls: int = field(default=0, init=False)
    _items: list[OpenItem] = field(factory=list, init=False)
    _by_index: dict[int, OpenItem] = field(factory=dict, init=False)
    _by_id: dict[str, OpenItem] = field(factory=dict, init=False)
    _misnumbered: bool = field(default=False, init=False)
    _misnamed: bool = field(default=False, init=False)

    def open(self, event: JSONMapping, item: JSONMapping) -> OpenItem:
        """Return the item that an event adds; the one there is, if it comes again."""
        kind, name = _type(item), item.get("id") or item.get("call_id")
        known = self._by_id.get(name) if type(name) is str else None
        if known is not None and known.type == kind:
            return known
        index = event.get("output_index")
        self._misnumbered = self._misnumbered or index in self._by_index
        return self._new(kind, index, name)

    def of(self, event: JSONMapping, kind: str) -> OpenItem:
        """Return the item of a type that an event adds to; a new one if need be."""
        index, name = event.get("output_index"), event.get("item_id")
        known = self._named(index, name, kind)
        if known is not None:
            return known
        new_call = kind in CALLS and (name or index is not None)
        if type(index) is not int and not new_call:
            last = self._last(kind)
            if last is not None and not last.done:
                return last
        return self._new(kind, index, name)

    def done(self, event: JSONMapping, item: JSONMapping) -> OpenItem:
        """Return the item that an event gives as a whole."""
        index, name, kind = event.get("output_index"), item.get("id"), _type(item)
        known = self._named(index, name, kind) or self._called(item)
        if known is None and type(index) is not int:
            open_ = (it for it in self._items if it.type == kind and not it.done)
            known = next(open_, None)
        if known is not None and known.done and _differs(known, item):
            self._misnumbered = self._misnumbered or index in self._by_index
            self._misnamed = self._misnamed or name in self._by_id
            known = None
        return known or self._new(kind, index, name)

    def at(self, index: int, item: JSONMapping) -> OpenItem | None:
        """
        Return the item that stands at *index* of the whole output, a new one if there
        was no event about it; None where it can't be told which one it is.
        """
        kind, name = _type(item), item.get("id")
        known = self._named(index, name, kind)
        if known is not None and known.place not in (-1, index):
            self._misnamed, known = True, None  # two have one id
        for each in self._items[index : index + 1]:
            if known is None and each.type == kind:
                known = each
        if known is not None:
            known.place = index
            return known
        if index >= len(self._items):  # all that there were stand before it
            known = self._new(kind, index, name)
            known.place = index
            return known
        new = None if self._last(kind) else self._new(kind, index, name)
        return self._called(item) or new

    def unnamed(self) -> bool:
        """Whether there is a call whose name has never come."""
        return any(item.type in CALLS and not item.shown for item in self._items)

    def _named(self, index: JSON, name: JSON, kind: str) -> OpenItem | None:
        by_index = self._by_index.get(index) if type(index) is int else None
        if by_index is not None and by_index.type == kind and not self._misnumbered:
            return by_index
        by_id = self._by_id.get(name) if type(name) is str else None
        if by_id is not None and by_id.type == kind and not self._misnamed:
            return by_id
        known = by_index is not None and by_index.type == kind
        return by_index if known and not name else None

    def _called(self, item: JSONMapping) -> OpenItem | None:
        """Return the call that has the id by which its output will name it."""
        name = item.get("call_id")
        calls = (each for each in self._items if each.type == item.get("type"))
        return next((each for each in calls if name and each.call_id == name), None)

    def _last(self, kind: str) -> OpenItem | None:
        return next((item for item in self._items[::-1] if item.type == kind), None)

    def _new(self, kind: str, index: JSON, name: JSON) -> OpenItem:
        if len(self._items) == MOST_ITEMS:
            raise EventTooLarge(f"the answer has more than {MOST_ITEMS} items")
        item = OpenItem(kind)
        if kind in CALLS:
            item.call = self.calls
            self.calls += 1
        self._items.append(item)
        if type(index) is int:
            self._by_index[index] = item
        if type(name) is str and name:
            self._by_id[name] = item
        return item


def _differs(known: OpenItem, item: JSONMapping) -> bool:
    """Say whether an item is another call than the one that has its index or its id."""
    name = item.get("name")
    return known.type in CALLS and bool(name) and name != known.name


def _type(item: JSONMapping) -> str:
    return str(item.get("type"))
