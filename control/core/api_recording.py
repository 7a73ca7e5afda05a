"""Parameters and results of the methods recording.*; the event stands in api.py."""

from __future__ import annotations

from msgspec import Struct

from roomtone.control.core.api import Id


class RecordingStart(Struct):
    """endpoint_id None: the whole session."""

    file_path: str
    endpoint_id: Id | None = None


class RecordingStop(Struct):
    recording_id: Id


class RecordingStarted(Struct):
    recording_id: str
    started_at_epoch_ms: int


class RecordingDone(Struct, kw_only=True):
    """packets: in the file; dropped_packets: not in it, although they should be."""

    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    stopped_at_epoch_ms: int
