"""Where a call may go, and through which proxy."""

import ipaddress
import socket
from urllib.request import getproxies, proxy_bypass

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PublicResolver(ThreadedResolver):
    """Knows public addresses only: for URLs that others name (against SSRF)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await super().resolve(host, port, family)
        if not all(is_public(result["host"]) for result in addresses):
            raise OSError(None, "the address is not a public one")
        return addresses


def is_public(host: str) -> bool:
    """Say whether a host, if it is an IP address, is one of the public internet."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and all(a.is_global for a in _inside(address))
    return address.is_global


def _inside(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that a gateway would take out of an IPv6 address."""
    addresses = [address.ipv4_mapped, address.sixtofour]
    if address in NAT64:
        addresses.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in addresses if each is not None]


def proxy_from_environment(url: URL) -> str | None:
    """Return the HTTP proxy that the environment names for *url*; none on loopback."""
    host = url.host or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
