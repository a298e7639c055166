"""A provider's live list of models, kept fresh in the background."""

import asyncio

import structlog

from .errors import ProviderError
from .provider import Provider

log = structlog.get_logger(__name__)

FRESH_FOR = 3600.0
RETRY_AFTER = 60.0


class ModelList:
    """The models that *provider*'s upstream lists; empty until it has answered."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.models: tuple[str, ...] = ()

    async def refresh(self) -> bool:
        """Ask the upstream; keep the old list if it does not answer."""
        try:
            self.models = await self.provider.list_models()
        except ProviderError as exc:
            log.info("no model list", provider=self.provider.id, reason=exc.message)
            return False
        return True

    async def keep_fresh(self) -> None:
        """Refresh now and then, for ever; sooner, but ever less often, on failure."""
        wait = RETRY_AFTER
        while True:
            if await self.refresh():
                wait = RETRY_AFTER
                await asyncio.sleep(FRESH_FOR)
            else:
                await asyncio.sleep(wait)
                wait = min(wait * 2, FRESH_FOR)
