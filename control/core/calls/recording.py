"""What the commands record/* do: one recording of the whole call at a time.

It is complete before the call's last event: a call that ends while it is recorded says call.hangup when the
worker has closed the file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from roomtone.control.core import recordings
from roomtone.control.core.calls import commands, ending, events, telling
from roomtone.control.core.calls.commands import Command, command
from roomtone.control.core.calls.leg import Recorded
from roomtone.control.core.recordings import MIX, Recording
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.run import Work
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

ROOT = "/recordings/"
MS_PER_S = 1000


class StartRecord(Struct, forbid_unknown_fields=True, kw_only=True):
    """wav: what is heard in the call, in one channel; pcap: its packets."""

    format: Literal["wav", "pcap"] = "wav"
    command_uid: str | None = None


def start(core: Core, asked: Asked, body: StartRecord) -> Outcome:
    session = asked.the_session
    if core.config.recording_dir is None:
        raise Refusal(409, "recording_error", "Recording is off: recording_dir is not configured")
    if session.leg.recorded is not None:
        raise refuse("recording_active")
    accepted = commands.accept(core, asked)
    name = f"{_prefix(session)}{asked.operation_id}.{body.format}"
    recorded = session.leg.recorded = Recorded(accepted.uid, name)
    commands.carry_out(core, accepted, _start(core, session, recorded, accepted))
    return commands.accepted(core, asked)


def _prefix(session: Session) -> str:
    """Of the names of its files."""
    return f"{session.id}-"


def is_ours(session: Session, recording: Recording) -> bool:
    """Begun by a command here, not by a client of the WebSocket."""
    return recording.file_path.rpartition("/")[2].startswith(_prefix(session))


def _start(core: Core, session: Session, recorded: Recorded, accepted: Command) -> Work:
    folder = str(core.config.recording_dir).rstrip("/")
    path = f"{folder}/{recorded.name}" + (MIX if recorded.name.endswith(recordings.WAV) else "")
    try:
        _, recording = yield from recordings.begin(
            core, session, path, then=partial(completed, core, session, recorded)
        )
    except BaseException:
        session.leg.recorded = None
        raise
    recorded.id = recording.id
    telling.remember(core, session)


def completed(core: Core, session: Session, recorded: Recorded, duration_ms: int, cause: str) -> None:
    """The file is whole; told once."""
    if session.leg.recorded is not recorded:
        return
    session.leg.recorded = None
    event = events.RecordingCompleted(
        telling.uuid(core, session), recorded.uid, ROOT + recorded.name, duration_ms / MS_PER_S, cause
    )
    telling.tell(core, session, event)
    telling.remember(core, session)
    if session.leg.ending is not None:
        ending.hang_up(core, session, session.leg.ending)


def stop(core: Core, asked: Asked, body: Struct) -> Outcome:
    if asked.the_session.leg.recorded is None:
        raise refuse("not_recording")
    commands.carry_out(core, commands.accept(core, asked), _stop(core, asked.the_session))
    return commands.accepted(core, asked)


def _stop(core: Core, session: Session) -> Work:
    recorded = session.leg.recorded
    recording = session.recordings.get(recorded.id) if recorded is not None else None
    if recording is None:
        raise refuse("not_recording")
    yield from recordings.finish(core, session, recording)


OPERATIONS: dict[str, Operation] = dict(
    [
        command(
            "record/start",
            start,
            "Record the call",
            "recording.completed",
            body=StartRecord,
            group="heavy",
        ),
        command("record/stop", stop, "End the recording", "recording.completed", group="seek"),
    ]
)
