"""How much of its CPU a worker's media thread takes, from running totals that cost that thread nothing.

Sans-IO: engine/thread_clock.py reads the totals, control may know the words.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SAMPLE_US = 250_000  # between two readings
SMOOTH_US = 1_000_000  # time constant of the averages: a peak of one tick is not a load
LATE_FROM = 0.5  # of the CPU: below, phases are late because the machine stood still
LATE_FULL = 0.2  # share of phases begun late that weighs as much as a full CPU: every fifth frame jitters


class Load(NamedTuple):
    """Shares of the time just past, 0 to 1, smoothed over `SMOOTH_US`."""

    busy: float = 0.0  # the media thread ran
    waiting: float = 0.0  # it wanted to run and another thread had its CPU
    late: float = 0.0  # of its phases, those begun late

    @property
    def pressure(self) -> float:
        """What the ladder of engine/overload.py is asked with.

        The thread's idle time is what is left for more, so waiting counts as running.  Of a thread that is
        more than half busy late phases say the same, where the kernel does not charge the network's work to
        threads.
        """
        taken = self.busy + self.waiting
        return min(1.0, max(taken, self.late / LATE_FULL) if taken >= LATE_FROM else taken)


class LoadMeter:
    """Turns running totals into a `Load`.  Pure: totals and time are arguments."""

    __slots__ = ("_at_us", "_late_rate", "_load", "_phase_rate", "_totals")

    def __init__(self) -> None:
        self._at_us: int | None = None
        self._totals = (0, 0, 0, 0)
        self._phase_rate = self._late_rate = 0.0
        self._load = Load()

    def take(self, now_us: int, ran_ns: int, waited_ns: int, phases: int, late: int) -> Load:
        """phases, late: bus phases begun, and those of them that began late, since the start."""
        totals = (ran_ns, waited_ns, phases, late)
        before_us, self._at_us = self._at_us, now_us
        ran, waited, begun, behind = (new - old for new, old in zip(totals, self._totals, strict=True))
        self._totals = totals
        if before_us is None or now_us <= before_us:
            return self._load
        passed_us = now_us - before_us
        weight = -math.expm1(-passed_us / SMOOTH_US)
        self._phase_rate += (begun - self._phase_rate) * weight
        self._late_rate += (behind - self._late_rate) * weight
        old = self._load
        self._load = Load(
            busy=old.busy + (_share(ran, passed_us) - old.busy) * weight,
            waiting=old.waiting + (_share(waited, passed_us) - old.waiting) * weight,
            late=min(1.0, self._late_rate / self._phase_rate) if self._phase_rate > 0 else 0.0,
        )
        return self._load


def _share(ns: int, of_us: int) -> float:
    return min(1.0, max(0.0, ns / (of_us * 1000)))
