"""Whose a key is: of those in the configuration and of those managed at run time."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import structlog
from attrs import define, field

from server.config.settings import AuthSettings, KeySettings
from server.stores.keys import KeyStore

log = structlog.get_logger(__name__)

# Seconds after which a key that was revoked elsewhere lets nobody in any more.
REFRESH_EVERY = 1.0
# Seconds between two looks at the file for a key that nobody knows.
LOOK_EVERY = 0.2


@define(eq=False)
class KeyRing:
    """
    The keys that let clients in, by the SHA-256 of each (hexadecimal).

    That a lookup takes another time for another digest tells nothing of a key: who can
    choose the digest of a guess would have to know what it is made of.
    """

    _configured: Mapping[str, KeySettings]
    store: KeyStore | None
    _managed: Mapping[str, KeySettings] = field(factory=dict, init=False)
    _looked: float = field(default=-LOOK_EVERY, init=False)
    # Why the file can't be read; "" if it can.
    trouble: str = field(default="", init=False)

    @classmethod
    def of(cls, settings: AuthSettings) -> "KeyRing":
        store = KeyStore(Path(settings.store)) if settings.store else None
        return cls({key.sha256: key for key in settings.keys}, store)

    def find(self, digest: str) -> KeySettings | None:
        return self._configured.get(digest) or self._managed.get(digest)

    async def find_anew(self, digest: str) -> KeySettings | None:
        """Return whose a key is that was perhaps made a moment ago."""
        if self.store is not None and monotonic() - self._looked >= LOOK_EVERY:
            await self.refresh()
        return self.find(digest)

    async def keep_fresh(self) -> None:
        """Read the file every second, until cancelled."""
        while self.store is not None:
            await self.refresh()
            await asyncio.sleep(REFRESH_EVERY)

    async def refresh(self) -> None:
        """Read the file; if it can't be read, the keys that are known stay."""
        if self.store is None:
            return
        self._looked = monotonic()
        try:
            keys = await asyncio.to_thread(self.store.all)
        except (OSError, sqlite3.Error) as exc:
            if not self.trouble:
                log.warning(
                    "keys can't be read", file=str(self.store.path), why=str(exc)
                )
            self.trouble = str(exc)
            return
        self.trouble = ""
        self._managed = {key.settings.sha256: key.settings for key in keys}
