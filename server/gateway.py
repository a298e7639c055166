"""What a running server holds: its configuration, and all that depends on it."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import aiohttp
import structlog
from attrs import field, frozen

from providers import ModelList, Provider, ProviderSettings

from .background import Background
from .config.settings import ENGINE, AuthSettings, Config, LogSettings
from .limits.limiter import Limiter
from .prices import Prices, worth_loading
from .racing.catalog import Catalog
from .racing.choosing import Chooser
from .racing.health import Health
from .racing.strategies import Budget
from .record.channel import Channel, OnlyProcess
from .record.costs import Tariff
from .record.counters import CounterSlots
from .record.file import RaceFile
from .record.live import ENDED, LiveEvent, LiveRaces
from .record.log import RaceLog
from .record.metrics import Metrics
from .record.shared_budget import SharedBudget
from .record.shared_races import SharedRaces
from .record.shared_records import SharedRecords
from .record.shared_rests import share_rests
from .record.story import Story
from .record.usage import Ledger, SharedUsage
from .stores.media import MediaStore
from .web.draining import Drain
from .web.front import Front, front
from .web.key_ring import KeyRing
from .web.unread import UnreadBodies
from .web.wrong_keys import WrongKeys

if TYPE_CHECKING:
    from .record.tracing import Tracing

log = structlog.get_logger(__name__)


class RunningEngine(Protocol):
    """An embedded engine, run by this process or by the one that started it."""

    @property
    def problem(self) -> str: ...

    def upstream(self, settings: ProviderSettings) -> ProviderSettings: ...


@frozen(kw_only=True)
class Shared:
    """
    What a process shares with the others of its server: the *channel* to them, the
    *counters* of all, the limits of keys, and what is used (*ledger*, where it writes
    that itself). *worker* is its number, if there are several; *tracing*
    makes its traces, if any.
    """

    channel: Channel = field(factory=OnlyProcess)
    counters: CounterSlots = field(factory=CounterSlots)
    limiter: Limiter = field(factory=Limiter)
    ledger: Ledger | None = None
    worker: int | None = None
    tracing: "Tracing | None" = None


class Gateway:
    """
    The configuration in force and its providers, swapped as a whole by `adopt`.

    A request keeps the racers that were chosen for it, so that a reload changes nothing
    for whoever is being answered.
    """

    config: Config
    # What a request is looked at for before all else, if there is anything.
    front: Front | None
    catalog: Catalog
    chooser: Chooser
    media: MediaStore
    keys: KeyRing

    def __init__(
        self,
        session: aiohttp.ClientSession,
        public_session: aiohttp.ClientSession,
        shared: Shared | None = None,
    ) -> None:
        shared = shared or Shared()
        self.channel = shared.channel
        self.metrics = Metrics(shared.counters)
        self.limiter = shared.limiter
        self.health = Health()
        share_rests(self.health, self.channel)
        self.records = SharedRecords(self.health, self.channel, shared.counters)
        self.races = RaceLog()
        self.all_races = SharedRaces(self.races, self.channel)
        self.live = LiveRaces(self.channel)
        self.usage = SharedUsage(self.channel, shared.ledger)
        self.prices = Prices()
        self.tracing = shared.tracing
        self._auth = AuthSettings()
        self._worker = shared.worker
        self._races_file: RaceFile | None = None
        self._budget = _budget(shared.counters)
        self.drain = Drain()
        self.unread = UnreadBodies()
        self.wrong_keys = WrongKeys()
        self._session = session
        self._public_session = public_session
        self._background = Background()

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
        # All that can fail is made before anything changes.
        media = MediaStore(config.media, os.environ)
        catalog = Catalog(config, lists)
        chooser = Chooser(config, catalog, self.health, self._budget)
        if self._auth != config.auth:
            self.live.dismiss()  # listeners' keys may show them less now
        self._auth = config.auth
        self.keys = KeyRing.of(config.auth)
        self.config, self.media = config, media
        self.front = front(config.server)
        self.catalog, self.chooser = catalog, chooser
        self.prices.forget()
        self._open_file(config.log)
        self._background.stop()
        if refresh:
            self._refresh(lists)

    def _refresh(self, lists: Mapping[str, ModelList]) -> None:
        """Keep fresh what others than the configuration decide."""
        for name, models in lists.items():
            self._background.start(f"models:{name}", models.keep_fresh)
        self._background.start("keys", self.keys.keep_fresh)
        if worth_loading(self.config.on()):
            self._background.start("prices", self.prices.load)

    def tariff(self, provider: str, model: str) -> Tariff | None:
        """Return what a provider's model costs; None: nobody knows."""
        try:
            return self.prices.tariffs[provider, model]
        except KeyError:  # the first time
            settings = self.settings_of(provider)
            return None if settings is None else self.prices.tariff(settings, model)

    def settings_of(self, provider: str) -> ProviderSettings | None:
        """Return the settings of the provider with this id, unless it is gone."""
        return self.config.providers.get(provider)

    @property
    def races_trouble(self) -> str:
        """Why races are not written to their file; "" if they are, or have none."""
        return "" if self._races_file is None else self._races_file.trouble

    def finished(self, story: Story) -> None:
        """Count and log a race that has ended."""
        self.metrics.count_race(story)
        entry = story.entry()
        self.all_races.add(entry)
        if self.live.followed:
            self.live.tell(LiveEvent(ENDED, entry.owner, entry.json()))
        if self._races_file is not None:
            self._races_file.write(entry.json())

    def _open_file(self, settings: LogSettings) -> None:
        """Open the file of races, again if it was open: it may have been moved away."""
        if self._races_file is not None:
            self._races_file.close()
        self._races_file = None
        path = settings.races_path(self._worker)
        if path is not None:
            self._races_file = RaceFile(
                path, settings.races_max_bytes, settings.races_backups
            )

    async def aclose(self) -> None:
        if self._races_file is not None:
            self._races_file.close()
        await self._background.aclose()
        if self.tracing is not None:
            await self.tracing.aclose()

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


def _budget(counters: CounterSlots) -> Budget:
    return SharedBudget(counters) if counters.shared else Budget()


def no_problem() -> str:
    return ""
