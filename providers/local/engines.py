"""All embedded engines: those of a configuration run, others end."""

import asyncio
from collections.abc import Iterable

from providers.settings import ProviderSettings

from .engine import Engine


class Engines:
    """All embedded engines; *adopt* makes them those of a configuration."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Engine, asyncio.Task[None]]] = {}
        self._retired: set[asyncio.Task[None]] = set()

    async def adopt(
        self, wanted: Iterable[ProviderSettings], retire_after: float
    ) -> dict[str, Engine]:
        """
        Start the engines of *wanted* that do not run yet, and wait until each is ready
        or has failed once; return them all by provider id.

        The others end *retire_after* seconds later, when no stream of theirs can be
        left.
        """
        kept, old = {}, []
        for settings in wanted:
            engine, task = self._running.pop(settings.id, (None, None))
            if engine is None or task is None or engine.settings != settings:
                if task is not None:
                    old.append(task)
                engine = Engine(settings)
                name = f"engine:{settings.id}"
                task = asyncio.create_task(engine.keep_running(), name=name)
            kept[settings.id] = (engine, task)
        old += [task for _, task in self._running.values()]
        self._running = kept
        try:
            for engine, _ in kept.values():
                await engine.settled.wait()
        finally:
            # Until now, nobody could be told of those that follow them.
            for task in old:
                self._retire(task, retire_after)
        return {name: engine for name, (engine, _) in kept.items()}

    async def aclose(self) -> None:
        """Stop every engine and wait until its process is gone."""
        tasks = {task for _, task in self._running.values()} | self._retired
        self._running.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _retire(self, task: asyncio.Task[None], after: float) -> None:
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)
        asyncio.get_running_loop().call_later(after, task.cancel)
