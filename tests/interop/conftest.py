"""The product as a user starts it, once a module, and what every peer needs."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from demo_parts.server import Server
from roomtone.client import Client, connect

LIMIT_S = 90.0  # a peer that never ends fails here
PEER_PORTS = range(10000, 20000, 2)  # below the media ports and what the kernel hands out


def loopbacks() -> tuple[str, ...]:
    """The loopback addresses this machine has."""
    out = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
        except OSError:
            continue
        out.append(host)
    return tuple(out)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """workers 2, both families; its log is shown when a test fails."""
    with Server(workers=2, media_ip=("127.0.0.1", "::1")) as running:
        yield running
        print(running.log)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    def runner(body: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(LIMIT_S):
                await body

        asyncio.run(limited())

    return runner


@asynccontextmanager
async def session(server: Server) -> AsyncIterator[Client]:
    """A connection with a session of its own, destroyed at the end."""
    async with await connect(server.url) as client:
        await client.call("session.create")
        yield client
        await client.call("session.destroy")


_next_pair = iter(PEER_PORTS)


def port_pair(host: str = "127.0.0.1") -> int:
    """An even UDP port that is free together with the next, not given out before in this run."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _next_pair:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as rtp, socket.socket(family, socket.SOCK_DGRAM) as rtcp:
                rtp.bind((host, port))
                rtcp.bind((host, port + 1))
        except OSError:
            continue
        return port
    raise AssertionError("no free port pair")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the test's own limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.005)
