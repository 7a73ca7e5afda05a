"""A network in virtual time: when, and how often, a datagram arrives."""

from __future__ import annotations

import random

MS = 1000


class Network:
    """When, and how often, a datagram arrives.  Same seed, same network.

    loss: share lost, in bursts of `burst` packets on average (Gilbert); jitter_ms: uniform extra delay that
    keeps the order; reorder: share that is overtaken, arriving `reorder_ms` later than it should; duplicate:
    share that comes twice.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        delay_ms: float = 0,
        jitter_ms: float = 0,
        loss: float = 0,
        burst: float = 1,
        duplicate: float = 0,
        reorder: float = 0,
        reorder_ms: float = 30,
    ) -> None:
        self.random = random.Random(seed)
        self.delay_ms, self.jitter_ms = delay_ms, jitter_ms
        self.loss, self.burst = loss, burst
        self.duplicate, self.reorder, self.reorder_ms = duplicate, reorder, reorder_ms
        self.losing = False
        self.newest_us = 0

    def lost(self) -> bool:
        if not self.loss:
            return False
        stay = 1 - 1 / self.burst
        enter = self.loss * (1 - stay) / (1 - self.loss)
        self.losing = self.random.random() < (stay if self.losing else enter)
        return self.losing

    def arrivals(self, sent_us: int) -> list[int]:
        if self.lost():
            return []
        at = sent_us + int((self.delay_ms + self.random.random() * self.jitter_ms) * MS)
        if self.reorder and self.random.random() < self.reorder:
            at += int(self.reorder_ms * MS)
        else:
            at = self.newest_us = max(at, self.newest_us)
        twice = self.duplicate and self.random.random() < self.duplicate
        return [at, at + 3 * MS] if twice else [at]
