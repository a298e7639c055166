"""What stands in front of the server: trusted proxies, and a path's prefix."""

from http import HTTPStatus
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from attrs import frozen
from multidict import MultiMapping
from yarl import URL

from server.config.server_settings import UNIX, ServerSettings
from server.errors import RouteNotFound

FORWARDED_FOR = "X-Forwarded-For"
FORWARDED_PROTO = "X-Forwarded-Proto"
SCHEMES = frozenset({"http", "https"})


@frozen
class Front:
    """
    *networks* are those of the proxies that are believed, *unix* whether whoever comes
    over the Unix socket is one; *prefix* is the path that all routes are below.
    """

    networks: tuple[IPv4Network | IPv6Network, ...]
    unix: bool
    prefix: str

    def trusts(self, address: str) -> bool:
        """Say whether *address* ("": the Unix socket) is a proxy that is believed."""
        parsed = _parsed(address)
        if parsed is None:
            return self.unix and not address
        return any(parsed in network for network in self.networks)

    def client(self, peer: str, headers: MultiMapping[str]) -> str:
        """
        Return the address of the client: the last hop, seen from it, that is no proxy
        of ours. What it says itself of hops before it, anybody can say.
        """
        address = peer
        values = headers.getall(FORWARDED_FOR, ())
        for hop in reversed(",".join(values).split(",")):
            parsed = _parsed(hop)
            if parsed is None or not self.trusts(address):
                break
            address = str(parsed)
        return address

    def scheme(self, peer: str, headers: MultiMapping[str]) -> str | None:
        """Return by which scheme the client came, if a proxy of ours says so."""
        if not self.trusts(peer):
            return None
        values = headers.getall(FORWARDED_PROTO, ())
        said = ",".join(values).rpartition(",")[2].strip().lower()
        return said if said in SCHEMES else None

    def inside(self, url: URL) -> URL:
        """
        Return *url* as it is below the prefix. Raises RouteNotFound if it is not; at
        the prefix itself that says where to go.
        """
        path = url.raw_path
        if path.startswith(f"{self.prefix}/"):
            rest = path.removeprefix(self.prefix)
            return url.with_path(rest, encoded=True, keep_query=True)
        error = RouteNotFound(f"All that is here is below {self.prefix}/.")
        if path == self.prefix:
            # Links of a page there would lead past the prefix.
            error.status = HTTPStatus.PERMANENT_REDIRECT
            error.headers["Location"] = f"{self.prefix}/"
        raise error


def front(settings: ServerSettings) -> Front | None:
    """Return what stands in front; None if nothing does, as it is with most."""
    named = settings.trusted_proxies
    if not named and not settings.path_prefix:
        return None
    networks = tuple(ip_network(each) for each in named if each != UNIX)
    return Front(networks, UNIX in named, settings.path_prefix)


def _parsed(hop: str) -> IPv4Address | IPv6Address | None:
    """Return the address of a hop, which may have a port."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
