"""How long a room lasts: its time limit, and how long it waits for members.

And how it and its members are written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core.rooms.model import Member, MemberRow, Room, RoomRow

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

EMPTY, LIMIT = "room_empty", "room_limit"  # timers
US_PER_S = 1_000_000


def begin(core: Core, room: Room) -> None:
    """A room was made, or has come back."""
    limit(core, room)
    watch(core, room)


def limit(core: Core, room: Room) -> None:
    """Its time limit may have changed; it counts from the making."""
    if room.time_limit_s:
        core.schedule(room, LIMIT, room.created_us + room.time_limit_s * US_PER_S)
    else:
        core.cancel(room, LIMIT)


def watch(core: Core, room: Room) -> None:
    """Members, or what a room without any waits for, may have changed."""
    if room.state != "open":
        return
    wait_s = room.departure_timeout_s if room.used else room.empty_timeout_s
    since_us = room.emptied_us if room.used else room.created_us
    if room.taken or not wait_s:
        core.cancel(room, EMPTY)
    else:
        core.schedule(room, EMPTY, since_us + wait_s * US_PER_S)


def emptied(core: Core, room: Room) -> None:
    """A member has left.  Who is still on his way in does not count: his join may fail."""
    if room.member_count or room.state != "open":
        return
    room.emptied_us = core.now_us
    write(core, room)
    watch(core, room)


def write(core: Core, room: Room) -> None:
    core.keep(
        "room",
        room.id,
        RoomRow(
            app_id=room.app_id,
            name=room.name,
            created_us=room.created_us + core.epoch_offset_us,
            home=room.home,
            phase=room.phase,
            locked=room.locked,
            max_members=room.max_members,
            empty_timeout_s=room.empty_timeout_s,
            departure_timeout_s=room.departure_timeout_s,
            time_limit_s=room.time_limit_s,
            talk_events=room.talk_events,
            metadata=room.metadata,
            routing=room.routing,
            used=room.used,
            emptied_us=room.emptied_us + core.epoch_offset_us,
            recorded=room.recorded,
        ),
    )


def write_member(core: Core, member: Member) -> None:
    core.keep(
        "member",
        member.row,
        MemberRow(
            room_id=member.room.id,
            session_id=member.session.id,
            app_id=member.room.app_id,
            caller_id=member.session.caller_id,
            state=member.state,
            muted=member.muted,
            deaf=member.deaf,
            role=member.role,
            joined_us=member.joined_us,
            talking=member.session.id in member.room.talkers,
        ),
    )
