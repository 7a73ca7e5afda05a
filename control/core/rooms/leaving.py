"""How a member leaves a room: once, for one reason (the contract's section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.calls.endings import Ending
from roomtone.control.core.rooms import events, lasting, play, seating, talking
from roomtone.control.core.rooms.model import Member, MemberRow, Room
from roomtone.control.core.session import Session, SessionFact

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def leave(core: Core, member: Member, reason: str, cause: str, asked: Asked | None = None) -> None:
    """Let a member go that is in; one that is out already is left alone."""
    if member.state != "in":
        return
    session, room = member.session, member.room
    member.state = "out"
    del room.members[session.id]
    if session.member is member:
        session.member = None
    elif session.member is not None and session.member.pending is not None:
        session.member.pending.before = None  # it is on its way to another room
    talking.forget(core, member)
    core.keep("member", member.row, None)
    lasting.emptied(core, room)
    tell(core, room, session.id, session.caller_id, reason, cause, asked, session)
    seating.let_go(core, session, session.endpoints.values(), room)
    if not room.member_count:
        play.emptied(core, room)
    core.log("info", "member_left", room=room.id, session=session.id, reason=reason, cause=cause)
    end_bound(core, session, cause)


def unseen(
    core: Core, room: Room, row: MemberRow, reason: str, cause: str, asked: Asked | None = None
) -> None:
    """A member from before a restart, of whom no worker has told, has left."""
    del room.returning[row.session_id], core.returning[row.session_id]
    core.keep("member", f"{row.room_id}/{row.session_id}", None)
    lasting.emptied(core, room)
    session_uuid = naming.session_uuid(core.node, row.session_id)
    if row.talking:
        stopped = events.TalkingStopped(session_uuid, room.id, row.caller_id, room.app_id)
        core.publish(stopped, room.app_id, room=room, session_uuid=session_uuid)
    tell(core, room, row.session_id, row.caller_id, reason, cause, asked)
    if not room.member_count:
        play.emptied(core, room)


def end_bound(core: Core, session: Session, cause: str) -> None:
    """A session that is nothing but a member of its room ends when it is none any more."""
    if session.leg.room_bound and session.member is None and not session.ended:
        core.end(session, SessionFact.HUNG_UP, Ending("hangup", cause))


def tell(
    core: Core,
    room: Room,
    session_id: str,
    caller_id: str,
    reason: str,
    cause: str,
    asked: Asked | None = None,
    session: Session | None = None,
) -> None:
    session_uuid = naming.session_uuid(core.node, session_id)
    core.publish(
        events.Left(session_uuid, room.id, reason, caller_id, cause, room.app_id, room.member_count),
        room.app_id,
        room=room,
        session=session,
        session_uuid=session_uuid,
        asked=asked,
    )
