"""Files as sources."""

from __future__ import annotations

import msgspec

from roomtone.engine.messages.rooms import Seat


class CreateFile(msgspec.Struct, tag="create_file", tag_field="t", kw_only=True):
    """A file as a source of `session`'s bus.  Reply: `FileCreated`, once its first second is decoded.

    path: absolute, and checked: it is opened without following a link and must be a regular file.  WAV, MP3,
    OGG Vorbis, Opus, FLAC; 4 to 192 kHz, up to 16 channels, which are mixed to one.
    key: what the source is called; with `shared`, all endpoints of one key and file play from one place,
    which the first of them chose with start_ms and loop_count: who comes later is where the others are.
    loop_count: how often it is played again; None: for ever.
    Errors: ENDPOINT_ERROR it cannot be read or decoded, or the worker has no room; INVALID_PARAMS start_ms is
    behind its end.  `RemoveEndpoint` before the reply ends the waiting: ENDPOINT_ERROR.
    """

    session: str
    endpoint: str
    phase: int
    path: str
    key: str
    start_ms: int = 0
    loop_count: int | None = 0
    gain_db: float = 0.0
    shared: bool = False
    note: bytes = b""
    room: str | None = None  # as in `CreateRtp`
    seat: Seat | None = None


class FileCreated(msgspec.Struct, tag="file_created", tag_field="t", kw_only=True):
    """duration_ms None: not known before its end.  shared_id: names the playback it shares, a UUID."""

    duration_ms: int | None
    shared_id: str | None = None


class SeekFile(msgspec.Struct, tag="seek_file", tag_field="t", kw_only=True):
    """Play on from there, or be paused there.  Reply: `Done`, once what is there is decoded.

    Errors: INVALID_PARAMS behind the end (the message names the duration); ENDPOINT_ERROR it has ended, or is
    shared.
    """

    endpoint: str
    position_ms: int


class PauseFile(msgspec.Struct, tag="pause_file", tag_field="t"):
    """Silence from the next tick on.  Reply: `Done`, also when it is paused; ENDPOINT_ERROR: it has ended.

    The place is kept; a shared playback goes on for the others.
    """

    endpoint: str


class ResumeFile(msgspec.Struct, tag="resume_file", tag_field="t"):
    """Reply: `Done`, also when it plays; ENDPOINT_ERROR: it has ended."""

    endpoint: str


class FileStarted(msgspec.Struct, tag="file_started", tag_field="t", kw_only=True):
    """Its first frame was played."""

    session: str
    endpoint: str
    started_at_us: int


class FileFinished(msgspec.Struct, tag="file_finished", tag_field="t", kw_only=True):
    """Its last frame was played; reason error: what should have followed could not be decoded."""

    session: str
    endpoint: str
    reason: str  # completed | error
    error: str | None = None
