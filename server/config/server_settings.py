"""Where the server listens, to whom, and how patient it is with clients."""

import ipaddress
import re

from attrs import field, frozen
from attrs.validators import deep_iterable, ge, gt, le, matches_re, min_len

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


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
