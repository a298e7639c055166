"""What the tests of the transport ask for: a session, and providers that use it."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from providers import Limits, Provider, open_session
from providers.upstream import Waits
from tests.rig.provider_settings import settings_of

WAITS = Waits(linger=0.0)
Connect = Callable[..., Provider]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the providers' session."""
    async with open_session() as opened:
        yield opened


@pytest.fixture
def connect(session: aiohttp.ClientSession) -> Connect:
    """
    Make a provider of the upstream at a URL, with these settings besides.

    No connection of it outlives the test, unless *waits* say otherwise.
    """

    def make(
        url: str,
        *,
        problem: str = "",
        kind: str = "openai",
        public: aiohttp.ClientSession | None = None,
        waits: Waits = WAITS,
        **settings: Any,
    ) -> Provider:
        made = settings_of(id="Test", kind=kind, base_url=url, **settings)
        limits = made.limits(Limits())
        provider = Provider(made, limits, session, lambda: problem, public or session)
        provider.upstream.waits = waits
        return provider

    return make


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
