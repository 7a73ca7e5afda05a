"""How a call ends.

Theory of operation
-------------------
A session ends once, in `life.end`.  What is still open is closed there in this order: digits.collected,
playback.stopped, conference.member.left, results of commands, call.hangup; nothing follows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core.calls import collecting, commands, digits, events, playing, telling
from roomtone.control.core.calls.endings import Ending
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

HANGUP = "hangup"  # why a playback ended


def close(core: Core, session: Session) -> None:
    """What goes on in a call is over."""
    collecting.stop(core, session, digits.UNKNOWN)
    playing.stop(core, session, HANGUP)


def ended(core: Core, session: Session, ending: Ending) -> None:
    """The last that is told of a call."""
    commands.give_up(core, session)
    if session.leg.recorded is None or not session.leg.recorded.id:
        hang_up(core, session, ending)
    else:
        session.leg.ending = ending  # the recording's completion comes first
        telling.remember(core, session)


def hang_up(core: Core, session: Session, ending: Ending) -> None:
    """Nothing follows."""
    event = events.Hangup(telling.uuid(core, session), ending.hangup_cause, ending.cause)
    telling.tell(core, session, event, known=ending.known)
    session.leg.over = True
    if session.leg.told:
        core.keep(telling.KIND, session.id, None)
