"""What the tests of the transport ask for: a session, and providers that use it."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from providers import Limits, Provider, ProviderSettings, open_session

Connect = Callable[..., Provider]


@pytest.fixture
async def session(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the providers' session; no connection of it outlives the test."""
    monkeypatch.setattr("providers.calls.chat.LINGER", 0.0)
    async with open_session() as opened:
        yield opened


@pytest.fixture
def connect(session: aiohttp.ClientSession) -> Connect:
    """Make a provider of the upstream at a URL, with these settings besides."""

    def make(
        url: str,
        *,
        problem: str = "",
        kind: str = "openai",
        public: aiohttp.ClientSession | None = None,
        **settings: Any,
    ) -> Provider:
        made = ProviderSettings(id="Test", kind=kind, base_url=url, **settings)
        limits = made.limits(Limits())
        return Provider(made, limits, session, lambda: problem, public or session)

    return make


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
