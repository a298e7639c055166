"""A provider's live list of models, kept fresh in the background."""

import asyncio
from collections.abc import Mapping

import structlog

from .dialects.listed import ListedLimits
from .errors import ProviderError
from .provider import Provider

log = structlog.get_logger(__name__)

FRESH_FOR = 3600.0
RETRY_AFTER = 60.0
PROBE_EVERY = 30.0


class ModelList:
    """
    The models that *provider*'s upstream lists, and what it says of their *limits*;
    empty until it has answered.

    *trouble* says why it did not, the last time that it was asked.
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.models: tuple[str, ...] = ()
        self.limits: Mapping[str, ListedLimits] = {}
        self.trouble = "it has not been asked yet"

    async def refresh(self) -> bool:
        """Ask the upstream; keep the old list if it does not answer."""
        try:
            listing = await self.provider.list_models()
        except ProviderError as exc:
            self.trouble = exc.message
            # One that is merely looked for is missing more often than not.
            tell = log.debug if self.provider.settings.probe else log.info
            tell("no model list", provider=self.provider.id, reason=exc.message)
            return False
        self.models, self.limits = listing.names, listing.limits
        self.trouble = ""
        known = len(self.models)
        log.debug("models listed", provider=self.provider.id, models=known)
        return True

    async def keep_fresh(self) -> None:
        """
        Refresh now and then, for ever; sooner, but ever less often, on failure. One
        that is listed only while it answers is asked steadily.
        """
        wait = RETRY_AFTER
        while True:
            answered = await self.refresh()
            if self.provider.settings.probe:
                await asyncio.sleep(PROBE_EVERY)
            elif answered:
                wait = RETRY_AFTER
                await asyncio.sleep(FRESH_FOR)
            else:
                await asyncio.sleep(wait)
                wait = min(wait * 2, FRESH_FOR)
