"""Hosts' names looked up on threads, so that a name nobody answers for holds up no other.

A lookup blocks for as long as the system's resolver likes, and cannot be given up.  So each is a thread of
its own; there is one at a time of one name, and who asks meanwhile gets the same answer.  Nothing is kept:
who may be connected to is decided by what the name means at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOKUPS = 100  # at a time

Found = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]  # as getaddrinfo gives them


class Resolver(AbstractResolver):
    """Used on one loop.  lookup: getaddrinfo, or what stands for it."""

    def __init__(self, lookup: Callable[..., Found] = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._running: dict[tuple[str, int], asyncio.Task[Found]] = {}
        self._places = asyncio.Semaphore(MAX_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError."""
        name = host, int(family)
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.get_running_loop().create_task(self._look_up(*name))
            task.add_done_callback(lambda done: self._ended(name, done))
        found = await asyncio.shield(task)  # who waits may give up; others may not have
        return [_result(host, port, *each) for each in found]

    async def close(self) -> None:
        """Nobody waits for the threads: they end with the process."""

    def _ended(self, name: tuple[str, int], task: asyncio.Task[Found]) -> None:
        del self._running[name]
        if not task.cancelled():
            task.exception()  # seen, even when everybody has given up

    async def _look_up(self, host: str, family: int) -> Found:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Found] = loop.create_future()

        def tell(result: Found | None, error: Exception | None) -> None:
            if found.done():
                return
            if error is not None:
                found.set_exception(error)
            else:
                found.set_result(result or [])

        def work() -> None:
            result, raised = None, None
            try:
                result = self._lookup(host, None, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
            except Exception as error:
                raised = error
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to be told
                loop.call_soon_threadsafe(tell, result, raised)

        async with self._places:
            threading.Thread(target=work, name="lookup", daemon=True).start()
            return await found


def _result(
    host: str, port: int, family: int, kind: int, protocol: int, name: str, address: tuple[Any, ...]
) -> ResolveResult:
    scope = f"%{address[3]}" if family == socket.AF_INET6 and address[3] else ""
    return ResolveResult(
        hostname=host,
        host=f"{address[0]}{scope}",
        port=port,
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
