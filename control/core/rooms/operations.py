"""Rooms over REST: made, changed, shown, ended; and the table of all operations of rooms."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from roomtone.control.core import naming
from roomtone.control.core.rest import query
from roomtone.control.core.rest.asked import Asked, Operation, Outcome, Steps
from roomtone.control.core.rest.refusal import Refusal, refuse
from roomtone.control.core.rooms import (
    commands,
    destroying,
    events,
    forwarding,
    lasting,
    members,
    play,
    recording,
    roles,
    rtp_members,
    talking,
    views,
)
from roomtone.control.core.rooms.model import DAY_S, Room, enter
from roomtone.engine.overload import Level

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

STRICT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
YEAR_S = 365 * DAY_S
MAX_METADATA = 4096  # bytes as JSON

Places = Annotated[int, Meta(ge=0, le=100_000)]
Seconds = Annotated[int, Meta(ge=0, le=YEAR_S)]


class RoomOptions(Struct, kw_only=True):
    """0 is no limit.  Times in seconds: empty_timeout_s until somebody comes, departure_timeout_s after the
    last one left, time_limit_s in all.  talk_events: tell who talks.
    """

    locked: bool | UnsetType = UNSET
    max_members: Places | UnsetType = UNSET
    empty_timeout_s: Seconds | UnsetType = UNSET
    departure_timeout_s: Seconds | UnsetType = UNSET
    time_limit_s: Seconds | UnsetType = UNSET
    talk_events: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    command_uid: str | None = None


class CreateRoom(RoomOptions, forbid_unknown_fields=True, kw_only=True):
    name: str


class ChangeRoom(RoomOptions, forbid_unknown_fields=True, kw_only=True):
    pass


class RoomCreated(Struct):
    room_id: str


class RoomDestroyed(Struct):
    room_id: str
    status: str = "destroyed"


def create(core: Core, asked: Asked, body: CreateRoom) -> Outcome:
    _check_name(core, body.name)
    taken = core.room_names.get((asked.app_id, body.name))
    if taken is not None:
        raise Refusal(409, "name_taken", "A room of that name exists", {"room_id": taken})
    home = core.workers.least_loaded()
    if home is None or core.workers.gives_up(home, Level.NEW_ENDPOINTS):
        raise refuse("overloaded")
    room = Room(
        id=naming.room_id(core.node, core.next_id()),
        app_id=asked.app_id,
        created_us=core.now_us,
        name=body.name,
    )
    _adopt(core, room, body)
    enter(core, room)
    lasting.begin(core, room)
    lasting.write(core, room)
    core.publish(events.Created(room.app_id, room.id, room.name), room.app_id, room=room, asked=asked)
    core.log("info", "room_created", room=room.id, app=room.app_id)
    return Outcome(RoomCreated(room.id))


def _check_name(core: Core, name: str) -> None:
    if core.config.rooms.strict_names:
        if not STRICT_NAME.fullmatch(name):
            raise Refusal(400, "validation_error", "name must be 1 to 64 of A-Z a-z 0-9 - _")
    elif not 1 <= len(name) <= 64 or not name.isprintable() or name != name.strip():
        raise Refusal(400, "validation_error", "name must be 1 to 64 printable characters")


def _adopt(core: Core, room: Room, wish: RoomOptions) -> None:
    """What was asked for.  Raises `Refusal`, then nothing has changed."""
    if wish.metadata is not UNSET:
        if len(msgspec.json.encode(wish.metadata)) > MAX_METADATA:
            raise Refusal(400, "validation_error", f"metadata must be within {MAX_METADATA} bytes as JSON")
        room.metadata = wish.metadata
    for name in ("locked", "max_members", "empty_timeout_s", "departure_timeout_s", "time_limit_s"):
        value = getattr(wish, name)
        if value is not UNSET:
            setattr(room, name, value)
    if wish.talk_events is not UNSET:
        talking.switch(core, room, wish.talk_events)


def list_own(core: Core, asked: Asked, body: Struct) -> Outcome:
    name, status = asked.query.get("name"), asked.query.get("playback_status")
    after: datetime | None = query.value(asked, "created_after")
    after_us = None if after is None else round(after.timestamp() * 1_000_000) - core.epoch_offset_us
    found = (
        room
        for room in core.rooms.values()
        if room.app_id == asked.app_id
        and name in (None, room.name)
        and (status is None or status == play.status(room))
        and (after_us is None or room.created_us > after_us)
    )
    rooms, cursor = query.page(asked, found, lambda room: (room.created_us + core.epoch_offset_us, room.id))
    return Outcome(views.RoomPage([views.summary(core, room) for room in rooms], cursor))


def show(core: Core, asked: Asked, body: Struct) -> Outcome:
    return Outcome(views.details(core, asked.the_room))


def change(core: Core, asked: Asked, body: ChangeRoom) -> Outcome:
    room = asked.the_room
    _adopt(core, room, body)
    lasting.begin(core, room)
    lasting.write(core, room)
    return Outcome(views.details(core, room))


def destroy(core: Core, asked: Asked, body: Struct) -> Steps:
    room = asked.the_room
    yield from destroying.destroy(core, room, asked=asked, hangup=query.value(asked, "hangup", False))
    return Outcome(RoomDestroyed(room.id))


ROOMS = "/api/v1/conferences"
ROOM = ROOMS + "/{room_id}"
OPERATIONS: dict[str, Operation] = {
    "conference.create": Operation(
        method="POST",
        path=ROOMS,
        handler=create,
        summary="Make a room",
        body=CreateRoom,
        result=RoomCreated,
        status=201,
        made="room_id",
        emits=("conference.created",),
    ),
    "conference.list": Operation(
        method="GET",
        path=ROOMS,
        handler=list_own,
        summary="List the app's rooms",
        result=views.RoomPage,
        query=(*query.PAGE, "name", "playback_status", "created_after"),
    ),
    "conference.get": Operation(
        method="GET", path=ROOM, handler=show, summary="Show a room", result=views.RoomDetails
    ),
    "conference.change": Operation(
        method="PATCH",
        path=ROOM,
        handler=change,
        summary="Lock a room, or change its limits",
        body=ChangeRoom,
        result=views.RoomDetails,
    ),
    "conference.delete": Operation(
        method="DELETE",
        path=ROOM,
        handler=destroy,
        summary="End a room",
        result=RoomDestroyed,
        emits=("conference.member.left", "conference.destroyed"),
        query=("hangup",),
    ),
    **members.OPERATIONS,
    **roles.OPERATIONS,
    **forwarding.OPERATIONS,
    **rtp_members.OPERATIONS,
    **recording.OPERATIONS,
    **commands.OPERATIONS,
}
