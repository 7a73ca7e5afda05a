"""Events of calls (the contract's section 1.9): documented keys, in their order, then ours."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from roomtone.control.core.api import EventData


class New(EventData):
    """The first event of a call."""

    NAME: ClassVar[str] = "call.new"
    session_uuid: str
    caller_id: str
    did: str


class Answered(EventData):
    """command_uid, success: of the command `answer`; without them the peer itself answered."""

    NAME: ClassVar[str] = "call.answered"
    session_uuid: str
    command_uid: str | UnsetType = UNSET
    success: bool | UnsetType = UNSET


class Hangup(EventData):
    """The last event of a call.  hangup_cause: for applications; cause: what brought it about."""

    NAME: ClassVar[str] = "call.hangup"
    session_uuid: str
    hangup_cause: str
    cause: str


class Dtmf(EventData):
    """A key that a peer pressed."""

    NAME: ClassVar[str] = "dtmf"
    LOW_VALUE: ClassVar[bool] = True
    session_uuid: str
    digit: str
    duration_ms: int
    endpoint_id: str
    sensitive: bool
    source: str


class DigitsCollected(EventData):
    """What was asked for with play_and_get_digits.  terminator: the key that ended it, or "".

    status: success | timeout (nothing was pressed) | failure (what was pressed does not fit, or a prompt
    could not be played) | unknown (something else ended it).
    """

    NAME: ClassVar[str] = "digits.collected"
    session_uuid: str
    command_uid: str
    digits: str
    terminator: str
    status: str


class PlaybackStarted(EventData):
    """file_path: the first of urls; to be dropped in two releases."""

    NAME: ClassVar[str] = "playback.started"
    session_uuid: str
    command_uid: str
    urls: list[str]
    file_path: str


class PlaybackStopped(EventData):
    """command_uid: of the command that began it.  offset_ms: where it stood in the file that was played.

    duration_ms: how long it was heard.  cause: finished | stopped | replaced | error | removed | hangup |
    restart.
    """

    NAME: ClassVar[str] = "playback.stopped"
    session_uuid: str
    command_uid: str
    urls: list[str]
    file_path: str
    offset_ms: int
    duration_ms: int
    cause: str


class FileNotFound(EventData):
    """A file that cannot be played.  urls: that one.  error: as in conference.play.failed, or a refusal."""

    NAME: ClassVar[str] = "playback.file_not_found"
    session_uuid: str
    command_uid: str
    urls: list[str]
    error: str


class RecordingCompleted(EventData):
    """recording_url: on this node.  duration: seconds.  command_uid: of record/start.

    cause: stopped | whatever else ended it.
    """

    NAME: ClassVar[str] = "recording.completed"
    session_uuid: str
    command_uid: str
    recording_url: str
    duration: float
    cause: str


class CommandResult(EventData):
    """The outcome of an accepted command, once.

    timed_out: it was not known in time; the command goes on and its own events tell what becomes of it.
    """

    NAME: ClassVar[str] = "command.result"
    session_uuid: str
    command: str
    command_uid: str
    operation_id: str
    success: bool
    changed: bool
    error: str | None = None
    timed_out: bool | UnsetType = UNSET
