"""What has arrived and nobody has taken yet: pulled or pushed, with back pressure."""

import asyncio
import sys
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar


class Sequential(Protocol):
    """Bytes, or a list: something that can be cut and joined."""

    def __len__(self) -> int: ...

    def __add__(self, more: Self, /) -> Self: ...

    def __getitem__(self, part: slice, /) -> Self: ...


S = TypeVar("S", bound=Sequential)
Take = Callable[[S], bool]
End = Callable[[Exception | None], None]


class Inbox(Generic[S]):
    """
    The items between one who brings them and one who takes them.

    They are pulled (`wait`, then `take`), or pushed at once to a function that returns
    whether that is enough for now. The inbox is *full* then, and keeps what comes until
    `go_on`. No more than *most* items are pushed at a time. *over*: nothing follows;
    *error*: what broke it, until that is raised by `check`.
    """

    def __init__(self, empty: S, most: int = sys.maxsize) -> None:
        self.kept = empty
        self.full = False
        self.over = False
        self.error: Exception | None = None
        self._empty = empty
        self._most = most
        self._push: Take[S] | None = None
        self._push_end: End | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do but to wait."""
        return not (self.over or self.full or self.kept)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for what comes."""
        return self._waiter is not None

    def put(self, items: S) -> bool:
        """Bring some items; return whether that is enough for now."""
        push = self._push
        if push is None or self.full or self.kept:
            self.kept = self.kept + items if self.kept else items
            self.wake()
            return True
        if len(items) > self._most:
            self.kept = items
            self._pump()
        else:
            self.full = push(items)
        if self.full:
            self.wake()
        return self.full

    def end(self, error: Exception | None) -> None:
        """Bring the end: a good one, if there is no *error*."""
        self.over, self.error = True, error
        self._pump()
        self.wake()

    def take(self) -> S:
        """Take all that is kept."""
        items, self.kept = self.kept, self._empty
        return items

    def check(self) -> None:
        """Raise what broke it, if there is that, and forget it: it will know us."""
        if self.error is not None:
            raise self._let_go(self.error)

    def forget_frames(self) -> None:
        """Drop the traceback of an error that nobody will check: its frames know us."""
        if self.error is not None:
            self.error.__traceback__ = None

    def push_to(self, take: Take[S] | None, end: End | None = None) -> None:
        """Push what is kept and what comes, then its end; None: keep it again."""
        self._push, self._push_end = take, end
        self._pump()

    def go_on(self) -> bool:
        """Push again, after it was enough; return whether it is so once more."""
        self.full = False
        self._pump()
        return self.full

    def clear(self) -> None:
        """Push no more, and forget what is kept."""
        self._push = self._push_end = None
        self.kept = self._empty

    async def wait(self) -> None:
        """Wait until something has come, or nothing can come any more."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _let_go(self, error: Exception) -> Exception:
        # A variable for it beside the `raise` would form a reference cycle.
        self.error = None
        return error

    def _pump(self) -> None:
        """Push what is kept, until it is enough."""
        while self.kept and not self.full and self._push is not None:
            part, self.kept = self.kept, self._empty
            if len(part) > self._most:
                part, self.kept = part[: self._most], part[self._most :]
            self.full = self._push(part)
        if self.over and not self.kept and not self.full:
            end, self._push_end = self._push_end, None
            if end is not None:
                end(self.error)
