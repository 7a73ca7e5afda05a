"""Where this server lets a client's URL send it: origins by name, addresses by number.

A client names a host, and a name means whatever its owner's DNS says at that moment.  So the address is
checked where it can no longer change: in the connector, on the very address a socket is made for.  The same
holds for every redirect, as each hop is a connection like the first.  Which addresses are allowed is said in
core/addresses.py.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from roomtone.control.core.addresses import Allowed, is_odd_number
from roomtone.control.io.resolver import Resolver

SCHEMES = ("http", "https")


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
        self._allowed = Allowed(networks)
        self._origins = frozenset(origin(URL(text)) for text in origins)

    def check(self, url: URL) -> None:
        """What can be said before the host is looked up.  Raises `NotAllowed`."""
        if url.scheme not in SCHEMES:
            raise NotAllowed("Only http and https URLs are allowed")
        if not url.raw_host:
            raise NotAllowed("The URL has no host")
        if is_odd_number(url.raw_host):
            raise NotAllowed("The host is a number, but no IPv4 address in four parts")
        if self._origins and origin(url) not in self._origins:
            raise NotAllowed("The URL's origin is not allowed")

    def open_socket(self, address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """The connector's socket for one address, as getaddrinfo gives it.  Raises `NotAllowed`."""
        family, kind, protocol, _, where = address
        if ip_address(str(where[0])) not in self._allowed:
            raise NotAllowed("The host's address is not allowed")
        return socket.socket(family, kind, protocol)

    def connector(
        self, resolver: AbstractResolver | None = None, keep_alive_s: float | None = None
    ) -> aiohttp.TCPConnector:
        """For one client; looks every host up anew, for each connection.

        resolver None: the system's.  keep_alive_s: how long an idle connection is kept; None: it is not.
        """
        return aiohttp.TCPConnector(
            resolver=resolver or Resolver(),
            use_dns_cache=False,
            limit=0,
            force_close=keep_alive_s is None,
            keepalive_timeout=keep_alive_s,
            socket_factory=self.open_socket,
        )


def origin(url: URL) -> tuple[str, str, int | None]:
    """RFC 6454 section 4: the default port is the same as that port written."""
    return url.scheme, (url.raw_host or "").lower(), url.port
