"""What every benchmark is given: the servers to measure, started when first needed."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from attrs import define, field

from .contenders import Contender, Field, Start

TURNS = 5


@define(eq=False)
class Bench:
    """The upstream, and the *contenders* in front of it; they end with *stack*."""

    upstream: Field
    stack: AsyncExitStack
    starts: Mapping[str, Start]
    _running: list[Contender] = field(factory=list, init=False)

    async def contenders(self, *names: str) -> list[Contender]:
        """Return those of *names*, or all of them, running."""
        started = {each.name for each in self._running}
        for name in names or self.starts:
            if name not in started:
                contender = await self.stack.enter_async_context(self.starts[name]())
                self._running.append(contender)
        return [each for each in self._running if not names or each.name in names]


async def compared(
    measures: Mapping[str, Callable[[], Awaitable[float]]], turns: int = TURNS
) -> dict[str, list[float]]:
    """
    Take each of *measures* once a turn, so that noise meets them all alike.

    A first turn warms everything up, and does not count.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(turns + 1):
        for name, measure in measures.items():
            value = await measure()
            if turn:
                values[name].append(value)
    return values


async def compared_all(
    measure: Callable[[Contender], Awaitable[float]],
    contenders: Iterable[Contender],
    turns: int = TURNS,
) -> dict[str, list[float]]:
    """Measure each of *contenders* once a turn."""
    return await compared({c.name: partial(measure, c) for c in contenders}, turns)
