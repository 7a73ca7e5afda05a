"""Files as sources.

The files of one endpoint are a *list*, played without a gap: the first comes with `CreateFile`, each further
one with `QueueFile`, announced by `more` of the one before it.  An item's number counts from 0.
"""

from __future__ import annotations

import msgspec

from roomtone.engine.messages.rooms import Seat


class CreateFile(msgspec.Struct, tag="create_file", tag_field="t", kw_only=True):
    """A file as a source of `session`'s bus.  Reply: `FileCreated`, once its first second is decoded.

    path: absolute, and checked: it is opened without following a link and must be a regular file.  WAV, MP3,
    OGG Vorbis, Opus, FLAC; 4 to 192 kHz, up to 16 channels, which are mixed to one.
    key: what the source is called; with `shared`, all endpoints of one key and file play from one place,
    which the first of them chose with start_ms and loop_count: who comes later is where the others are.
    loop_count: how often the whole list is played again; None: for ever.
    more: another file follows; until it is there nothing ends.  Not with `shared`: INVALID_PARAMS.
    A copy that control is still downloading (its mode says so: control/io/fetch.py) may be played already:
    FileCreated comes when its header is there; what is not there in time is silence, and the place is kept.
    paused: its first frame, and `FileStarted`, come when it is resumed.
    Errors: ENDPOINT_ERROR it cannot be read or decoded (`Failed.detail`: unsupported_media, decode_error,
    incomplete), or the worker has no room; INVALID_PARAMS start_ms is behind its end.  `RemoveEndpoint`
    before the reply ends the waiting: ENDPOINT_ERROR.
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
    more: bool = False
    paused: bool = False
    note: bytes = b""
    room: str | None = None  # as in `CreateRtp`
    seat: Seat | None = None


class QueueFile(msgspec.Struct, tag="queue_file", tag_field="t", kw_only=True):
    """The next of an endpoint's list.  Reply: `FileCreated`, once its first second is decoded.

    It begins with the sample behind the last one of the item before it; if it comes later than that there is
    silence until then (counted as underruns).  Errors as in `CreateFile`, and nothing of the list changes;
    ENDPOINT_ERROR too when the list announced no more, waits for another `QueueFile`, or has ended.
    """

    endpoint: str
    path: str
    key: str
    more: bool = False


class EndList(msgspec.Struct, tag="end_list", tag_field="t"):
    """No further file follows, although one was announced.  Reply: `Done`, also when none was.

    Errors: ENDPOINT_ERROR it has ended.
    """

    endpoint: str


class FileCreated(msgspec.Struct, tag="file_created", tag_field="t", kw_only=True):
    """duration_ms None: not known before its end.  shared_id: names the playback it shares, a UUID."""

    duration_ms: int | None
    shared_id: str | None = None


class SeekFile(msgspec.Struct, tag="seek_file", tag_field="t", kw_only=True):
    """Play on from there, in the item that plays, or be paused there.  Reply: `Done`, once that is decoded.

    Errors: INVALID_PARAMS behind the end (the message names the duration); ENDPOINT_ERROR it has ended, or is
    shared.
    """

    endpoint: str
    position_ms: int


class PauseFile(msgspec.Struct, tag="pause_file", tag_field="t"):
    """Fade out with the next tick and stay there.  Reply: `Done`, also when it is paused; ENDPOINT_ERROR: it
    has ended.

    A shared playback goes on for the others.
    """

    endpoint: str


class ResumeFile(msgspec.Struct, tag="resume_file", tag_field="t"):
    """Fade in.  Reply: `Done`, also when it plays; ENDPOINT_ERROR: it has ended."""

    endpoint: str


class SetFileGain(msgspec.Struct, tag="set_file_gain", tag_field="t", kw_only=True):
    """As loud, from the next tick on and for this endpoint only.  Reply: `Done`, also when it is paused.

    gain_db: within 60 dB of 0, for the whole list; None: digital silence, in which the file plays on.
    ramp_ms: how long the linear way there takes, 0 to 10,000.  Errors: INVALID_PARAMS; ENDPOINT_ERROR it has
    ended.
    """

    endpoint: str
    gain_db: float | None
    ramp_ms: int = 10


class AskFile(msgspec.Struct, tag="ask_file", tag_field="t"):
    """Reply: `FilePosition`; ENDPOINT_ERROR: it has ended."""

    endpoint: str


class FilePosition(msgspec.Struct, tag="file_position", tag_field="t", kw_only=True):
    """Where the next frame comes from.

    decoded_ms: how far the item is decoded without a gap from there on; equal to position_ms: nothing is.
    duration_ms: of the item, as in `FileCreated`.  underruns: frames of this endpoint that were not there in
    time, silence in their place.
    """

    item: int
    position_ms: int
    decoded_ms: int
    duration_ms: int | None
    paused: bool
    underruns: int


class FileStarted(msgspec.Struct, tag="file_started", tag_field="t", kw_only=True):
    """Its first frame was played."""

    session: str
    endpoint: str
    started_at_us: int


class FileNext(msgspec.Struct, tag="file_next", tag_field="t", kw_only=True):
    """Another item has begun: 1 is the second of the list; 0 when a list of several begins again."""

    session: str
    endpoint: str
    item: int


class FileFinished(msgspec.Struct, tag="file_finished", tag_field="t", kw_only=True):
    """The last frame of the list was played; reason error: what should have followed could not be decoded.

    item: where it ended.  code of an error: decode_error; incomplete, the download broke off.
    """

    session: str
    endpoint: str
    reason: str  # completed | error
    error: str | None = None
    code: str | None = None
    item: int = 0
