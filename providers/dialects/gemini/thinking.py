"""How much Gemini's models think, and which of them want their thoughts back."""

import re

from providers.dialects.translation import refused
from providers.json_types import JSONObject

VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
# The first models that think, and the first that are told how much by a level.
THINKS = (2, 5)
HAS_LEVELS = (3, 0)
# Models that answer 400 to any wish about thinking.
MEDIA_MODELS = re.compile(r"-(?:image|tts|audio|live)\b")
LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
# Tokens; each is within the bounds of all models that take a budget.
BUDGETS = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
# The least that the Pro models do, which can't be kept from thinking.
PRO_BUDGET = 128


def thinking_config(effort: str | None, model: str) -> JSONObject:
    """
    Ask for thoughts, and for as many as the client wants.

    Only where the model's name says that it thinks: others answer 400 to being asked.
    """
    if effort not in (None, *LEVELS):
        raise refused(f"there is no reasoning_effort {effort!r}")
    version = version_of(model)
    if version is None or version < THINKS or MEDIA_MODELS.search(model):
        return {}
    if effort is None:
        # The light models think only if told to, and refuse to show what isn't there.
        return {} if "-lite" in model else {"includeThoughts": True}
    shown = {} if effort in ("none", "minimal") else {"includeThoughts": True}
    if version >= HAS_LEVELS:
        return {"thinkingLevel": _level(LEVELS[effort], model, version), **shown}
    least = PRO_BUDGET if "-pro" in model else 0
    return {"thinkingBudget": max(BUDGETS[effort], least), **shown}


def _level(level: str, model: str, version: tuple[int, int]) -> str:
    """Return the nearest level that the model has: 3 Pro has but two."""
    if "-pro" not in model:
        return level
    if level == "MEDIUM" and version == HAS_LEVELS:
        return "HIGH"
    return "LOW" if level == "MINIMAL" else level


def needs_signatures(model: str) -> bool:
    """Say whether a model refuses calls that are not signed, as those since 3 do."""
    version = version_of(model)
    if version is None:
        return "gemini" in model  # such as gemini-flash-latest
    return version >= HAS_LEVELS


def version_of(model: str) -> tuple[int, int] | None:
    """Return a model's version, where its name tells."""
    found = VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None
