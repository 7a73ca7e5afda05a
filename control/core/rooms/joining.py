"""How a session becomes a member of a room, or of another one.

Theory of operation
-------------------
A membership begins as `joining`: all endpoints of the session are asked to take seats.  It is `in`, and told
so, once every worker has agreed and every network endpoint was mixed there (`Seated`).  Until then, and not
longer than 2 s, whatever goes wrong undoes it: then its result says why, and nobody hears of it otherwise.
A peer of which not a packet has come gets none either, as nobody knows where it is: shortly before the 2 s
are over its seat alone is enough.

A session that is in another room stays its member until it is in the new one; both change in one commit.  A
new join takes the place of one that is on its way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.calls import commands
from roomtone.control.core.calls.commands import Command
from roomtone.control.core.problems import ENDPOINT_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.rooms import events, lasting, leaving, seating, talking
from roomtone.control.core.rooms.model import JOIN, NETWORK, Member, Pending, Room
from roomtone.control.core.run import Work
from roomtone.control.core.session import Bus, Endpoint, Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def _connected(endpoint: Endpoint) -> bool:
    return endpoint.kind in NETWORK and endpoint.state == "connected"


def refusal(room: Room) -> str | None:
    """Why nobody comes in just now."""
    if room.state != "open":
        return "room_not_found"
    if room.locked:
        return "room_locked"
    if room.max_members and room.taken >= room.max_members:
        return "room_full"
    return None


def begin(core: Core, member: Member, command: Command | None = None) -> None:
    """Let a session join.  command: its result says what became of it."""
    session, room = member.session, member.room
    before = session.member
    if before is not None and before.pending is not None:
        former, before = before, before.pending.before
        _cancel(core, former, "superseded")
    coming = seating.seatable(session)
    awaiting = {e.id for e in coming if _connected(e) and (e.is_source or e.is_destination)}
    member.pending = Pending(command, before, awaiting)
    if before is not None:
        member.voices |= before.voices
    session.member = member
    room.members[session.id] = member
    lasting.watch(core, room)
    if room.routing.seat(member.role)[0]:
        room.roles_apart = True
    if command is not None:
        lasting.write_member(core, member)
        core.schedule(session, JOIN, command.due_us - SILENT_US)
    core.work(_take_seats(core, member, coming))


def _take_seats(core: Core, member: Member, coming: Iterable[Endpoint]) -> Work:
    try:
        taken = yield from seating.take(core, member, coming)
    except Problem as refused:
        if member.pending is not None:
            core.log("warning", "join_failed", room=member.room.id, reason=refused.message)
            fail(core, member, _CODES.get(refused.code, "join_failed"))
        else:
            seating.restore(core, member.session)
        return
    if taken is None or member.pending is None:
        seating.restore(core, member.session)
    else:
        member.pending.taken = taken
        _look(core, member)


SILENT_US = 200_000  # before the deadline: who has not sent anything is sent nothing that could confirm it
_CODES = {ENDPOINT_ERROR: "overloaded", SESSION_UNRESPONSIVE: "node_unavailable"}


def seated(core: Core, session: Session, endpoint: Endpoint, room_id: str) -> None:
    """The first tick with the endpoint in that room."""
    member = session.member
    if member is not None and member.pending is not None and member.room.id == room_id:
        member.pending.awaiting.discard(endpoint.id)
        _look(core, member)


def endpoint_come(core: Core, bus: Bus, endpoint: Endpoint) -> None:
    """It is the session's now: made, or transferred."""
    seating.settle(core, bus, endpoint)
    if bus.member is not None:
        talking.watch(core, bus.member, [endpoint])


def endpoint_gone(core: Core, bus: Bus, endpoint: Endpoint) -> None:
    """It is not the session's any more."""
    member = bus.member
    if member is None:
        return
    talking.heard(core, member, endpoint, speaks=False)
    if member.pending is not None and endpoint.id in member.pending.awaiting:
        member.pending.awaiting.discard(endpoint.id)
        if any(_connected(left) for left in member.session.endpoints.values()):
            _look(core, member)
        else:
            fail(core, member, "not_answered")


def _look(core: Core, member: Member) -> None:
    pending = member.pending
    if pending is None or pending.awaiting or pending.taken is None:
        return
    session, room = member.session, member.room
    seating.adopt(core, session, pending.taken)
    for endpoint in session.endpoints.values():
        seating.agree(core, member, endpoint)
    if pending.before is not None:
        leaving.leave(core, pending.before, "removed", "moved")
    member.pending = None
    member.state = "in"
    member.joined_us = core.now_us + core.epoch_offset_us
    room.used = True
    core.cancel(session, JOIN)
    lasting.write_member(core, member)
    lasting.write(core, room)
    core.publish(
        events.Joined(
            naming.session_uuid(core.node, session.id),
            room.id,
            session.caller_id,
            room.app_id,
            room.member_count,
            member.muted,
            member.role or room.routing.default,
        ),
        room.app_id,
        room=room,
        session=session,
        asked=pending.command.asked if pending.command is not None else None,
    )
    if pending.command is not None:
        commands.succeed(core, pending.command)
    talking.watch(core, member, session.endpoints.values())
    talking.look(core, member)
    core.counters.joins["joined"] += 1
    core.log("info", "member_joined", room=room.id, session=session.id)


# -- what goes wrong -----------------------------------------------------------------------------------------


def fail(core: Core, member: Member, error: str) -> None:
    """A join does not come about: everything is as it was, and its result says why."""
    if member.pending is None:
        return
    member.session.member = member.pending.before
    if not member.session.ended:
        seating.restore(core, member.session)
    _cancel(core, member, error)
    for endpoint in list(member.session.endpoints.values()):
        if endpoint.seat_in is member.room:  # made meanwhile, with a seat there
            seating.forget(core, member.session, endpoint)
            seating.settle(core, member.session, endpoint)
    leaving.end_bound(core, member.session, error)
    core.log("info", "join_failed", room=member.room.id, session=member.session.id, error=error)


def _cancel(core: Core, member: Member, error: str) -> None:
    session, room = member.session, member.room
    pending, member.pending = member.pending, None
    member.state = "out"
    del room.members[session.id]
    core.cancel(session, JOIN)
    core.keep("member", member.row, None)
    lasting.watch(core, room)
    core.counters.joins[error] += 1
    if pending is None:
        return
    if pending.command is not None:
        commands.fail(core, pending.command, error)
    seating.give_up(core, session, pending.taken or [])


def timed_out(core: Core, session: Session) -> None:
    """The timer of a join fired: a little before the deadline, and at it."""
    member = session.member
    pending = member.pending if member is not None else None
    if member is None or pending is None or pending.command is None:
        return
    if core.now_us < pending.command.due_us:
        heard = {e.id for e in session.endpoints.values() if e.learned is not None or not e.learns}
        pending.awaiting &= heard
        core.schedule(session, JOIN, pending.command.due_us)
        _look(core, member)
    else:
        commands.results_due(core, session)
        fail(core, member, commands.TIMEOUT)


def out_of_everything(
    core: Core, session: Session, reason: str, cause: str, asked: Asked | None = None
) -> bool:
    """A session leaves its room, and joins none.  False: it did neither."""
    member = session.member
    if member is None:
        return False
    if member.pending is not None:
        fail(core, member, commands.CALL_ENDED if session.ended else "left")
    if session.member is not None:
        leaving.leave(core, session.member, reason, cause, asked)
    return True
