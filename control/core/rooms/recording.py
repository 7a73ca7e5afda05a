"""Recordings of rooms: the mix in one channel, a track for each member, or packets; with pauses."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from roomtone.control.core import recordings
from roomtone.control.core.problems import Problem
from roomtone.control.core.recordings import MIX, WAV
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rooms import events, lasting
from roomtone.control.core.rooms.model import Recorded, Room
from roomtone.control.core.run import COMMAND_DEADLINE_US, Answer, Ask
from roomtone.engine.messages import CloseSession

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

ROOT = "/recordings/"
RESTART, ROOM_DESTROYED = "restart", "room_destroyed"  # reasons


class RecordRoom(Struct, forbid_unknown_fields=True, kw_only=True):
    """multi_track: a channel of the WAV for each member, instead of all in one."""

    format: Literal["wav", "pcap"] = "wav"
    multi_track: bool = False
    command_uid: str | None = None


class RecordStarted(Struct):
    recording_id: str
    recording_url: str


class RecordChanged(Struct):
    recording_id: str
    status: Literal["recording", "paused"]
    changed: bool


class RecordStopped(Struct):
    recording_id: str
    recording_url: str
    duration_ms: int


def start(core: Core, asked: Asked, body: RecordRoom) -> Steps:
    room = asked.the_room
    if core.config.recording_dir is None:
        raise Refusal(409, "recording_error", "Recording is off: recording_dir is not configured")
    if body.multi_track and body.format != "wav":
        raise Refusal(400, "validation_error", "/multi_track: only a wav has tracks")
    if room.recorded is not None:
        raise refuse("recording_active", {"recording_id": room.recorded.id})
    name = f"{room.id}-{asked.operation_id}.{body.format}"
    recorded = room.recorded = Recorded(name, body.format, body.multi_track)
    folder = str(core.config.recording_dir).rstrip("/")
    path = f"{folder}/{name}" + (MIX if name.endswith(WAV) and not body.multi_track else "")
    try:
        _, recording = yield from recordings.begin(
            core, room, path, then=partial(_completed, core, room, recorded)
        )
    except BaseException:
        room.recorded = None
        raise
    _check_goes_on(room, recorded)
    recorded.id = recording.id
    lasting.write(core, room)
    core.publish(
        events.RecordingStarted(room.id, recording.id, room.app_id, body.multi_track, body.format),
        room.app_id,
        room=room,
        asked=asked,
    )
    return Outcome(RecordStarted(recording.id, ROOT + name))


def _check_goes_on(room: Room, recorded: Recorded) -> None:
    """Raises `Refusal`: it has ended while a worker was asked."""
    if room.recorded is not recorded:
        raise refuse("not_recording")


def _completed(core: Core, room: Room, recorded: Recorded, duration_ms: int, reason: str) -> None:
    """The file is whole; told once.  Of one whose beginning was not told its end is not, either."""
    if room.recorded is not recorded:
        return
    room.recorded = None
    if not recorded.id:
        return
    if reason == recordings.STOPPED and room.state != "open":
        reason = ROOM_DESTROYED
    lasting.write(core, room)
    core.publish(
        events.RecordingStopped(room.id, recorded.id, room.app_id, ROOT + recorded.name, duration_ms, reason),
        room.app_id,
        room=room,
    )


def _running(room: Room) -> tuple[Recorded, recordings.Recording]:
    """Raises `Refusal`."""
    recorded = room.recorded
    recording = room.recordings.get(recorded.id) if recorded is not None else None
    if recorded is None or recording is None or recording.state != "active":
        raise refuse("not_recording")
    return recorded, recording


def stop(core: Core, asked: Asked, body: Struct) -> Steps:
    room = asked.the_room
    recorded, recording = _running(room)
    done = yield from recordings.finish(core, room, recording)
    return Outcome(RecordStopped(recorded.id, ROOT + recorded.name, done.duration_ms))


def _pause(on: bool, core: Core, asked: Asked, body: Struct) -> Steps:
    room = asked.the_room
    recorded, recording = _running(room)
    changed = yield from recordings.pause(core, recording, on)
    _check_goes_on(room, recorded)
    if changed:
        recorded.paused = on
        lasting.write(core, room)
        kind = events.RecordingPaused if on else events.RecordingResumed
        core.publish(kind(room.id, recorded.id, room.app_id), room.app_id, room=room, asked=asked)
    return Outcome(RecordChanged(recorded.id, "paused" if on else "recording", changed))


def end_for_room(core: Core, room: Room) -> Generator[list[Ask], list[Answer], None]:
    """The room ends: its file is complete before that is told, as far as a worker can be asked."""
    for recording in list(room.recordings.values()):
        try:
            if recording.state == "active":
                yield from recordings.finish(core, room, recording, COMMAND_DEADLINE_US)
            else:  # a client has asked for its end: the worker's answer to this stands behind the one to that
                yield [Ask(recording.worker, CloseSession(room.id))]
        except Problem as refused:
            core.log("warning", "recording_not_ended", room=room.id, reason=refused.message)
        recording.over(0, ROOM_DESTROYED)
    if room.recorded is not None:  # its worker was lost while no control process ran
        _completed(core, room, room.recorded, 0, ROOM_DESTROYED)


def returned(core: Core, room: Room) -> None:
    """After a restart, when every worker was heard: it goes on, or has ended meanwhile.

    One that was begun and not told of yet is ended: its request got no answer.
    """
    recorded = room.recorded
    for untold in list(room.recordings.values()):
        if recorded is None or untold.id != recorded.id:
            recordings.drop(core, room, untold)
    if recorded is None:
        return
    kept = room.recordings.get(recorded.id)
    if kept is None:
        _completed(core, room, recorded, 0, RESTART)
    else:
        kept.paused = recorded.paused
        kept.then = partial(_completed, core, room, recorded)


RECORD = "/api/v1/conferences/{room_id}/record"
OPERATIONS: dict[str, Operation] = {
    "conference.record.start": Operation(
        method="POST",
        path=RECORD,
        handler=start,
        summary="Record a room",
        body=RecordRoom,
        result=RecordStarted,
        status=201,
        emits=("conference.recording.started", "conference.recording.stopped"),
    ),
    "conference.record.stop": Operation(
        method="DELETE",
        path=RECORD,
        handler=stop,
        summary="End the recording",
        result=RecordStopped,
        emits=("conference.recording.stopped",),
    ),
    "conference.record.pause": Operation(
        method="POST",
        path=RECORD + "/pause",
        handler=partial(_pause, True),
        summary="Leave out what is heard from now on",
        result=RecordChanged,
        emits=("conference.recording.paused",),
    ),
    "conference.record.resume": Operation(
        method="POST",
        path=RECORD + "/resume",
        handler=partial(_pause, False),
        summary="Record on in the same file",
        result=RecordChanged,
        emits=("conference.recording.resumed",),
    ),
}
