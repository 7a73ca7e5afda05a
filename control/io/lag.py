"""How late the event loop is: the control process's pulse."""

from __future__ import annotations

from collections import deque

from roomtone.control.io.clock import now_us
from roomtone.control.io.timers import Timers

BEAT_US = 500_000
KEPT_BEATS = 30  # fifteen seconds: a scrape sees the worst since the last one
STUCK_US = 5_000_000  # design.md 1: /livez fails at five seconds
US_PER_S = 1_000_000


class Lag:
    """A timer that measures its own lateness."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._due_us = 0
        self._late: deque[int] = deque(maxlen=KEPT_BEATS)

    def start(self) -> None:
        self._due_us = now_us() + BEAT_US
        self._timers.set(self._due_us, ("lag",), self._beat)

    def _beat(self) -> None:
        self._late.append(max(now_us() - self._due_us, 0))
        self.start()

    def worst_seconds(self) -> float:
        """The worst lag of the last fifteen seconds, the running wait included."""
        return max(max(self._late, default=0), now_us() - self._due_us, 0) / US_PER_S

    def alive(self) -> bool:
        """Neither the running wait nor the last one was as long as STUCK_US."""
        last = self._late[-1] if self._late else 0
        return max(last, now_us() - self._due_us) < STUCK_US
