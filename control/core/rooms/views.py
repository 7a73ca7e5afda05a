"""Rooms and members as clients see them (the contract's section 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roomtone.control.core import naming, views
from roomtone.control.core.rooms import play
from roomtone.control.core.rooms.model import Member, Room

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def summary(core: Core, room: Room) -> dict[str, Any]:
    """A room in a list."""
    return {
        "room_id": room.id,
        "app_id": room.app_id,
        "name": room.name,
        "created_at": views.rfc3339(room.created_us + core.epoch_offset_us),
        "playback_status": play.status(room),
        "member_count": room.member_count,
    }


def details(core: Core, room: Room) -> dict[str, Any]:
    return {
        **summary(core, room),
        "playback": play.view(core, room),
        "state": room.state,
        "locked": room.locked,
        "max_members": room.max_members,
        "empty_timeout_s": room.empty_timeout_s,
        "departure_timeout_s": room.departure_timeout_s,
        "time_limit_s": room.time_limit_s,
        "talk_events": room.talk_events,
        "metadata": room.metadata,
        "active_speaker": None if room.speaker is None else naming.session_uuid(core.node, room.speaker),
        "members": [member_view(core, member) for member in present(room)],
    }


def present(room: Room) -> list[Member]:
    return [member for member in room.members.values() if member.state == "in"]


def member_view(core: Core, member: Member) -> dict[str, Any]:
    session = member.session
    return {
        "session_uuid": naming.session_uuid(core.node, session.id),
        "caller_id": session.caller_id,
        "muted": member.muted,
        "deaf": member.deaf,
        "role": member.role or member.room.routing.default,
        "talking": session.id in member.room.talkers,
        "joined_at": views.rfc3339(member.joined_us),
    }
