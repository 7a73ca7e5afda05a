"""Rooms across a restart of the control process, and what is left of them when a worker dies.

Rooms and members come back from the store; who really sits there workers say, endpoint by endpoint.  A member
whose session no living worker holds has left (`orphan`, `restart`); an endpoint that sits where the store
knows of no member gets up again: its join was not told, or its leaving was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import naming, places, placing, spreading
from roomtone.control.core.problems import Problem
from roomtone.control.core.rooms import lasting, leaving, recording, seating, talking
from roomtone.control.core.rooms.model import Member, MemberRow, Room, RoomRow, enter
from roomtone.control.core.run import Work
from roomtone.control.core.session import Bus, Endpoint, Session
from roomtone.engine.messages import CloseSession, SnapshotEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

ROOM, MEMBER = "room", "member"  # kinds of rows
_room = msgspec.msgpack.Decoder(RoomRow).decode
_member = msgspec.msgpack.Decoder(MemberRow).decode

# -- after a restart -----------------------------------------------------------------------------------------


def read_room(core: Core, room_id: str, body: bytes) -> None:
    row = _room(body)
    room = Room(
        id=room_id,
        app_id=row.app_id,
        created_us=row.created_us - core.epoch_offset_us,
        phase=row.phase,
        was_home=row.home,
        name=row.name,
        locked=row.locked,
        max_members=row.max_members,
        empty_timeout_s=row.empty_timeout_s,
        departure_timeout_s=row.departure_timeout_s,
        time_limit_s=row.time_limit_s,
        talk_events=row.talk_events,
        metadata=row.metadata,
        routing=row.routing,
        used=row.used,
        emptied_us=row.emptied_us - core.epoch_offset_us,
        recorded=row.recorded,
    )
    enter(core, room)
    lasting.begin(core, room)


def read_member(core: Core, row_id: str, body: bytes) -> None:
    """A join that was under way has failed; the call's own record says so."""
    row = _member(body)
    room = core.rooms.get(row.room_id)
    if row.state == "in" and room is not None:
        room.returning[row.session_id] = row
        core.returning[row.session_id] = room
        lasting.watch(core, room)
        return
    core.keep(MEMBER, row_id, None)


def own(core: Core, worker: int, entry: SnapshotEndpoint, recalled: Callable[[], Endpoint]) -> bool:
    """Whether an endpoint that a worker holds is a room's own; its forwarders go on."""
    if not naming.is_room(entry.session):
        return False
    room = core.rooms.get(entry.session)
    if room is None:
        core.tell(worker, CloseSession(entry.session))
    elif entry.kind == "rtp":
        places.settle_again(core, room, worker)
        endpoint = room.endpoints[entry.endpoint] = recalled()
        room.made = max(room.made, endpoint.number)
        room.counts[worker] = room.counts.get(worker, 0) + 1
        core.workers.add(worker, 1, room.phase)
    return True


def sits(core: Core, endpoint: Endpoint, bus: Bus, entry: SnapshotEndpoint) -> None:
    """Count an endpoint that a worker holds where it sits."""
    room = core.rooms.get(entry.room) if entry.room is not None else None
    if room is not None:
        places.settle_again(core, room, endpoint.worker)
        core.workers.add(endpoint.worker, -1, bus.phase)
        places.reserve(core, room, endpoint.worker, endpoint.kind)
        endpoint.seat_in, endpoint.seat = room, entry.seat


def returned(core: Core, session: Session, entries: Iterable[SnapshotEndpoint]) -> None:
    """A worker holds these endpoints of a session: it is a member as before, and sits where it has to."""
    room = core.returning.pop(session.id, None)
    if room is not None:
        row = room.returning.pop(session.id)
        session.member = room.members[session.id] = Member(
            session=session,
            room=room,
            state="in",
            muted=row.muted,
            deaf=row.deaf,
            role=row.role,
            joined_us=row.joined_us,
        )
        if room.routing.seat(row.role)[0]:
            room.roles_apart = True
        if row.talking:
            room.talkers[session.id] = session.member
    for entry in entries:
        _put_right(core, session, session.endpoints[entry.endpoint], entry)


def _put_right(core: Core, session: Session, endpoint: Endpoint, entry: SnapshotEndpoint) -> None:
    member = session.member
    if entry.room is not None and endpoint.seat_in is None:  # of a room that is no more
        seating.get_up(core, session, endpoint)
    if member is None:
        seating.settle(core, session, endpoint)
        if endpoint.vad == talking.TALK:
            talking.unwatch(core, [endpoint])
        return
    if endpoint.vad == talking.TALK:
        endpoint.vad = None
    elif endpoint.vad is None:
        talking.watch(core, member, [endpoint])
    seating.settle(core, session, endpoint)


def gone(core: Core, session_id: str) -> None:
    """A session that no worker holds has left its room."""
    room = core.returning.get(session_id)
    if room is not None:
        leaving.unseen(core, room, room.returning[session_id], "orphan", "restart")


def sweep(core: Core) -> None:
    """Every worker was heard."""
    for session_id in list(core.returning):
        gone(core, session_id)
    for room in core.rooms.values():
        recording.returned(core, room)
        if room.size:
            core.work(_open_again(core, room))
        for worker in core.workers.loads():
            if worker not in room.counts:  # its bus may be there, of a join that was not told
                spreading.close(core, room, worker)
    for session in list(core.sessions.values()):
        leaving.end_bound(core, session, "restart")


def _open_again(core: Core, room: Room) -> Work:
    """Its bus is there: with what options, and where it publishes, is settled anew."""
    try:
        yield from spreading.join(core, room)
    except Problem as refused:
        core.log("warning", "room_not_spread", room=room.id, reason=refused.message)


# -- a worker died -------------------------------------------------------------------------------------------


def worker_lost(core: Core, worker: int) -> None:
    """Its sessions have ended, and left; what rooms had there is gone."""
    for room in core.rooms.values():
        if worker in room.counts or worker in room.opened or worker == room.home:
            _leave_worker(core, room, worker)


def _leave_worker(core: Core, room: Room, worker: int) -> None:
    for endpoint in [e for e in room.endpoints.values() if e.worker == worker]:
        core.log("warning", "forwarder_lost", room=room.id, forwarder=endpoint.id)
        placing.removed(core, room, endpoint)
    room.counts.pop(worker, None)
    room.opened.pop(worker, None)
    if room.spread is not None:
        room.spread.left(worker)
    if room.home == worker:
        room.home = next((other for other, endpoints in room.counts.items() if endpoints), None)
        if room.home is not None:
            core.workers.settle_again(room.home, room.phase)
        lasting.write(core, room)
    spreading.settle(core, room)
