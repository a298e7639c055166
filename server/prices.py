"""Context lengths and prices of vendors' models, from a package that may be missing.

It takes 0.4 s and 32 MiB to import and 60 microseconds to ask, so that it is read in a
thread where it may know a provider, or somebody wants to know, and each answer is kept.
"""

import asyncio
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, NotRequired, TypedDict

from attrs import define, field

from providers import ProviderSettings

from .config.settings import ENGINE
from .json_types import Keywords
from .record.costs import Tariff, tariff

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, TieredPrices

# Returns what the package knows of a vendor's model.
Find = Callable[[str, str], "ModelInfo | None"]
PACKAGE = "genai_prices"
# Its ids for our vendors.
IDS = {
    "OpenAI": "openai",
    "AzureOpenAI": "azure",
    "Anthropic": "anthropic",
    "Gemini": "google",
    "Groq": "groq",
    "Mistral": "mistral",
    "DeepSeek": "deepseek",
    "xAI": "x-ai",
    "Together": "together",
    "Fireworks": "fireworks",
    "OpenRouter": "openrouter",
    "Cerebras": "cerebras",
    "Cohere": "cohere",
    "Moonshot": "moonshotai",
    "Perplexity": "perplexity",
    "Zai": "zai",
    "MiniMax": "minimax",
    "Novita": "novita",
    "Baseten": "baseten",
    "OVHcloud": "ovhcloud",
    "Avian": "avian",
    "Databricks": "databricks",
    "CloudflareAI": "cloudflare",
}
# Answers that are kept; some vendors have thousands of models.
MOST_KEPT = 20_000


Tokens = Annotated[int, Keywords(minimum=1)]
Dollars = Annotated[float, Keywords(minimum=0)]


class Pricing(TypedDict):
    """Dollars per million tokens."""

    input: Dollars
    output: Dollars


class ModelFacts(TypedDict):
    """What is known of a model; unknown fields are left out."""

    context_length: NotRequired[Tokens]
    max_output_tokens: NotRequired[Tokens]
    capabilities: NotRequired[Sequence[str]]
    pricing: NotRequired[Pricing]


@define(eq=False)
class Prices:
    """What the package knows, once it is loaded; without it, nothing."""

    _find: Find | None = None
    _kept: dict[tuple[str, str], ModelFacts] = field(factory=dict, init=False)
    # Those that have been asked for, by a provider's id and the model's name there.
    tariffs: dict[tuple[str, str], Tariff | None] = field(factory=dict, init=False)

    async def load(self) -> None:
        """Read the package in a thread, if it is installed."""
        if self._find is None and importlib.util.find_spec(PACKAGE) is not None:
            self._find = await asyncio.to_thread(_loaded)
            self.forget()

    def forget(self) -> None:
        """Forget what depends on the configuration."""
        self.tariffs.clear()

    def tariff(self, settings: ProviderSettings, model: str) -> Tariff | None:
        """Return what *model* costs there; None: nobody knows."""
        question = settings.id, model
        if question not in self.tariffs:
            if len(self.tariffs) >= MOST_KEPT:
                self.tariffs.clear()
            self.tariffs[question] = self._tariff(settings, model)
        return self.tariffs[question]

    def _tariff(self, settings: ProviderSettings, model: str) -> Tariff | None:
        if own := settings.prices.get(model):
            return tariff(*own, own=True)
        if self._find is None:
            return None
        return _tariff_of(self._find(_vendor(settings.id), model))

    def of(self, settings: ProviderSettings, model: str) -> ModelFacts:
        """Return what is known of *model* at the provider that *settings* describe."""
        facts = self._looked_up(settings, settings.models.get(model, model))
        if settings.kind == ENGINE:
            facts["context_length"] = settings.engine.context
        if settings.capabilities is not None:
            facts["capabilities"] = list(settings.capabilities)
        for name in (model, settings.models.get(model, model)):
            if own := settings.prices.get(name):
                facts["pricing"] = {"input": own[0], "output": own[1]}
        return facts

    def _looked_up(self, settings: ProviderSettings, model: str) -> ModelFacts:
        if self._find is None:
            return {}
        question = _vendor(settings.id), model
        if question not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[question] = _facts(self._find(*question))
        return self._kept[question].copy()


def worth_loading(ids: Iterable[str]) -> bool:
    """Say whether the package may know the prices of any of these providers."""
    return any(name in IDS for name in ids)


def _vendor(provider: str) -> str:
    return IDS.get(provider, provider.lower())


def _loaded() -> Find:
    from genai_prices import data_snapshot

    vendors = {each.id: each for each in data_snapshot.get_snapshot().providers}

    def find(vendor: str, model: str) -> "ModelInfo | None":
        known = vendors.get(vendor)
        return None if known is None else known.find_model(model)

    return find


def _facts(model: "ModelInfo | None") -> ModelFacts:
    """Return what one of the package's models says."""
    facts: ModelFacts = {}
    if model is None:
        return facts
    if model.context_window:
        facts["context_length"] = model.context_window
    prices = model.get_prices(datetime.now(UTC))
    prompt, answer = _dollars(prices.input_mtok), _dollars(prices.output_mtok)
    if prompt is not None and answer is not None:
        facts["pricing"] = {"input": prompt, "output": answer}
    return facts


def _tariff_of(model: "ModelInfo | None") -> Tariff | None:
    """Return what one of the package's models costs."""
    if model is None:
        return None
    prices = model.get_prices(datetime.now(UTC))
    given, made = _dollars(prices.input_mtok), _dollars(prices.output_mtok)
    if given is None:
        return None
    return tariff(
        given,
        made or 0.0,  # that of vectors costs nothing
        _dollars(prices.cache_read_mtok),
        _dollars(prices.cache_write_mtok),
    )


def _dollars(price: "Decimal | TieredPrices | None") -> float | None:
    """Return a price; that of short prompts, where it depends on their length."""
    if price is None:
        return None
    return float(price if isinstance(price, Decimal) else price.base)
