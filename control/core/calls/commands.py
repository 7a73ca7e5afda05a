"""Commands to calls: accepted now, carried out in the order of their coming, their result told once.

Theory of operation
-------------------
Whatever can be known when a command comes is refused there and then.  What is accepted is *owed* a result
until `succeed` or `fail`, or until RESULT_US is over: then command.result says `timed_out`, which ends
nothing: what the command began goes on, and the events of its kind tell what becomes of it.

Work that asks workers takes its turn in the session like methods of the WebSocket: one at a time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct

from roomtone.control.core.calls import events, telling
from roomtone.control.core.problems import Problem
from roomtone.control.core.rest.asked import Accepted, Asked, Handler, Operation, Outcome
from roomtone.control.core.rest.refusal import as_refusal
from roomtone.control.core.run import Work
from roomtone.control.core.session import Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

SESSIONS = "/api/v1/sessions"
SESSION = SESSIONS + "/{session_uuid}"
PREFIX = "command."  # of the names of their operations
RESULT_MS = 2000
RESULTS = "results"  # the timer of a session that owes some
CALL_ENDED, TIMEOUT = "call_ended", "timeout"


class Command(Struct, eq=False):
    """A command that was accepted.  due_us: when its result is told at the latest.

    noted: it stands in the store, so that the result is not forgotten with this process.
    """

    asked: Asked
    due_us: int
    noted: bool = False

    @property
    def uid(self) -> str:
        return self.asked.command_uid

    @property
    def name(self) -> str:
        return self.asked.operation.removeprefix(PREFIX)


def command(name: str, handler: Handler, summary: str, *emits: str, **more: Any) -> tuple[str, Operation]:
    """An entry of the table of operations."""
    operation = Operation(
        method="POST",
        path=f"{SESSION}/commands/{name}",
        handler=handler,
        summary=summary,
        result=Accepted,
        status=202,
        emits=("command.result", *emits),
        **more,
    )
    return PREFIX + name, operation


def accept(core: Core, asked: Asked) -> Command:
    """From here on the command is owed a result."""
    session = asked.the_session
    telling.introduce(core, session)
    command = Command(asked, core.now_us + RESULT_MS * 1000)
    session.leg.owed[asked.operation_id] = command
    if RESULTS not in session.timers:
        core.schedule(session, RESULTS, command.due_us)
    return command


def accepted(core: Core, asked: Asked) -> Outcome:
    """The answer; a result that is still owed is written down before it."""
    session = asked.the_session
    command = session.leg.owed.get(asked.operation_id)
    if command is not None:
        command.noted = True
        telling.remember(core, session)
    return Outcome(Accepted(asked.operation_id, timeout_ms=RESULT_MS))


def succeed(core: Core, command: Command, *, changed: bool = True) -> None:
    _tell(core, command, None, changed=changed)


def fail(core: Core, command: Command, error: str) -> None:
    """Where its call has ended, for that."""
    ended = command.asked.the_session.ended
    _tell(core, command, CALL_ENDED if ended else error, changed=False)


def _tell(core: Core, command: Command, error: str | None, *, changed: bool, late: bool = False) -> None:
    """Once: what comes after the deadline has been told of."""
    asked = command.asked
    session = asked.the_session
    if session.leg.owed.pop(asked.operation_id, None) is None:
        return
    event = events.CommandResult(
        telling.uuid(core, session),
        command.name,
        command.uid,
        asked.operation_id,
        error is None,
        changed,
        error,
        True if late else UNSET,
    )
    telling.tell(core, session, event, asked)
    if command.noted:
        telling.remember(core, session)


def results_due(core: Core, session: Session) -> None:
    """The timer fired: the oldest command owed a result is out of time."""
    for command in list(session.leg.owed.values()):
        if command.due_us > core.now_us:
            core.schedule(session, RESULTS, command.due_us)
            return
        _tell(core, command, TIMEOUT, changed=False, late=True)


def give_up(core: Core, session: Session) -> None:
    """The call has ended: what was owed will not come."""
    for command in list(session.leg.owed.values()):
        fail(core, command, CALL_ENDED)


def carry_out(core: Core, command: Command, work: Work) -> None:
    """Do what a command does, behind what is open in its session; its result is told when it has ended."""
    core.in_turn(command.asked.the_session, work, partial(_done, core, command))


def _done(core: Core, command: Command, _: Struct | None, problem: Problem | None) -> None:
    if problem is None:
        succeed(core, command)
    else:
        fail(core, command, as_refusal(problem).code)
