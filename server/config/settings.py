"""The configuration that a server runs with: one frozen tree."""

import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from math import inf
from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, in_, lt, min_len

from providers import Limits, ProviderSettings

from .server_settings import ServerSettings
from .store_settings import (
    MediaSettings,
    ResponseSettings,
    StateSettings,
    UsageSettings,
)
from .tls import Certificate

ENGINE = "llamacpp"
QUANTILE = re.compile(r"p([1-9]\d?(?:\.\d+)?)")
# Money is counted in whole nano-dollars, exactly up to here in any language.
MOST_DOLLARS = 90_000.0


@frozen(kw_only=True)
class LogSettings:
    level: str = field(
        default="info", validator=in_(("debug", "info", "warning", "error"))
    )
    format: str = field(default="text", validator=in_(("text", "json")))
    races_file: str = ""
    races_max_bytes: int = field(default=100 * 1024 * 1024, validator=ge(1))
    races_backups: int = field(default=5, validator=ge(1))

    def races_path(self, worker: int | None) -> Path | None:
        """Return where races are written; each of several workers has its own file."""
        if not self.races_file:
            return None
        path = Path(self.races_file)
        if worker is None:
            return path
        return path.with_name(f"{path.stem}-{worker}{path.suffix}")


@frozen(kw_only=True, cache_hash=True)  # each request looks things up by it
class KeySettings:
    """
    An API key that clients may use, known by its SHA-256 (hexadecimal) only: which
    *providers* and *models* it may use, until when (*expires*, RFC 3339; "": for ever),
    and how much of them. A limit of 0 is none. *streams* are answers at once.
    """

    name: str = field(validator=min_len(1))
    sha256: str = field(repr=False)
    providers: tuple[str, ...] = ("*",)
    models: tuple[str, ...] = ("*",)
    admin: bool = False
    requests_per_minute: int = field(default=0, validator=ge(0))
    tokens_per_minute: int = field(default=0, validator=ge(0))
    tokens_per_day: int = field(default=0, validator=ge(0))
    dollars_per_day: float = field(default=0.0, validator=[ge(0), lt(MOST_DOLLARS)])
    dollars_per_month: float = field(default=0.0, validator=[ge(0), lt(MOST_DOLLARS)])
    streams: int = field(default=0, validator=ge(0))
    expires: str = field(default="")

    @sha256.validator
    def _is_digest(self, _: object, value: str) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", value):
            # Perhaps it is the key itself: it is not repeated.
            raise ValueError(
                "'sha256' must be the SHA-256 of the key, 64 hexadecimal digits"
            )

    @expires.validator
    def _is_instant(self, _: object, value: str) -> None:
        if value:
            instant(value)

    @property
    def id(self) -> str:
        """Return what names it without telling it."""
        return self.sha256[:16]

    def may_use(self, provider: str) -> bool:
        return "*" in self.providers or same_id(provider) in map(
            same_id, self.providers
        )

    def may_ask_for(self, model: str) -> bool:
        """
        Say whether *model* is one of those that it may ask for, whose names may have
        `*` for any characters, and be less what stands before the last slash.
        """
        names = (model.lower(), model.lower().rpartition("/")[2])
        return any(
            fnmatchcase(name, each.lower()) for each in self.models for name in names
        )

    def expired(self, now: float) -> bool:
        """Say whether it may be used no more at *now*, in seconds since the epoch."""
        return bool(self.expires) and now >= instant(self.expires)


@frozen(kw_only=True)
class AuthSettings:
    """Who may come in: *keys*, and those that *store*, an SQLite file, has."""

    store: str = ""
    keys: tuple[KeySettings, ...] = ()

    @property
    def asks(self) -> bool:
        """Say whether a key is needed at all."""
        return bool(self.keys or self.store)


@frozen(kw_only=True)
class RaceSettings(Limits):
    strategy: str = "race"
    default_providers: tuple[str, ...] = ()
    max_racers: int = field(default=8, validator=ge(1))
    hedge_delay: float | str = field(default="p90")
    hedge_budget: float = field(default=0.1, validator=ge(0))

    @hedge_delay.validator
    def _is_delay(self, _: object, value: float | str) -> None:
        if isinstance(value, str):
            wrong = not QUANTILE.fullmatch(value)
        else:
            wrong = not 0 <= value < inf
        if wrong:
            raise ValueError(
                "'hedge_delay' must be seconds, or a quantile of a provider's own time"
                " to first token, as 'p90'"
            )


@frozen(kw_only=True)
class MetricsSettings:
    """Whether /metrics needs no key, also where other machines can reach it."""

    public: bool = False


@frozen(kw_only=True)
class TelemetrySettings:
    """
    Whether requests are traced (*enabled*), and the names of the keys whose requests go
    on with a trace that they name (*trusted_keys*).
    """

    enabled: bool = False
    trusted_keys: tuple[str, ...] = ()


@frozen(kw_only=True)
class ModelSettings:
    """A model id that carries a race; *model* is what its racers are asked for."""

    providers: tuple[str, ...] = field(validator=min_len(1))
    strategy: str | None = None
    model: str | None = None


@frozen(kw_only=True)
class Sections:
    """
    All of the file but its providers, which are merged with the built-in ones before
    they are read.
    """

    server: ServerSettings = field(factory=ServerSettings)
    log: LogSettings = field(factory=LogSettings)
    auth: AuthSettings = field(factory=AuthSettings)
    race: RaceSettings = field(factory=RaceSettings)
    media: MediaSettings = field(factory=MediaSettings)
    responses: ResponseSettings = field(factory=ResponseSettings)
    metrics: MetricsSettings = field(factory=MetricsSettings)
    state: StateSettings = field(factory=StateSettings)
    usage: UsageSettings = field(factory=UsageSettings)
    telemetry: TelemetrySettings = field(factory=TelemetrySettings)
    models: Mapping[str, ModelSettings] = field(factory=dict)
    providers: None = field(default=None, metadata={"read": False})


@frozen(kw_only=True)
class Config:
    """
    What the server runs with.

    *providers* has every configured or built-in provider by id; *off* says of those
    that can't be used what they lack, *origins* of all from where their variables are.
    *left_out* says which installed packages could not be used, and why. *tls* is what
    the server's certificate and its key were when they were read.
    """

    server: ServerSettings
    log: LogSettings
    auth: AuthSettings
    race: RaceSettings
    media: MediaSettings
    responses: ResponseSettings
    metrics: MetricsSettings
    state: StateSettings
    usage: UsageSettings
    telemetry: TelemetrySettings
    models: Mapping[str, ModelSettings]
    providers: Mapping[str, ProviderSettings]
    off: Mapping[str, str]
    origins: Mapping[str, str] = field(factory=dict)
    left_out: tuple[str, ...] = ()
    tls: Certificate = field(factory=Certificate)

    def on(self) -> list[str]:
        """Return the ids of the providers that are on."""
        return [name for name in self.providers if name not in self.off]

    def engines(self) -> list[ProviderSettings]:
        """Return the settings of the embedded engines that are on."""
        return [
            settings
            for settings in self.providers.values()
            if settings.kind == ENGINE and settings.id not in self.off
        ]


@lru_cache
def instant(text: str) -> float:
    """Return an RFC 3339 instant in seconds since the epoch. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            f"'expires' must be an instant with its time zone, as"
            f" '2027-01-31T00:00:00Z', not {text!r}"
        )
    return moment.timestamp()


def same_id(name: str) -> str:
    """Return what two spellings of one provider's id share: not case, `-` or `_`."""
    return name.lower().replace("-", "").replace("_", "")
