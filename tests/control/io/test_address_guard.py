"""Which addresses and URLs are allowed: tables, and a DNS that changes its mind."""

from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult
from file_server import FileServer, redirect, whole
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from roomtone.control.io.address_guard import AddressGuard, NotAllowed

PUBLIC = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888", "2003::1",
    "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
]  # fmt: skip
REFUSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255",
    "127.0.0.1", "127.1.2.3", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::10.0.0.1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1",
    "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:a00:1::", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressGuard().allows(ip_address(address))


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not AddressGuard().allows(ip_address(address))


@given(st.integers(0, 2**32 - 1))
def test_an_embedded_ipv4_address_is_judged_like_itself(number: int) -> None:
    guard = AddressGuard(["10.1.0.0/16"])
    allowed = guard.allows(ip_address(number))
    for prefix, shift in (("::ffff:0:0", 0), ("64:ff9b::", 0), ("2002::", 80)):
        assert guard.allows(ip_address(int(ip_address(prefix)) | number << shift)) == allowed


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "192.168.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "8.8.8.8", True),
        (["fd00::/8"], "fd12::1", True),
        (["fd00::/8"], "fe80::1", False),
        (["::1/128"], "::1", True),
        (["::1/128"], "127.0.0.1", False),
        (["127.0.0.1/32", "fd00::/8"], "127.0.0.2", False),
    ],
)
def test_configured_networks_are_allowed_besides(networks: list[str], address: str, allowed: bool) -> None:
    assert AddressGuard(networks).allows(ip_address(address)) == allowed


@pytest.mark.parametrize(
    "url",
    [
        "http://0177.0.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.1/",
        "http://0X7F.0.0.1/", "http://127.0.0.0x1/", "http://media.example.1/", "http://127.0.0.1./",
        "http://1.2.3.4.5/", "http://00000010.0.0.1/", "ftp://media.example/", "file:///etc/passwd", "http:///x",
        "/x", "gopher://media.example/",
    ],
)  # fmt: skip
def test_odd_hosts_and_schemes_are_refused_before_any_lookup(url: str) -> None:
    with pytest.raises(NotAllowed):
        AddressGuard(["0.0.0.0/0", "::/0"]).check(URL(url))


@pytest.mark.parametrize(
    "url", ["http://media.example/", "https://1.2.3.4:8443/x", "http://[::1]/", "HTTP://X.Y/"]
)
def test_other_urls_go_on_to_the_lookup(url: str) -> None:
    AddressGuard().check(URL(url))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://media.example/a?b", True),
        ("https://MEDIA.example:443/", True),
        ("https://me:pass@media.example/", True),
        ("http://media.example/", False),
        ("https://media.example:444/", False),
        ("https://media.example.evil.example/", False),
        ("https://media.example@evil.example/", False),
        ("http://other.example:8080/", True),
        ("http://other.example/", False),
    ],
)
def test_origins_restrict_when_there_are_any(url: str, allowed: bool) -> None:
    guard = AddressGuard(origins=["https://media.example", "http://other.example:8080"])
    if allowed:
        guard.check(URL(url))
    else:
        with pytest.raises(NotAllowed):
            guard.check(URL(url))


# -- what is connected ---------------------------------------------------------------------------------------


class FakeDns(AbstractResolver):
    """Gives one answer after another."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        addresses = self.answers.pop(0)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


def ask(guard: AddressGuard, dns: FakeDns, url: str) -> bytes:
    async def get() -> bytes:
        async with aiohttp.ClientSession(connector=guard.connector(dns)) as client, client.get(url) as answer:
            return await answer.read()

    return uvloop.run(get())


def refused(guard: AddressGuard, dns: FakeDns, url: str) -> None:
    with pytest.raises(aiohttp.ClientConnectorError) as error:
        ask(guard, dns, url)
    assert isinstance(error.value.os_error, NotAllowed)


ONLY_TWO = AddressGuard(["127.0.0.2/32"])


def test_a_name_that_leads_to_a_refused_address_is_never_connected() -> None:
    with FileServer() as server:
        refused(ONLY_TWO, FakeDns(["127.0.0.1"]), server.url("/", host="media.example"))
        assert server.connections == 0


def test_an_address_written_in_the_url_is_checked_like_one_from_dns() -> None:
    with FileServer() as server:
        refused(ONLY_TWO, FakeDns(), server.url("/"))
        assert server.connections == 0


def test_of_several_addresses_only_allowed_ones_are_connected() -> None:
    with FileServer("127.0.0.2") as allowed, FileServer("127.0.0.1", allowed.port) as forbidden:
        allowed.routes["/"] = whole(b"music")
        dns = FakeDns(["127.0.0.1", "10.0.0.1", "127.0.0.2", "::1"])
        assert ask(ONLY_TWO, dns, allowed.url("/", host="media.example")) == b"music"
        assert forbidden.connections == 0


def test_a_name_whose_addresses_are_all_refused_is_refused() -> None:
    refused(ONLY_TWO, FakeDns(["127.0.0.1", "169.254.169.254", "::1"]), "http://media.example/")


def test_a_dns_that_changes_its_answer_gains_nothing() -> None:
    with FileServer("127.0.0.2") as allowed, FileServer("127.0.0.1", allowed.port) as forbidden:
        allowed.routes["/"] = redirect("/again")
        refused(ONLY_TWO, FakeDns(["127.0.0.2"], ["127.0.0.1"]), allowed.url("/", host="media.example"))
        assert allowed.visits == {"/": 1}
        assert forbidden.connections == 0
