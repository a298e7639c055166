"""What a running server holds: its configuration, and all that depends on it."""

import asyncio
import os
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import structlog

from providers import ModelList, Provider, ProviderSettings

from .config.settings import ENGINE, Config, KeySettings, LogSettings
from .prices import Prices
from .racing.catalog import Catalog
from .racing.choosing import Chooser
from .racing.health import Health
from .racing.strategies import Budget
from .record.file import RaceFile
from .record.log import RaceLog
from .record.metrics import Metrics
from .record.process import Process
from .record.shared_races import SharedRaces
from .record.shared_rests import share_rests
from .record.story import Story
from .stores.media import MediaStore
from .web.draining import Drain
from .web.unread import UnreadBodies
from .web.wrong_keys import WrongKeys

log = structlog.get_logger(__name__)

# Seconds before a background task that an unforeseen error has ended starts again.
AFTER_ERROR = 60.0


class RunningEngine(Protocol):
    """An embedded engine, run by this process or by the one that started it."""

    @property
    def problem(self) -> str: ...

    def upstream(self, settings: ProviderSettings) -> ProviderSettings: ...


class Gateway:
    """
    The configuration in force and its providers, swapped as a whole by `adopt`.

    A request keeps the racers that were chosen for it, so that a reload changes nothing
    for whoever is being answered.
    """

    config: Config
    catalog: Catalog
    chooser: Chooser
    media: MediaStore

    def __init__(
        self,
        session: aiohttp.ClientSession,
        public_session: aiohttp.ClientSession,
        process: Process | None = None,
    ) -> None:
        process = process or Process()
        self.channel = process.channel
        self.metrics = Metrics(process.counters)
        self.health = Health()
        share_rests(self.health, self.channel)
        self.races = RaceLog()
        self.all_races = SharedRaces(self.races, self.channel)
        self.prices = Prices()
        self._keys: tuple[KeySettings, ...] = ()
        self._worker = process.number
        self._races_file: RaceFile | None = None
        self._budget = Budget()
        self.drain = Drain()
        self.unread = UnreadBodies()
        self.wrong_keys = WrongKeys()
        self._session = session
        self._public_session = public_session
        self._refreshing: list[asyncio.Task[None]] = []

    def adopt(
        self,
        config: Config,
        engines: Mapping[str, RunningEngine],
        *,
        refresh: bool = True,
    ) -> None:
        """
        Serve with *config* from now on; *engines* are those that it wants, by id.

        *refresh*: keep the providers' lists of models fresh in the background.
        """
        lists = {
            name: ModelList(self._provider(settings, config, engines))
            for name, settings in config.providers.items()
            if name not in config.off
        }
        # What can fail is made before anything of it is in force.
        media = MediaStore(config.media, os.environ)
        catalog = Catalog(config, lists)
        chooser = Chooser(config, catalog, self.health, self._budget)
        if self._keys != config.auth.keys:
            self.races.dismiss()  # whoever listens may be allowed less now
        self._keys = config.auth.keys
        self.config, self.media = config, media
        self.catalog, self.chooser = catalog, chooser
        self._open_file(config.log)
        self._stop_refreshing()
        self._refreshing = [
            asyncio.create_task(_refreshed(models), name=f"models:{name}")
            for name, models in lists.items()
            if refresh
        ]

    def finished(self, story: Story) -> None:
        """Count and log a race that has ended."""
        self.metrics.count_race(story)
        entry = story.entry()
        self.all_races.add(entry)
        if self._races_file is not None:
            self._races_file.write(entry.json())

    def _open_file(self, settings: LogSettings) -> None:
        """Open the file of races, again if it was open: it may have been moved away."""
        if self._races_file is not None:
            self._races_file.close()
        self._races_file = None
        path = settings.races_path(self._worker)
        if path is not None:
            try:
                self._races_file = RaceFile(
                    path, settings.races_max_bytes, settings.races_backups
                )
            except OSError as exc:
                log.warning("races are not written", file=str(path), why=exc.strerror)

    async def aclose(self) -> None:
        if self._races_file is not None:
            self._races_file.close()
        tasks = self._refreshing
        self._stop_refreshing()
        if tasks:
            await asyncio.wait(tasks)

    def _stop_refreshing(self) -> None:
        for task in self._refreshing:
            task.cancel()

    def _provider(
        self,
        settings: ProviderSettings,
        config: Config,
        engines: Mapping[str, RunningEngine],
    ) -> Provider:
        limits = settings.limits(config.race)
        problem = no_problem
        if settings.kind == ENGINE:
            engine = engines[settings.id]
            settings = engine.upstream(settings)

            def problem() -> str:
                return engine.problem

        return Provider(settings, limits, self._session, problem, self._public_session)


async def _refreshed(models: ModelList) -> None:
    """Keep a list of models fresh, whatever unforeseen thing an upstream says."""
    while True:
        try:
            await models.keep_fresh()
        except Exception as exc:
            provider = models.provider.id
            log.exception("no model list", provider=provider, reason=repr(exc))
            await asyncio.sleep(AFTER_ERROR)


def no_problem() -> str:
    return ""
