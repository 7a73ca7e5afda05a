"""Work that may wait for a disk: on a few threads of its own, so that a hung disk holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 4

T = TypeVar("T")


class Disk:
    """Threads for one purpose, which gives them their name."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(THREADS, name)

    def do(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Its result, to be awaited."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def later(self, work: Callable[..., object], *args: object) -> None:
        """Nobody waits for it.  `work` raises nothing."""
        self._threads.submit(work, *args)

    def close(self) -> None:
        """Without waiting for what hangs."""
        self._threads.shutdown(wait=False)
