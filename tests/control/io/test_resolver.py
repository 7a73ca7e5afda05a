"""Names looked up: what is found, and names that nobody answers for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from roomtone.control.io import resolver
from roomtone.control.io.resolver import Resolver

FOUND = [
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0)),
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 3)),
]


class Dns:
    """Knows every name but those below `.stuck`, for which nobody answers before `over`."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, *_: Any) -> Any:
        self.asked.append(host)
        if host.endswith(".stuck"):
            self.over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "Try again")
        return FOUND


@pytest.fixture
def dns() -> Any:
    dns = Dns()
    yield dns
    dns.over.set()


def test_a_name_gives_addresses_with_the_port_that_was_asked_for(run: Callable, dns: Dns) -> None:
    async def body() -> None:
        found = await Resolver(dns).resolve("hook.example", 8443)
        assert [(each["host"], each["port"], each["family"]) for each in found] == [
            ("192.0.2.7", 8443, socket.AF_INET),
            ("fe80::1%3", 8443, socket.AF_INET6),
        ]

    run(body())


def test_a_name_that_nobody_answers_for_holds_up_no_other(run: Callable, dns: Dns) -> None:
    async def body() -> None:
        names = Resolver(dns)
        stuck = [asyncio.ensure_future(names.resolve("a.stuck")) for _ in range(500)]
        await asyncio.sleep(0)
        assert await names.resolve("hook.example")
        stuck[0].cancel()
        dns.over.set()
        ends = await asyncio.gather(*stuck, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError), "who gives up does so for itself"
        assert all(isinstance(each, socket.gaierror) for each in ends[1:])
        assert dns.asked == ["a.stuck", "hook.example"]

    run(body())


def test_a_name_is_looked_up_anew_for_who_asks_later(run: Callable, dns: Dns) -> None:
    async def body() -> None:
        names = Resolver(dns)
        for _ in range(2):
            await names.resolve("hook.example")
            await asyncio.sleep(0)
        assert dns.asked == ["hook.example"] * 2

    run(body())


def test_there_are_so_many_lookups_at_a_time(
    run: Callable, dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 2)

    async def body() -> None:
        names = Resolver(dns)
        stuck = [asyncio.ensure_future(names.resolve(f"{n}.stuck")) for n in range(3)]
        while len(dns.asked) < 2:
            await asyncio.sleep(0)
        assert sorted(dns.asked) == ["0.stuck", "1.stuck"]
        dns.over.set()
        await asyncio.gather(*stuck, return_exceptions=True)
        assert sorted(dns.asked) == ["0.stuck", "1.stuck", "2.stuck"]

    run(body())


def test_names_of_this_machine_are_found(run: Callable) -> None:
    async def body() -> None:
        found = await Resolver().resolve("localhost", 80, socket.AddressFamily.AF_INET)
        assert {each["host"] for each in found} == {"127.0.0.1"}

    run(body())
