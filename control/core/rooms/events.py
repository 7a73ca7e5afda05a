"""Events of rooms (the contract's section 1.6): documented keys, in their order, ours behind them."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from roomtone.control.core.api import EventData


class Created(EventData):
    NAME: ClassVar[str] = "conference.created"
    app_id: str
    room_id: str
    name: str


class Destroyed(EventData):
    """cause: empty_timeout | departure_timeout | time_limit; absent: it was deleted."""

    NAME: ClassVar[str] = "conference.destroyed"
    app_id: str
    room_id: str
    cause: str | UnsetType = UNSET


class Joined(EventData):
    NAME: ClassVar[str] = "conference.member.joined"
    session_uuid: str
    room_id: str
    caller_id: str
    app_id: str
    member_count: int
    muted: bool
    role: str


class Left(EventData):
    """reason: hangup | removed | orphan; consumers must accept others.  member_count: after it left."""

    NAME: ClassVar[str] = "conference.member.left"
    session_uuid: str
    room_id: str
    reason: str
    caller_id: str
    cause: str
    app_id: str
    member_count: int


class OfMember(EventData):
    """What happened to a member, where its name says all."""

    session_uuid: str
    room_id: str
    caller_id: str
    app_id: str


class Muted(OfMember):
    NAME: ClassVar[str] = "conference.member.muted"


class Unmuted(OfMember):
    NAME: ClassVar[str] = "conference.member.unmuted"


class Deafened(OfMember):
    NAME: ClassVar[str] = "conference.member.deafened"


class Undeafened(OfMember):
    NAME: ClassVar[str] = "conference.member.undeafened"


class TalkingStarted(OfMember):
    NAME: ClassVar[str] = "conference.member.talking_started"
    LOW_VALUE: ClassVar[bool] = True


class TalkingStopped(OfMember):
    NAME: ClassVar[str] = "conference.member.talking_stopped"
    LOW_VALUE: ClassVar[bool] = True


class ActiveSpeaker(EventData):
    """Another member has the floor."""

    NAME: ClassVar[str] = "conference.active_speaker"
    LOW_VALUE: ClassVar[bool] = True
    room_id: str
    session_uuid: str
    caller_id: str
    app_id: str


class OfRecording(EventData):
    room_id: str
    recording_id: str
    app_id: str


class RecordingStarted(OfRecording):
    NAME: ClassVar[str] = "conference.recording.started"
    multi_track: bool
    format: str


class RecordingPaused(OfRecording):
    NAME: ClassVar[str] = "conference.recording.paused"


class RecordingResumed(OfRecording):
    NAME: ClassVar[str] = "conference.recording.resumed"


class RecordingStopped(OfRecording):
    """reason: stopped | room_destroyed, or why a worker ended it (write_error, worker_lost, ...)."""

    NAME: ClassVar[str] = "conference.recording.stopped"
    recording_url: str
    duration_ms: int
    reason: str


EVENTS: tuple[type[EventData], ...] = (
    Created, Destroyed, Joined, Left, Muted, Unmuted, Deafened, Undeafened, TalkingStarted, TalkingStopped,
    ActiveSpeaker, RecordingStarted, RecordingPaused, RecordingResumed, RecordingStopped,
)  # fmt: skip
