"""Members of a room over REST: shown, muted, given roles, removed; one or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from roomtone.control.core import naming
from roomtone.control.core.rest import query
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rooms import leaving, muting, seating, views
from roomtone.control.core.rooms.model import Member, Room

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

RoleName = Annotated[str, Meta(min_length=1, max_length=64)]


class ChangeMember(Struct, forbid_unknown_fields=True, kw_only=True):
    """None: as it is."""

    muted: bool | None = None
    deaf: bool | None = None
    role: RoleName | None = None
    command_uid: str | None = None


class Bulk(Struct, forbid_unknown_fields=True, kw_only=True):
    """except_roles: members of these are left as they are."""

    action: Literal["mute", "unmute", "deaf", "undeaf", "kick"]
    except_roles: list[RoleName] = []
    command_uid: str | None = None


class MemberRemoved(Struct):
    session_uuid: str
    status: Literal["removed"]


class BulkDone(Struct):
    """changed: the members that were not so before."""

    changed: list[str]


def _member(core: Core, asked: Asked) -> Member:
    """Raises `Refusal`."""
    session_id = naming.session_id(core.node, asked.path["member"])
    member = asked.the_room.members.get(session_id or "")
    if session_id in asked.the_room.returning:
        raise refuse("node_unavailable", retry_after_ms=1000)
    if member is None or member.state != "in":
        raise refuse("member_not_found")
    return member


def list_all(core: Core, asked: Asked, body: Struct) -> Outcome:
    present = views.present(asked.the_room)
    some, cursor = query.page(asked, present, lambda member: (member.joined_us, member.session.id))
    return Outcome(views.MemberPage([views.member_view(core, member) for member in some], cursor))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(views.member_view(core, _member(core, asked)))


def change(core: Core, asked: Asked, body: ChangeMember) -> Steps:
    member = _member(core, asked)
    if body.role is not None:
        check_role(member.room, body.role)
        yield from seating.tell_apart(core, member.room, body.role)
        member = _member(core, asked)
        check_role(member.room, body.role)
    if body.deaf is not None:
        muting.deafen(core, member, body.deaf, asked)
    if body.muted is not None:
        muting.mute(core, member, body.muted, asked)
    if body.role is not None:
        muting.give_role(core, member, body.role)
    return Outcome(views.member_view(core, member))


def kick(core: Core, asked: Asked, body: Struct) -> Outcome:
    """The call goes on."""
    member = _member(core, asked)
    leaving.leave(core, member, "removed", "kicked", asked)
    return Outcome(MemberRemoved(asked.path["member"], "removed"))


def check_known(room: Room) -> None:
    """Raises `Refusal`: after a restart it is not known yet who is still there."""
    if room.returning:
        raise refuse("node_unavailable", retry_after_ms=1000)


def check_role(room: Room, role: str) -> None:
    """Raises `Refusal`."""
    if role not in room.routing.roles:
        raise Refusal(400, "validation_error", f"The room has no role {role!r}")


def bulk(core: Core, asked: Asked, body: Bulk) -> Outcome:
    room = asked.the_room
    check_known(room)
    for role in body.except_roles:
        check_role(room, role)
    changed = [
        naming.session_uuid(core.node, member.session.id)
        for member in views.present(room)
        if (member.role or room.routing.default) not in body.except_roles
        and _do(core, member, body.action, asked)
    ]
    return Outcome(BulkDone(changed))


def _do(core: Core, member: Member, action: str, asked: Asked) -> bool:
    if action == "kick":
        leaving.leave(core, member, "removed", "kicked", asked)
        return True
    change = muting.deafen if "deaf" in action else muting.mute
    return change(core, member, not action.startswith("un"), asked)


MEMBERS = "/api/v1/conferences/{room_id}/members"
MEMBER = MEMBERS + "/{member}"
_CHANGES = tuple(
    f"conference.member.{what}"
    for what in ("muted", "unmuted", "deafened", "undeafened", "talking_started", "talking_stopped")
)
OPERATIONS: dict[str, Operation] = {
    "conference.members": Operation(
        method="GET",
        path=MEMBERS,
        handler=list_all,
        summary="List a room's members",
        result=views.MemberPage,
        query=query.PAGE,
    ),
    "conference.member.get": Operation(
        method="GET", path=MEMBER, handler=show, summary="Show a member", result=views.MemberView
    ),
    "conference.member.change": Operation(
        method="PATCH",
        path=MEMBER,
        handler=change,
        summary="Mute a member, make it deaf, give it another role",
        body=ChangeMember,
        result=views.MemberView,
        emits=_CHANGES,
    ),
    "conference.member.kick": Operation(
        method="DELETE",
        path=MEMBER,
        handler=kick,
        summary="Remove a member; its call goes on",
        result=MemberRemoved,
        emits=("conference.member.left",),
    ),
    "conference.members.bulk": Operation(
        method="POST",
        path=MEMBERS + ":bulk",
        handler=bulk,
        summary="Mute or remove all members but those of some roles",
        body=Bulk,
        result=BulkDone,
        emits=(*_CHANGES, "conference.member.left"),
    ),
}
