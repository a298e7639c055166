"""Settings of providers by the keys of their tables, whichever record has them."""

from typing import Any

import attrs

from providers import ProviderSettings


def settings_of(**keys: Any) -> ProviderSettings:
    """Return the settings of a provider with these keys."""
    first = {name: keys.pop(name) for name in ("id", "kind")}
    return changed(ProviderSettings(**first), **keys)


def changed(settings: ProviderSettings, **keys: Any) -> ProviderSettings:
    """Return *settings* with other values of these keys; raises TypeError."""
    parts: dict[str, Any] = {}
    for name, part in _parts(settings).items():
        names = {each.name for each in attrs.fields(type(part))} & keys.keys()
        parts[name] = attrs.evolve(part, **{each: keys.pop(each) for each in names})
    return attrs.evolve(settings, **parts, **keys)


def value_of(settings: ProviderSettings, key: str) -> Any:
    """Return the value of a key; raises AttributeError."""
    for part in _parts(settings).values():
        if hasattr(part, key):
            return getattr(part, key)
    return getattr(settings, key)


def _parts(settings: ProviderSettings) -> dict[str, Any]:
    """Return the records whose keys stand in the same table."""
    fields = attrs.fields(ProviderSettings)
    flat = [each.name for each in fields if each.metadata.get("flat")]
    return {name: getattr(settings, name) for name in flat}
