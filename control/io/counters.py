"""Control's own totals, plain integers on the hot path; `metrics` makes Prometheus families of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

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


class Counters:
    """Totals since start."""

    def __init__(self) -> None:
        self.commands: defaultdict[tuple[str, str], int] = defaultdict(int)  # (command, outcome)
        self.command_duration: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.worker_events: defaultdict[str, int] = defaultdict(int)  # by type
        self.event_gaps = 0  # holes in a worker's numbers
        self.bad_batches = 0  # messages on the event socket that are not a batch
        self.connections = 0
        self.connections_refused: defaultdict[str, int] = defaultdict(int)  # by reason
        self.connections_dropped: defaultdict[str, int] = defaultdict(int)  # by reason
        self.audio_sockets = 0  # bots connected
        self.audio_frames: defaultdict[str, int] = defaultdict(int)  # by direction: rx from bots, tx to them
        self.audio_dropped: defaultdict[str, int] = defaultdict(int)  # frames, by reason
        self.audio_flushes = 0
        self.audio_texts_ignored = 0
        self.audio_ticks_skipped = 0  # of the wheel
        self.messages_received = 0
        self.messages_sent = 0
