"""The matrix of a room's roles over REST: who hears whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal
from roomtone.control.core.rooms import forwarding, lasting, routing, seating, views
from roomtone.control.core.rooms.members import RoleName, check_known

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

Names = Annotated[tuple[RoleName, ...], Meta(max_length=routing.MAX_ROLES)]


class RoleBody(Struct, forbid_unknown_fields=True):
    """hears: roles of the room."""

    hears: Names


class SetRouting(Struct, forbid_unknown_fields=True, kw_only=True):
    """default: the role of who names none."""

    default: RoleName
    roles: dict[RoleName, RoleBody]
    command_uid: str | None = None


class ChangeRouting(Struct, forbid_unknown_fields=True, kw_only=True):
    """Only roles that are named change; null: there is no such role any more."""

    roles: dict[RoleName, RoleBody | None]
    command_uid: str | None = None


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(asked.the_room.routing.shown())


def replace(core: Core, asked: Asked, body: SetRouting) -> Outcome:
    return _adopt(core, asked.the_room, body.default, {n: role.hears for n, role in body.roles.items()})


def change(core: Core, asked: Asked, body: ChangeRouting) -> Outcome:
    room = asked.the_room
    hears = {name: role.hears for name, role in room.routing.roles.items()}
    for name, role in body.roles.items():
        if role is None:
            hears.pop(name, None)
        else:
            hears[name] = role.hears
    return _adopt(core, room, room.routing.default, hears)


def _adopt(core: Core, room: Room, default: str, hears: dict[str, tuple[str, ...]]) -> Outcome:
    check_known(room)
    for member in room.members.values():
        if member.role and member.role not in hears:
            raise Refusal(400, "validation_error", f"A member has the role {member.role!r}")
    try:
        room.routing = routing.changed(room.routing, default, hears)
    except ValueError as error:
        raise Refusal(400, "validation_error", f"{error}") from None
    for member in views.present(room):
        seating.change(core, member.session)
    forwarding.reseat(core, room)
    lasting.write(core, room)
    return Outcome(room.routing.shown())


ROUTING = "/api/v1/conferences/{room_id}/routing"
OPERATIONS: dict[str, Operation] = {
    "conference.routing.get": Operation(
        method="GET", path=ROUTING, handler=show, summary="Who hears whom", result=routing.RoutingView
    ),
    "conference.routing.set": Operation(
        method="PUT",
        path=ROUTING,
        handler=replace,
        summary="Set who hears whom",
        body=SetRouting,
        result=routing.RoutingView,
    ),
    "conference.routing.change": Operation(
        method="PATCH",
        path=ROUTING,
        handler=change,
        summary="Change who hears whom",
        body=ChangeRouting,
        result=routing.RoutingView,
    ),
}
