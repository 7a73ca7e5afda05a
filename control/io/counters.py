"""Control's own totals, plain integers on the hot path; `metrics` makes Prometheus families of them."""

from __future__ import annotations

from collections import defaultdict

from roomtone.control.core.histogram import Histogram


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
        self.rest_requests: defaultdict[tuple[str, int], int] = defaultdict(int)  # (operation, status)
        self.rest_duration: defaultdict[str, Histogram] = defaultdict(Histogram)  # by operation
        self.rest_unheard = 0  # answers whose client had gone, or had been told that none came
        self.http_malformed = 0  # requests that are no HTTP, or whose body is not encoded as they say
        self.messages_sent = 0
