"""Rooms over REST: made, listed, shown, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from roomtone.control.core import naming, views
from roomtone.control.core.rest.asked import Asked, Operation, Outcome
from roomtone.control.core.rest.refusal import Refusal
from roomtone.control.core.rooms import events
from roomtone.control.core.rooms.model import Room

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

MAX_NAME = 64


class CreateRoom(Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    command_uid: str | None = None


class RoomCreated(Struct):
    room_id: str


def create(core: Core, asked: Asked, body: CreateRoom) -> Outcome:
    if not 1 <= len(body.name) <= MAX_NAME or not body.name.isprintable() or body.name != body.name.strip():
        raise Refusal(400, "validation_error", "name must be 1 to 64 printable characters")
    for other in core.rooms.values():
        if other.app_id == asked.app_id and other.name == body.name:
            raise Refusal(409, "name_taken", "A room of that name exists", {"room_id": other.id})
    room = Room(
        id=naming.room_id(core.node, core.next_id()),
        app_id=asked.app_id,
        created_us=core.now_us,
        name=body.name,
    )
    core.rooms[room.id] = room
    core.publish(events.Created(room.app_id, room.id, room.name), room.app_id, room=room, asked=asked)
    return Outcome(RoomCreated(room.id))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    room = asked.the_room
    return Outcome(
        {
            "room_id": room.id,
            "app_id": room.app_id,
            "name": room.name,
            "created_at": views.rfc3339(room.created_us + core.epoch_offset_us),
            "playback_status": "stopped",
            "member_count": len(room.members),
        }
    )


def destroy(core: Core, asked: Asked, body: Struct) -> Outcome:
    room = asked.the_room
    room.state = "ended"
    del core.rooms[room.id]
    core.publish(events.Destroyed(room.app_id, room.id), room.app_id, room=room, asked=asked)
    return Outcome({"room_id": room.id, "status": "destroyed"})


ROOMS = "/api/v1/conferences"
OPERATIONS: dict[str, Operation] = {
    "conference.create": Operation(
        method="POST",
        path=ROOMS,
        handler=create,
        summary="Make a room",
        body=CreateRoom,
        result=RoomCreated,
        status=201,
        emits=("conference.created",),
    ),
    "conference.get": Operation(method="GET", path=ROOMS + "/{room_id}", handler=show, summary="Show a room"),
    "conference.delete": Operation(
        method="DELETE",
        path=ROOMS + "/{room_id}",
        handler=destroy,
        summary="End a room",
        emits=("conference.destroyed",),
    ),
}
