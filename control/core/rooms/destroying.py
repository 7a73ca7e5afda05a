"""The end of a room: what it does stops, everybody leaves, and `conference.destroyed` is its last event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from roomtone.control.core import placing
from roomtone.control.core.rooms import events, joining, lasting, leaving, play, recording
from roomtone.control.core.rooms.model import Room
from roomtone.control.core.run import Work
from roomtone.control.core.session import SessionFact
from roomtone.engine.messages import CloseSession, RemoveEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rest.asked import Asked


def destroy(
    core: Core, room: Room, cause: str | None = None, asked: Asked | None = None, hangup: bool = False
) -> Work:
    """cause: why it ends without having been deleted.  hangup: its members' calls end with it."""
    if room.state != "open":
        return
    room.state = "destroying"
    play.end_for_room(core, room)
    for name in list(room.timers):
        core.cancel(room, name)
    sessions = [member.session for member in room.members.values() if member.state == "in"]
    why = cause if cause == "time_limit" else "room_destroyed"
    for member in list(room.members.values()):
        joining.fail(core, member, "room_not_found")
        leaving.leave(core, member, "removed", why, asked)
    for row in list(room.returning.values()):
        leaving.unseen(core, room, row, "removed", why, asked)
    if hangup:
        for session in sessions:
            if not session.ended:  # else it was nothing but a member
                core.end(session, SessionFact.HUNG_UP)
    for endpoint in list(room.endpoints.values()):
        core.tell(endpoint.worker, RemoveEndpoint(endpoint.id))
        placing.removed(core, room, endpoint)
    yield from recording.end_for_room(core, room)
    _end(core, room, cause, asked)


def _end(core: Core, room: Room, cause: str | None, asked: Asked | None) -> None:
    room.state = "ended"
    del core.rooms[room.id], core.room_names[room.app_id, room.name]
    core.keep("room", room.id, None)
    core.publish(
        events.Destroyed(room.app_id, room.id, UNSET if cause is None else cause),
        room.app_id,
        room=room,
        asked=asked,
    )
    for worker, count in room.counts.items():
        core.workers.add(worker, -count, room.phase)
    there = {*room.opened, *room.counts}
    if room.home is not None:
        core.workers.unsettle(room.home, room.phase)
        there.add(room.home)  # where it may have been opened without an answer
    for worker in there:
        core.tell(worker, CloseSession(room.id))
    core.log("info", "room_ended", room=room.id, reason=cause or "deleted")


def expired(core: Core, room: Room, timer: str) -> None:
    """A timer of the room fired."""
    if room.state != "open":
        return
    if timer == lasting.LIMIT:
        core.work(destroy(core, room, "time_limit"))
    elif not room.taken:
        core.work(destroy(core, room, "departure_timeout" if room.used else "empty_timeout"))
