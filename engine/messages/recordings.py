"""Recordings."""

from __future__ import annotations

import msgspec


class StartRecording(msgspec.Struct, tag="start_recording", tag_field="t", kw_only=True):
    """Record one endpoint, or (None) the whole session with those who join later.  Reply: `RecordingStarted`.

    file_path: as the client gave it, ``?mix`` included.  app_id: whose recording it is.  legs: the endpoints
    it begins with, also those on other workers (`OpenFeed`), in the order of their channels.  wide: a WAV of
    16 kHz.
    """

    session: str
    recording: str
    endpoint: str | None
    file_path: str
    app_id: str
    legs: list[str] = []
    wide: bool = False


class OpenFeed(msgspec.Struct, tag="open_feed", tag_field="t", kw_only=True):
    """To the worker that keeps a recording: that other worker has endpoints of it.  Reply: `FeedOpened`."""

    recording: str
    worker: int


class FeedOpened(msgspec.Struct, tag="feed_opened", tag_field="t"):
    """A named pipe, to be opened once."""

    path: str


class StartFeed(msgspec.Struct, tag="start_feed", tag_field="t", kw_only=True):
    """To that other worker: send what the session's endpoints say and hear to `path`.  Reply: `Done`.

    Until `StopRecording`, or until nobody reads it.  keeper: the worker that does.  legs as in
    `StartRecording`; wav: only what sources say.
    """

    session: str
    recording: str
    keeper: int
    path: str
    legs: list[str]
    wav: bool


class RecordingStarted(msgspec.Struct, tag="recording_started", tag_field="t", kw_only=True):
    """file_path: without ``?mix``."""

    file_path: str
    started_at_epoch_ms: int


class StopRecording(msgspec.Struct, tag="stop_recording", tag_field="t"):
    """To all who have a part in it.  Reply: `RecordingDone` when the file, or what is sent to the worker that
    keeps it, is complete, after recording_flush_timeout_secs in any case.
    """

    recording: str


class PauseRecording(msgspec.Struct, tag="pause_recording", tag_field="t"):
    """To all who have a part in it: what is heard from now on is not in the file.  Reply: `Done`, also when
    it is paused; RECORDING_ERROR: it does not run.

    No time passes in a WAV; nothing that is left out counts as dropped, no pause as duration.
    """

    recording: str


class ResumeRecording(msgspec.Struct, tag="resume_recording", tag_field="t"):
    """To all who have a part in it.  Reply: `Done`, also when it is not paused; RECORDING_ERROR: it does not
    run.
    """

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
