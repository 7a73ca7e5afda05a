"""Recordings."""

from __future__ import annotations

import msgspec


class StartRecording(msgspec.Struct, tag="start_recording", tag_field="t", kw_only=True):
    """Record one endpoint, or (None) the whole session with those who join later.  Reply: `RecordingStarted`.

    file_path: as the client gave it, ``?mix`` included.  app_id: whose recording it is.
    """

    session: str
    recording: str
    endpoint: str | None
    file_path: str
    app_id: str


class RecordingStarted(msgspec.Struct, tag="recording_started", tag_field="t", kw_only=True):
    """file_path: without ``?mix``."""

    file_path: str
    started_at_epoch_ms: int


class StopRecording(msgspec.Struct, tag="stop_recording", tag_field="t"):
    """Reply: `RecordingDone` when the file is complete, after recording_flush_timeout_secs in any case."""

    recording: str


class RecordingDone(msgspec.Struct, tag="recording_done", tag_field="t", kw_only=True):
    """packets are in the file, dropped_packets should be and are not."""

    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    stopped_at_epoch_ms: int


class RecordingStopped(msgspec.Struct, tag="recording_stopped", tag_field="t", kw_only=True):
    """A recording ended, but not by `StopRecording`; its file is complete (write_error: up to the error)."""

    session: str
    recording: str
    file_path: str
    duration_ms: int
    packets: int
    dropped_packets: int
    reason: str
