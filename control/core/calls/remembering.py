"""Calls across a restart of the control process: their rows, and the sessions that workers still hold.

A session comes back with its endpoints (recall.py), its call with its row.  A row whose session no worker
holds is a call that has ended meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core.calls import ending, recording
from roomtone.control.core.calls.leg import CallRow, Leg
from roomtone.control.core.calls.telling import KIND
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

__all__ = ["KIND", "leg", "read", "sweep"]

_decode = msgspec.msgpack.Decoder(CallRow).decode


def read(core: Core, session_id: str, body: bytes) -> None:
    core.calls[session_id] = _decode(body)


def leg(core: Core, session_id: str) -> Leg:
    """Of a session that a worker holds."""
    row = core.calls.pop(session_id, None)
    return Leg() if row is None else _leg(row)


def _leg(row: CallRow) -> Leg:
    return Leg(
        leased=row.leased,
        told=True,
        answered=row.answered,
        accepted=row.accepted,
        did=row.did,
        metadata=row.metadata,
        hangup_on=row.hangup_on,
        room_bound=row.room_bound,
        recorded=row.recorded,
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
        session.leg.ending = ending.RESTART
        if row.recorded is not None:
            recording.completed(core, session, row.recorded, 0, ending.RESTART.cause)
        else:
            ending.hang_up(core, session, ending.RESTART)


def claim_recordings(core: Core) -> None:
    """Workers have told of recordings that they keep: the calls' own have somebody who waits for them again.

    What no worker keeps when all were heard has ended.
    """
    for session in list(core.sessions.values()):
        recorded = session.leg.recorded
        if recorded is None or not recorded.id:
            continue
        kept = session.recordings.get(recorded.id)
        then = partial(recording.completed, core, session, recorded)
        if kept is not None:
            kept.then = then
        elif not core.unheard:
            then(0, ending.RESTART.cause)
