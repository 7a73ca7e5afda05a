"""How a call ends.

Theory of operation
-------------------
A session ends once, in `life.end`.  What is still open is closed there in this order: digits.collected,
playback.stopped, conference.member.left, results of commands, call.hangup; nothing follows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from roomtone.control.core.calls import collecting, commands, digits, events, playing, telling
from roomtone.control.core.session import Session, SessionFact

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

API_HANGUP = "api_hangup"
HANGUP = "hangup"  # why a playback ended


class Ending(Struct, frozen=True):
    """reason: of member.left.  cause: what brought it about.  hangup_cause: the documented, coarse one.

    known: a WebSocket of the session has it under another name.
    """

    reason: str
    cause: str
    hangup_cause: str = "completed"
    known: bool = False


ENDINGS: dict[SessionFact, Ending] = {
    SessionFact.DESTROYED: Ending("hangup", "session_destroyed", known=True),
    SessionFact.HUNG_UP: Ending("hangup", API_HANGUP),
    SessionFact.CHANNEL_LOST: Ending("orphan", "idle_120s", "failed"),
    SessionFact.ORPHAN_EXPIRED: Ending("hangup", "control_lost", "failed"),
    SessionFact.IDLE_EXPIRED: Ending("hangup", "idle_timeout", known=True),
    SessionFact.EMPTY_EXPIRED: Ending("hangup", "empty_timeout", known=True),
    SessionFact.WORKER_LOST: Ending("orphan", "worker_lost", "failed", known=True),
    SessionFact.SHUT_DOWN: Ending("hangup", "shutdown", "failed", known=True),
}
RESTART = Ending("orphan", "restart", "failed")  # no worker holds it any more

# Q.850 names as applications give them with `hangup`.
HANGUP_CAUSES = {
    "USER_BUSY": "busy",
    "CALL_REJECTED": "rejected",
    "NO_ANSWER": "no_answer",
    "NO_USER_RESPONSE": "no_answer",
    "ORIGINATOR_CANCEL": "cancelled",
    "SUBSCRIBER_ABSENT": "unavailable",
    "UNALLOCATED_NUMBER": "unavailable",
    "DESTINATION_OUT_OF_ORDER": "unavailable",
    "NETWORK_OUT_OF_ORDER": "failed",
    "NORMAL_TEMPORARY_FAILURE": "failed",
    "RECOVERY_ON_TIMER_EXPIRE": "failed",
}


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
