"""Which addresses a client's URL may lead to: told by number alone.

An address is allowed when it is in one of the configured networks, or when it is globally reachable unicast
(IANA special-purpose address registries, RFC 6890).  An IPv6 address that carries an IPv4 one is judged by
that: IPv4-mapped, IPv4-compatible (RFC 4291 section 2.5.5), NAT64 (RFC 6052), 6to4 (RFC 3056).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

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
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Allowed:
    """networks: CIDRs of addresses that are allowed though not public."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(text) for text in networks)

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        if any(address in network for network in self._networks):
            return True
        if isinstance(address, IPv4Address):
            return not any(address in network for network in REFUSED_IPV4)
        for network, shift in CARRIERS:
            if address in network:
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF) in self
        return address in GLOBAL_IPV6 and not any(address in network for network in REFUSED_IPV6)


def is_odd_number(host: str) -> bool:
    """Whether it would be taken for an IPv4 address though it is not written as one."""
    if ":" in host or not ENDS_IN_A_NUMBER.search(host):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False
