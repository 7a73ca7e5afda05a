"""Muted, deaf, another role: how a member sits.  What is asked for and is so already changes nothing.

Who is muted or made deaf on his way to another room is so there, too: a move keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.rooms import events, lasting, seating, talking
from roomtone.control.core.rooms.model import Member

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def mute(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Contribute silence, or not any more.  Returns whether that is a change; a change is told."""
    changes, coming = member.muted is not on, _coming(member)
    if changes or coming.muted is not on:
        member.muted = coming.muted = on
        _sit(core, member)
    if changes:
        _tell(core, member, events.Muted if on else events.Unmuted, asked)
        talking.look(core, member)
    return changes


def deafen(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Hear nothing, or again.  Returns as `mute` does."""
    changes, coming = member.deaf is not on, _coming(member)
    if changes or coming.deaf is not on:
        member.deaf = coming.deaf = on
        _sit(core, member)
    if changes:
        _tell(core, member, events.Deafened if on else events.Undeafened, asked)
    return changes


def give_role(core: Core, member: Member, role: str) -> None:
    """A role of the room's matrix, which its workers keep apart (`seating.tell_apart`)."""
    if member.role != role:
        member.role = role
        _sit(core, member)


def _coming(member: Member) -> Member:
    """Its membership in the room that it is on its way to; that itself where it stays."""
    return member.session.member or member


def _tell(core: Core, member: Member, event: type[events.OfMember], asked: Asked | None) -> None:
    room, session = member.room, member.session
    core.publish(
        event(naming.session_uuid(core.node, session.id), room.id, session.caller_id, room.app_id),
        room.app_id,
        room=room,
        session=session,
        asked=asked,
    )


def _sit(core: Core, member: Member) -> None:
    lasting.write_member(core, member)
    seating.change(core, member.session)
