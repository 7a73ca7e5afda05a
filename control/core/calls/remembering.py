"""Calls across a restart of the control process: their rows, and the sessions that workers still hold.

A session comes back with its endpoints (recall.py), its call with its row.  A row whose session no worker
holds is a call that has ended meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import naming, recordings
from roomtone.control.core.calls import collecting, digits, ending, events, playing, recording, telling
from roomtone.control.core.calls.endings import RESTART
from roomtone.control.core.calls.leg import CallRow, Collected, Leg, Played
from roomtone.control.core.calls.playback_commands import tell_stopped
from roomtone.control.core.calls.playing import Playback, Playhead
from roomtone.control.core.calls.telling import KIND
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.rooms import sweeping
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

__all__ = ["KIND", "leg", "read", "sweep"]

INTERRUPTED = "interrupted"  # why a command of before the restart failed
_decode = msgspec.msgpack.Decoder(CallRow).decode


def read(core: Core, session_id: str, body: bytes) -> None:
    """A call as it was.  Commands that waited for their result have failed."""
    row = core.calls[session_id] = _decode(body)
    uuid = naming.session_uuid(core.node, session_id)
    if row.collected is not None and row.collected.operation_id in [owed.operation_id for owed in row.owed]:
        core.publish(_broken_off(uuid, row.collected), row.app_id, session_uuid=uuid)
        row.collected = None
    for owed in row.owed:
        result = events.CommandResult(
            uuid, owed.command, owed.uid, owed.operation_id, False, False, INTERRUPTED
        )
        core.publish(result, row.app_id, session_uuid=uuid)
    if row.owed:
        row.owed = []
        core.keep(KIND, session_id, row)


def _broken_off(uuid: str, kept: Collected) -> events.DigitsCollected:
    return events.DigitsCollected(uuid, kept.uid, kept.digits, "", digits.UNKNOWN)


def leg(core: Core, session_id: str) -> Leg:
    """Of a session that a worker holds."""
    row = core.calls.pop(session_id, None)
    return Leg() if row is None else _leg(row)


def _leg(row: CallRow) -> Leg:
    return Leg(
        told=True,
        played=row.played,
        collected=row.collected,
        recorded=row.recorded,
        **row.facts(),
    )


def sweep(core: Core) -> None:
    """Every worker was heard: what is left has ended."""
    calls, core.calls = core.calls, {}
    for session_id, row in calls.items():
        session = Session(
            id=session_id,
            app_id=row.app_id,
            caller_id=row.caller_id,
            created_us=row.created_epoch_us - core.epoch_offset_us,
            queue=EventQueue(1, 1),
            connection=None,
            last_command_us=core.now_us,
            state="ended",
            leg=_leg(row),
        )
        give_up(core, session)
        sweeping.gone(core, session_id)
        ending.hang_up(core, session, RESTART)


def go_on(core: Core) -> None:
    """A worker has told what it holds: what was played and recorded of calls goes on where it is there.

    What nobody has when all were heard has ended.
    """
    for session in list(core.sessions.values()):
        _claim_recording(core, session)
        _claim_playback(core, session)
        _claim_collection(core, session)


def give_up(core: Core, session: Session) -> None:
    """A call ends before every worker was heard: what it had, and nobody has claimed, ends first."""
    leg, recorded = session.leg, session.leg.recorded
    if leg.collected is not None:
        telling.tell(core, session, _broken_off(telling.uuid(core, session), leg.collected))
        leg.collected = None
    _end_playback(core, session)
    if recorded is not None and recorded.id and recorded.id not in session.recordings:
        recording.completed(core, session, recorded, 0, RESTART.cause)


def _claim_recording(core: Core, session: Session) -> None:
    """What was begun and not told of yet is ended: its command has failed."""
    recorded = session.leg.recorded
    for untold in [r for r in session.recordings.values() if recording.is_ours(session, r)]:
        if recorded is None or untold.id != recorded.id:
            recordings.drop(core, session, untold)
    if recorded is None:
        return
    kept = session.recordings.get(recorded.id)
    then = partial(recording.completed, core, session, recorded)
    if kept is not None:
        kept.then = then
    elif not core.unheard:
        then(0, RESTART.cause)


def _claim_playback(core: Core, session: Session) -> None:
    """A list cannot go on: this process has not fetched what is to follow."""
    played = session.leg.played
    if played is None:
        return
    endpoint = session.endpoints.get(played.endpoint)
    if endpoint is None and core.unheard and played.endpoint:
        return
    if endpoint is None or not played.started or played.prompts or len(played.urls) > 1:
        if endpoint is not None:
            playing.remove(core, session, endpoint)
        _end_playback(core, session)
    else:
        session.leg.played = None
        playing.go_on(core, session, _playback(core, session, played), endpoint)


def _claim_collection(core: Core, session: Session) -> None:
    """It goes on once it is known what became of its prompts."""
    kept, leg = session.leg.collected, session.leg
    if kept is not None and leg.played is None:
        leg.collected = None
        collecting.take_up(core, session, kept)


def _playback(core: Core, session: Session, played: Played) -> Playback:
    since_us = played.at_epoch_us - core.epoch_offset_us
    head = Playhead(base_ms=played.at_ms, since_us=since_us, heard_ms=played.heard_ms)
    return Playback(
        id=core.next_id(),
        uid=played.uid,
        urls=played.urls,
        began=lambda _: None,
        ended=partial(tell_stopped, core, session),
        endpoint=played.endpoint,
        started=played.started,
        head=head,
    )


def _end_playback(core: Core, session: Session) -> None:
    played, session.leg.played = session.leg.played, None
    if played is None:
        return
    if played.started and not played.prompts:
        playback = _playback(core, session, played)
        playback.head.since_us = None
        tell_stopped(core, session, playback, RESTART.cause)
    elif played.urls and not played.prompts:
        uuid = telling.uuid(core, session)
        event = events.FileNotFound(uuid, played.uid, played.urls[:1], RESTART.cause)
        telling.tell(core, session, event)
    telling.remember(core, session)
