"""A worker as a whole: how it is, what it counts, and what it holds."""

from __future__ import annotations

import msgspec

from roomtone.engine.messages.detection import Vad
from roomtone.engine.messages.endpoints import RtpCreated
from roomtone.engine.messages.files import FileCreated
from roomtone.engine.messages.rooms import Seat


class WorkerUp(msgspec.Struct, tag="worker_up", tag_field="t", kw_only=True):
    """First message of an epoch.  scheduling: the level reached, e.g. "fifo", "nice", "none"."""

    pid: int
    scheduling: str
    endpoints: int  # arena slots


class Probe(msgspec.Struct, tag="probe", tag_field="t"):
    """Result of the self-probe, once a second: a packet through a real socket pair and the media thread."""

    ok: bool


class WorkerLoad(msgspec.Struct, tag="load", tag_field="t", kw_only=True):
    """Once a second, and at once when the level changes.  Shares 0 to 1 of about the last second.

    level: engine.overload.Level, what the worker has given up.
    """

    busy: float  # of the CPU: the media thread ran
    waiting: float  # it wanted to run and could not
    late: float  # of its phases: begun late
    level: int


class GetMetrics(msgspec.Struct, tag="get_metrics", tag_field="t"):
    """Reply: `Metrics`."""


class EndedStreams(msgspec.Struct, kw_only=True):
    """One figure of streams that have ended.  counts: by upper bound, not cumulative, the last one open."""

    bounds: list[float]
    counts: list[int]
    sum: float


class Metrics(msgspec.Struct, tag="metrics", tag_field="t", kw_only=True):
    """Worker-wide counters; names become metric names.  counters: plain totals; drops: by reason."""

    counters: dict[str, int]
    drops: dict[str, int]
    gauges: dict[str, float]
    tick_duration_us: list[tuple[int, int]]  # (upper bound, count) histogram, not cumulative
    tick_late_us: list[tuple[int, int]]
    ended: dict[str, EndedStreams] = {}


class TakeSnapshot(msgspec.Struct, tag="take_snapshot", tag_field="t"):
    """Reply: `Snapshot`, true as of the event number of the reply itself."""


class SnapshotEndpoint(msgspec.Struct, kw_only=True):
    """created, file: what the making of an RTP or file endpoint was answered with.

    remote_rtp_addr: "" until pinned.  started: the file was told to have begun. moves: `move` of the last
    `MoveEndpoint`, `TakeSeat` or `LeaveSeat`.  room: where it has that seat.
    """

    session: str
    endpoint: str
    kind: str
    finished: bool = False
    note: bytes = b""
    created: RtpCreated | None = None
    remote_rtp_addr: str = ""
    file: FileCreated | None = None
    started: bool = False
    paused: bool = False
    vad: Vad | None = None
    fax: bool = False
    sensitive: bool = False
    moves: int = 0
    room: str | None = None
    seat: Seat | None = None


class SnapshotRecording(msgspec.Struct, kw_only=True):
    """feeders: workers that have sent to it."""

    session: str
    recording: str
    endpoint: str | None
    file_path: str
    started_us: int
    feeders: list[int] = []


class Snapshot(msgspec.Struct, tag="snapshot", tag_field="t"):
    endpoints: list[SnapshotEndpoint]
    recordings: list[SnapshotRecording] = []
