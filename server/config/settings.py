"""The configuration that a server runs with: one frozen tree."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from math import inf
from pathlib import Path

from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, in_, le, lt, matches_re, min_len

from providers import Limits, ProviderSettings

from .tls import Certificate

ENGINE = "llamacpp"
QUANTILE = re.compile(r"p([1-9]\d?(?:\.\d+)?)")
# Money is counted in whole nano-dollars, exactly up to here in any language.
MOST_DOLLARS = 90_000.0
# The proxy that comes over the Unix socket, in `trusted_proxies`.
UNIX = "unix"
# Segments of letters that mean the same in every URL, and none that leads upwards.
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
ORIGIN = r"\*|[a-z][a-z0-9+.-]*://[^/\s]+"


@frozen(kw_only=True)
class ServerSettings:
    host: str = field(default="127.0.0.1", validator=min_len(1))
    port: int = field(default=1337, validator=[ge(0), le(65535)])
    workers: int = field(default=1, validator=[ge(1), le(256)])
    max_body_bytes: int = field(default=16 * 1024 * 1024, validator=ge(1))
    header_timeout: float = field(default=15.0, validator=gt(0))
    body_timeout: float = field(default=30.0, validator=gt(0))
    max_connections: int = field(default=10_000, validator=ge(1))
    max_connections_per_address: int = field(default=1000, validator=ge(0))
    trusted_proxies: tuple[str, ...] = field(default=())
    tls_certificate: str = ""
    tls_key: str = ""
    path_prefix: str = field(default="")
    unix_socket: str = ""
    ping_interval: float = field(default=15.0, validator=gt(0))
    header_hold: float = field(default=10.0, validator=ge(0))
    shutdown_timeout: float = field(default=30.0, validator=ge(0))
    cors_origins: tuple[str, ...] = field(
        default=("http://localhost:*", "http://127.0.0.1:*"),
        validator=deep_iterable(matches_re(ORIGIN)),
    )
    allowed_hosts: tuple[str, ...] = ()

    @trusted_proxies.validator
    def _are_networks(self, _: object, value: tuple[str, ...]) -> None:
        for each in value:
            if each != UNIX:
                try:
                    ipaddress.ip_network(each)
                except ValueError as exc:
                    raise ValueError(
                        "'trusted_proxies' must be addresses, networks as '10.0.0.0/8',"
                        f" or 'unix': {exc}"
                    ) from exc

    @path_prefix.validator
    def _is_prefix(self, _: object, value: str) -> None:
        if not PREFIX.fullmatch(value):
            raise ValueError(
                "'path_prefix' must be a path as '/llm': it begins with '/', does not"
                " end with one, and has letters, digits, '.', '_', '~' and '-' only"
            )

    def reached_by_others(self) -> bool:
        """Say whether other machines may connect."""
        return not (self.unix_socket or is_loopback(self.host))


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
class MediaSettings:
    """Where generated images are kept, and how many of them, for how many seconds."""

    directory: str = ""
    max_bytes: int = field(default=1024 * 1024 * 1024, validator=ge(1))
    max_age: float = field(default=604_800.0, validator=gt(0))


@frozen(kw_only=True)
class ResponseSettings:
    """
    Where the responses of /v1/responses are kept ("": in memory), and how many of them,
    for how many seconds after their last use.
    """

    path: str = ""
    max_entries: int = field(default=10_000, validator=ge(1))
    max_bytes: int = field(default=64 * 1024 * 1024, validator=ge(1))
    max_age: float = field(default=2_592_000.0, validator=gt(0))


@frozen(kw_only=True)
class MetricsSettings:
    """Whether /metrics needs no key, also where other machines can reach it."""

    public: bool = False


@frozen(kw_only=True)
class StateSettings:
    """
    The Redis or Valkey that several machines share (*url*), and who is let in while it
    is away: "local", each replica's share of the limits; "open", all; "closed", nobody.
    """

    url: str = field(default="", repr=False)
    on_failure: str = field(default="local", validator=in_(("local", "open", "closed")))


@frozen(kw_only=True)
class TelemetrySettings:
    """
    Whether requests are traced (*enabled*), and the names of the keys whose requests go
    on with a trace that they name (*trusted_keys*).
    """

    enabled: bool = False
    trusted_keys: tuple[str, ...] = ()


@frozen(kw_only=True)
class UsageSettings:
    """Where it is stored what was used, for how much ("": in memory)."""

    path: str = ""


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

    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()
    race: RaceSettings = RaceSettings()
    media: MediaSettings = MediaSettings()
    responses: ResponseSettings = ResponseSettings()
    metrics: MetricsSettings = MetricsSettings()
    state: StateSettings = StateSettings()
    usage: UsageSettings = UsageSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
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


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
