"""Which URLs are allowed, and a DNS that changes its mind."""

from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult
from file_server import FileServer, redirect, whole
from yarl import URL

from roomtone.control.io.address_guard import AddressGuard, NotAllowed


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
