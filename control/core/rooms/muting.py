"""Muted, deaf, another role: how a member sits.  What is asked for and is so already changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import naming
from roomtone.control.core.rooms import events, joining, seating, talking
from roomtone.control.core.rooms.model import Member

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def mute(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Contribute silence, or not any more.  Returns whether that is a change; a change is told."""
    if member.muted is on:
        return False
    member.muted = on
    _changed(core, member, events.Muted if on else events.Unmuted, asked)
    talking.look(core, member)
    return True


def deafen(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Hear nothing, or again."""
    if member.deaf is on:
        return False
    member.deaf = on
    _changed(core, member, events.Deafened if on else events.Undeafened, asked)
    return True


def give_role(core: Core, member: Member, role: str) -> None:
    """A role of the room's matrix."""
    if member.role != role:
        member.role = role
        _sit(core, member)


def _changed(core: Core, member: Member, event: type[events.OfMember], asked: Asked | None) -> None:
    _sit(core, member)
    room, session = member.room, member.session
    core.publish(
        event(naming.session_uuid(core.node, session.id), room.id, session.caller_id, room.app_id),
        room.app_id,
        room=room,
        session=session,
        asked=asked,
    )


def _sit(core: Core, member: Member) -> None:
    joining.write(core, member)
    if member.session.member is member:  # else it is on its way to another room
        seating.change(core, member)
