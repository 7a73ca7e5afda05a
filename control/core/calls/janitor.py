"""Calls whose channel is lost: nobody has sent anything, nobody has asked for anything.

Looked at are sessions without a lease and without a bound WebSocket.  What a call is asked over REST counts
as a sign of life like its packets, of which the workers know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import life
from roomtone.control.core.effects import ScheduleAt
from roomtone.control.core.run import Ask, Work
from roomtone.control.core.session import Session, SessionFact
from roomtone.engine.messages import Activity, GetActivity

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

TIMER = ("janitor",)
SCAN_US = 10_000_000
IDLE_US = 120_000_000


def watch(core: Core) -> None:
    """There is a call to look after."""
    if not core.scanning:
        core.scanning = True
        core.effect(ScheduleAt(core.now_us + SCAN_US, TIMER))


def scan(core: Core) -> None:
    """The timer fired."""
    core.scanning = False
    for session in [s for s in core.sessions.values() if not s.leg.leased]:
        watch(core)
        if session.connection is None and _idle(core, session):
            core.work(_look(core, session))


def _idle(core: Core, session: Session) -> bool:
    """As far as is known here."""
    last_us = max(session.last_command_us, session.leg.active_us)
    return session.run is None and core.now_us - last_us >= IDLE_US


def _look(core: Core, session: Session) -> Work:
    """Did its peers send anything?  Only workers know; one that does not say leaves it to the next scan."""
    answers = yield [Ask(worker, GetActivity(session.id)) for worker in session.counts]
    told = [answer.heard_us for answer in answers if isinstance(answer, Activity)]
    session.leg.active_us = max([session.leg.active_us, *told])
    known = len(told) == len(answers)
    if known and not session.ended and session.connection is None and _idle(core, session):
        life.end(core, session, SessionFact.CHANNEL_LOST)
