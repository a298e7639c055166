"""What a provider's table takes from the environment: keys, and parts of addresses."""

import re
from collections.abc import Collection, Iterator, Mapping

from attrs import frozen

from providers import ProviderSettings

# A value from the environment, by the first of the names that is set; the rest of a URL
# may follow: env:ENDPOINT|OLD_ENDPOINT/openai/v1
ENV = re.compile(r"env:(\w+(?:\|\w+)*)(.*)")
# A part of a base URL from the environment: https://{REGION}.example.com/v1
PART = re.compile(r"\{(\w+)\}")


@frozen
class Environment:
    """The variables that there are; *filed* are those that a file beside has."""

    variables: Mapping[str, str]
    filed: Collection[str] = ()

    def value(self, value: str) -> str:
        """Return *value*, or what `env:NAME` stands for, with what may follow it."""
        found = ENV.fullmatch(value)
        if found is None:
            return value
        names = [name for name in found[1].split("|") if self._has(name)]
        said = self._said(names[0] if names else found[1])
        return said.rstrip("/") + found[2] if found[2] else said

    def url(self, value: str) -> str:
        """Return a base URL likewise, with the variables within it."""
        return PART.sub(lambda part: self._said(part[1]), self.value(value))

    def missing(self, settings: ProviderSettings) -> list[str]:
        """Return the variables that must be set for this provider, and are not."""
        needed = [settings.base_url, *settings.headers.values()]
        if settings.api_key and not settings.key_optional:
            needed.insert(0, settings.api_key)
        found = (ENV.fullmatch(value) for value in needed)
        wanted = [each[1].split("|") for each in found if each is not None]
        wanted += [[name] for name in PART.findall(settings.base_url)]
        return [names[0] for names in wanted if not any(map(self._has, names))]

    def origin(self, settings: ProviderSettings) -> str:
        """Say which variables a provider's table names that are set, and from where."""
        values = [settings.api_key or "", settings.base_url, *settings.headers.values()]
        found = (ENV.fullmatch(value) for value in values)
        wanted = [each[1].split("|") for each in found if each is not None]
        wanted += [[name] for name in PART.findall(settings.base_url)]
        names = [next(filter(self._has, each), "") for each in wanted]
        return ", ".join(
            f"{name} from {'.env' if name in self.filed else 'the environment'}"
            for name in dict.fromkeys(filter(None, names))
        )

    def lack(self, name: str) -> str:
        """Say what is wrong with a variable that is missing."""
        unprintable = "has control characters"
        return f"{name} {unprintable if self._said(name) else 'is not set'}"

    def _has(self, name: str) -> bool:
        said = self._said(name)
        return bool(said) and said.isprintable()

    def _said(self, name: str) -> str:
        return self.variables.get(name, "").strip()


def bad_references(settings: ProviderSettings) -> Iterator[tuple[str, str]]:
    """Yield the keys of a table that name no variable where they should, and why."""
    values = {"api_key": settings.api_key or "", "base_url": settings.base_url}
    values |= {f"headers.{name}": value for name, value in settings.headers.items()}
    for key, value in values.items():
        if value.startswith("env:") and not ENV.fullmatch(value):
            yield (
                key,
                f"env: wants the name of a variable right after it, not {value!r}",
            )
