"""What ends calls, and how that is told."""

from __future__ import annotations

from msgspec import Struct

from roomtone.control.core.session import SessionFact

API_HANGUP = "api_hangup"


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
