"""What is told of a call: call.new first, call.hangup last.

A session is told of from its beginning where it was made over REST, or its app is one of the REST interface;
else from the first command over REST on.  From then on it has a row in the store and its events are written
down; before, it costs the store nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.calls import events
from roomtone.control.core.calls.leg import CallRow, Leg, Owed, Played
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.api import EventData
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked

KIND = "call"  # of the rows


def uuid(core: Core, session: Session) -> str:
    return naming.session_uuid(core.node, session.id)


def introduce(core: Core, session: Session) -> None:
    """From here on the session is told of; once."""
    leg = session.leg
    if leg.told:
        return
    leg.told = True
    public = uuid(core, session)
    tell(core, session, events.New(public, session.caller_id, leg.did), known=True)
    if leg.answered:
        tell(core, session, events.Answered(public), known=True)
    remember(core, session)


def remember(core: Core, session: Session) -> None:
    """Write the call down as it is now, if it is told of."""
    leg = session.leg
    if leg.told and not leg.over:
        row = CallRow(
            app_id=session.app_id,
            caller_id=session.caller_id,
            created_epoch_us=session.created_us + core.epoch_offset_us,
            played=_played(core, leg),
            collected=leg.collecting.collected() if leg.collecting is not None else leg.collected,
            owed=[Owed(id, command.name, command.uid) for id, command in leg.owed.items() if command.noted],
            recorded=leg.recorded if leg.recorded is not None and leg.recorded.id else None,
            **leg.facts(),
        )
        core.keep(KIND, session.id, row)


def _played(core: Core, leg: Leg) -> Played | None:
    playback, collecting = leg.playback, leg.collecting
    if playback is None:
        return leg.played
    return Played(
        playback.uid,
        playback.urls,
        playback.endpoint,
        playback.started,
        playback.head.at_ms(core.now_us),
        playback.head.total_ms(core.now_us),
        core.now_us + core.epoch_offset_us,
        collecting is not None and collecting.prompts is playback,
    )


def answered(core: Core, session: Session, asked: Asked | None = None) -> None:
    """The call is answered: by its peer, or (asked) by the application."""
    leg = session.leg
    if leg.accepted or (asked is None and leg.answered):
        return
    leg.answered = True
    event = events.Answered(uuid(core, session))
    if asked is not None:
        leg.accepted = True
        event.command_uid, event.success = asked.command_uid, True
    tell(core, session, event, asked, known=asked is None)
    remember(core, session)


def tell(
    core: Core, session: Session, event: EventData, asked: Asked | None = None, *, known: bool = False
) -> None:
    """An event of a call.  known: its WebSocket has it under another name."""
    if session.leg.told:
        core.publish(event, session.app_id, session=session, asked=asked, copied=not known)
