"""Rooms and members as clients see them (the contract's section 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from roomtone.control.core import naming, views
from roomtone.control.core.rest import query
from roomtone.control.core.rooms import play
from roomtone.control.core.rooms.model import Member, Room

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


class MemberView(Struct):
    """role: the room's default where it has none of its own."""

    session_uuid: str
    caller_id: str
    muted: bool
    deaf: bool
    role: str
    talking: bool
    joined_at: str


class RoomSummary(Struct, kw_only=True):
    room_id: str
    app_id: str
    name: str
    created_at: str
    playback_status: Literal["stopped", "playing", "paused"]
    member_count: int


class RoomDetails(RoomSummary, kw_only=True):
    """playback None: nothing plays.  active_speaker: a member's session_uuid."""

    playback: play.Playback | None
    state: str
    locked: bool
    max_members: int
    empty_timeout_s: int
    departure_timeout_s: int
    time_limit_s: int
    talk_events: bool
    metadata: dict[str, Any]
    active_speaker: str | None
    members: list[MemberView]


class RoomPage(query.Page):
    items: list[RoomSummary]


class MemberPage(query.Page):
    items: list[MemberView]


def summary(core: Core, room: Room) -> RoomSummary:
    """A room in a list."""
    return RoomSummary(**_summary(core, room))


def _summary(core: Core, room: Room) -> dict[str, Any]:
    return {
        "room_id": room.id,
        "app_id": room.app_id,
        "name": room.name,
        "created_at": views.rfc3339(room.created_us + core.epoch_offset_us),
        "playback_status": play.status(room),
        "member_count": room.member_count,
    }


def details(core: Core, room: Room) -> RoomDetails:
    return RoomDetails(
        **_summary(core, room),
        playback=play.view(core, room),
        state=room.state,
        locked=room.locked,
        max_members=room.max_members,
        empty_timeout_s=room.empty_timeout_s,
        departure_timeout_s=room.departure_timeout_s,
        time_limit_s=room.time_limit_s,
        talk_events=room.talk_events,
        metadata=room.metadata,
        active_speaker=None if room.speaker is None else naming.session_uuid(core.node, room.speaker),
        members=[member_view(core, member) for member in present(room)],
    )


def present(room: Room) -> list[Member]:
    return [member for member in room.members.values() if member.state == "in"]


def member_view(core: Core, member: Member) -> MemberView:
    session = member.session
    return MemberView(
        session_uuid=naming.session_uuid(core.node, session.id),
        caller_id=session.caller_id,
        muted=member.muted,
        deaf=member.deaf,
        role=member.role or member.room.routing.default,
        talking=session.id in member.room.talkers,
        joined_at=views.rfc3339(member.joined_us),
    )
