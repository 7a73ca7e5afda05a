"""How long commands take, counted in bins; `metrics` makes Prometheus histograms of them."""

from __future__ import annotations

from bisect import bisect_left

# Upper bounds in seconds: an idle machine answers in about a millisecond, five seconds is the deadline.
COMMAND_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
US_PER_S = 1_000_000
BOUNDS_US = tuple(int(bound * US_PER_S) for bound in COMMAND_SECONDS)


class Histogram:
    """Counts by upper bound (not cumulative, the last one open) and the sum."""

    __slots__ = ("counts", "sum_us")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_US) + 1)
        self.sum_us = 0

    def observe(self, value_us: int) -> None:
        self.counts[bisect_left(BOUNDS_US, value_us)] += 1
        self.sum_us += value_us
