"""Things to do later, on the Python thread."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import Any

Action = Callable[[Any, int], None]  # (argument, now_us)


def monotonic_us() -> int:
    """Now, on the clock all of roomtone's processes share."""
    return time.monotonic_ns() // 1000


class Timers:
    """A heap of (when, action, argument).  Nothing is cancelled: a pointless action does nothing."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action, Any]] = []
        self._serial = 0

    def at(self, due_us: int, action: Action, argument: Any = None) -> None:
        self._serial += 1  # equal times keep their order, and actions are never compared
        heapq.heappush(self._heap, (due_us, self._serial, action, argument))

    def next_us(self) -> int | None:
        """When the next one is due; None: nothing waits."""
        return self._heap[0][0] if self._heap else None

    def run(self, now_us: int, limit: int) -> bool:
        """Run at most `limit` that are due.  True: more are due."""
        heap = self._heap
        for _ in range(limit):
            if not heap or heap[0][0] > now_us:
                return False
            _, _, action, argument = heapq.heappop(heap)
            action(argument, now_us)
        return bool(heap) and heap[0][0] <= now_us
