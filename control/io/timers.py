"""One heap for everything that waits for a time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable

from roomtone.control.io.clock import now_us

US_PER_S = 1_000_000
# libuv counts whole milliseconds: a call may come up to this much early and is then asked for again.
LOOP_RESOLUTION_S = 0.001


class Timers:
    """Timers by key: setting a key again replaces it.  Cost: O(log n) a timer, one loop timer in all.

    A cancelled or replaced entry stays in the heap until its time comes; `_live` tells which entry counts.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heap: list[tuple[int, int, Hashable]] = []
        self._live: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._serial = 0
        self._handle: asyncio.TimerHandle | None = None
        self._handle_us = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Timers fire from now on."""
        self._loop = loop

    def set(self, when_us: int, key: Hashable, call: Callable[[], None]) -> None:
        """Call `call` once at `when_us` (CLOCK_MONOTONIC)."""
        self._serial += 1
        self._live[key] = (self._serial, call)
        heapq.heappush(self._heap, (when_us, self._serial, key))
        if self._handle is None or when_us < self._handle_us:
            self._arm(when_us)

    def cancel(self, key: Hashable) -> None:
        """Forget `key`; an unknown key is fine."""
        self._live.pop(key, None)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._heap.clear()
        self._live.clear()

    def __len__(self) -> int:
        return len(self._live)

    def _arm(self, when_us: int) -> None:
        assert self._loop is not None, "a timer before start"
        if self._handle is not None:
            self._handle.cancel()
        self._handle_us = when_us
        delay_s = max((when_us - now_us()) / US_PER_S, 0.0)
        self._handle = self._loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = now_us()
        heap, live = self._heap, self._live
        while heap and heap[0][0] <= now:
            _, serial, key = heapq.heappop(heap)
            entry = live.get(key)
            if entry is not None and entry[0] == serial:
                del live[key]
                entry[1]()
        if heap and (self._handle is None or heap[0][0] < self._handle_us):
            self._arm(max(heap[0][0], now_us() + int(LOOP_RESOLUTION_S * US_PER_S)))
