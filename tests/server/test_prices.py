"""What the list of models tells beside their names."""

import sys

import pytest

from providers import ProviderSettings
from server.prices import Prices
from tests.rig.provider_settings import settings_of

OPENAI = ProviderSettings(
    id="OpenAI",
    kind="openai",
    models={"mine": "gpt-4o"},
    prices={"own": (1.0, 2.0), "gpt-4o-mini": (0.5, 0.25)},
)
SMALL = settings_of(id="Small", kind="llamacpp", context=2048, capabilities=("chat",))


@pytest.fixture
async def prices() -> Prices:
    made = Prices()
    await made.load()
    return made


async def test_known_models(prices: Prices) -> None:
    """Context and prices are those of the vendor, also by a name of the user's own."""
    assert prices.of(OPENAI, "gpt-4o") == prices.of(OPENAI, "mine")
    assert prices.of(OPENAI, "gpt-4o") == {
        "context_length": 128_000,
        "pricing": {"input": 2.5, "output": 10.0},
    }


async def test_configured_prices(prices: Prices) -> None:
    """They go before known ones, and change nothing for others."""
    assert prices.of(OPENAI, "own") == {"pricing": {"input": 1.0, "output": 2.0}}
    assert prices.of(OPENAI, "gpt-4o-mini")["pricing"] == {"input": 0.5, "output": 0.25}
    assert prices.of(OPENAI, "nothing") == {}


async def test_an_embedded_model(prices: Prices) -> None:
    """Its context is the configured one, its capabilities are the known ones."""
    assert prices.of(SMALL, "small") == {
        "context_length": 2048,
        "capabilities": ["chat"],
    }


async def test_prices_that_depend_on_length(prices: Prices) -> None:
    """The price of a short prompt is told."""
    google = ProviderSettings(id="Gemini", kind="gemini")

    assert prices.of(google, "gemini-2.5-pro")["pricing"]["input"] == 1.25


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known, and nothing is missed."""
    monkeypatch.setattr("server.prices.PACKAGE", "no_such_package")
    prices = Prices()

    await prices.load()

    assert prices.of(OPENAI, "gpt-4o") == {}
    assert "no_such_package" not in sys.modules
