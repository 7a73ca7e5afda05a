"""Muted, deaf, another role: how a member sits.  What is asked for and is so already changes nothing.

Who is muted or made deaf on his way to another room is so there, too: a move keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from roomtone.control.core import naming
from roomtone.control.core.rooms import events, lasting, seating, talking
from roomtone.control.core.rooms.model import Member

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def mute(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Contribute silence, or not any more.  Returns whether that is a change; a change is told."""
    changes = _turn(core, member, "muted", on, events.Muted if on else events.Unmuted, asked)
    if changes:
        talking.look(core, member)
    return changes


def deafen(core: Core, member: Member, on: bool, asked: Asked | None) -> bool:
    """Hear nothing, or again.  Returns as `mute` does."""
    return _turn(core, member, "deaf", on, events.Deafened if on else events.Undeafened, asked)


def _turn(
    core: Core,
    member: Member,
    what: Literal["muted", "deaf"],
    on: bool,
    event: type[events.OfMember],
    asked: Asked | None,
) -> bool:
    coming = member.session.member or member  # the membership it is on its way to, or this one
    changes = getattr(member, what) is not on
    if changes or getattr(coming, what) is not on:
        setattr(member, what, on)
        setattr(coming, what, on)
        _sit(core, member)
    if changes:
        _tell(core, member, event, asked)
    return changes


def give_role(core: Core, member: Member, role: str) -> None:
    """A role of the room's matrix, which its workers keep apart (`seating.tell_apart`)."""
    if member.role != role:
        member.role = role
        _sit(core, member)


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
