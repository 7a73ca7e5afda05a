"""Where this server lets a client's URL send it: origins by name, addresses by number.

A client names a host, and a name means whatever its owner's DNS says at that moment.  So the address is
checked where it can no longer change: in the connector, on the very address a socket is made for.  The same
holds for every redirect, as each hop is a connection like the first.

An address is allowed when it is in one of the configured networks, or when it is globally reachable unicast
(IANA special-purpose address registries, RFC 6890).  An IPv6 address that carries an IPv4 one is judged by
that: IPv4-mapped, IPv4-compatible (RFC 4291 section 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056).
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

SCHEMES = ("http", "https")

REFUSED_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",  # loopback, RFC 1122
        "169.254.0.0/16",  # link-local, RFC 3927; clouds answer metadata on 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, RFC 1112, and the limited broadcast
    )
)
# All there is of global unicast (RFC 4291 section 2.4); loopback, fc00::/7 (with the metadata address
# fd00:ec2::254), fe80::/10 and multicast lie outside.
GLOBAL_IPV6 = IPv6Network("2000::/3")
REFUSED_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments with Teredo and ORCHID, RFC 2928
        "2001:db8::/32",  # documentation, RFC 3849
        "3fff::/20",  # documentation, RFC 9637
    )
)
# IPv6 networks whose addresses carry an IPv4 address, and by how many bits it is shifted.
CARRIERS = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
# inet_aton takes 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 for 127.0.0.1; no name in DNS ends in a number.
ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?$")


class NotAllowed(OSError):
    """The URL's origin or the host's address is refused.  An OSError: the connector tries the next one."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EACCES, message)
        self.message = message


class AddressGuard:
    """networks: CIDRs of addresses that are allowed though not public.

    origins: the only ones allowed, such as ``https://example.org:8443``; none: any.
    """

    def __init__(self, networks: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(text) for text in networks)
        self._origins = frozenset(origin(URL(text)) for text in origins)

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether that address may be connected to."""
        if any(address in network for network in self._networks):
            return True
        if isinstance(address, IPv4Address):
            return not any(address in network for network in REFUSED_IPV4)
        for network, shift in CARRIERS:
            if address in network:
                return self.allows(IPv4Address(int(address) >> shift & 0xFFFFFFFF))
        return address in GLOBAL_IPV6 and not any(address in network for network in REFUSED_IPV6)

    def check(self, url: URL) -> None:
        """What can be said before the host is looked up.  Raises `NotAllowed`."""
        if url.scheme not in SCHEMES:
            raise NotAllowed("Only http and https URLs are allowed")
        if not url.raw_host:
            raise NotAllowed("The URL has no host")
        if ":" not in url.raw_host and ENDS_IN_A_NUMBER.search(url.raw_host):
            try:
                IPv4Address(url.raw_host)
            except ValueError:
                raise NotAllowed("The host is a number, but no IPv4 address in four parts") from None
        if self._origins and origin(url) not in self._origins:
            raise NotAllowed("The URL's origin is not allowed")

    def open_socket(self, address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """The connector's socket for one address, as getaddrinfo gives it.  Raises `NotAllowed`."""
        family, kind, protocol, _, where = address
        if not self.allows(ip_address(str(where[0]))):
            raise NotAllowed("The host's address is not allowed")
        return socket.socket(family, kind, protocol)

    def connector(self, resolver: AbstractResolver | None = None) -> aiohttp.TCPConnector:
        """For one client; looks every host up anew.  resolver None: the system's."""
        return aiohttp.TCPConnector(
            resolver=resolver, use_dns_cache=False, limit=0, force_close=True, socket_factory=self.open_socket
        )


def origin(url: URL) -> tuple[str, str, int | None]:
    """RFC 6454 section 4: the default port is the same as that port written."""
    return url.scheme, (url.raw_host or "").lower(), url.port
