"""Endpoints of sessions and their seats in rooms.

Theory of operation
-------------------
`session.member` says where a session's endpoints are to sit; `endpoint.seat_in` is the room that counts one
of them, because its worker has said that it sits there.  Between the two lie commands on their way.  A
command about a seat is numbered (`endpoint.moves`), so one that is told again never undoes a later one, and
workers carry commands out in the order they were sent: whoever sends the last one decides.

`take` brings endpoints to seats and can fail; `restore` sends back whatever may have been moved by one that
failed; `let_go` gives seats up.  A room is opened, and its bus spread, on a worker before anything sits
there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import notes, places, recordings, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, Problem
from roomtone.control.core.rooms.model import NETWORK, Member, Room
from roomtone.control.core.run import Answer, Ask, Work, expect
from roomtone.control.core.session import Bus, Endpoint, Session
from roomtone.engine.messages import (
    CommandBody,
    CreateFile,
    CreateRtp,
    CreateTone,
    Done,
    LeaveSeat,
    Seat,
    TakeSeat,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

SEAT_US = 2_000_000  # by then a worker has begun with a seat, or does not any more
Reserved = list[tuple[Endpoint, Room]]


def seat(member: Member, endpoint: Endpoint) -> Seat:
    """How an endpoint of a member sits."""
    private = member.session.id
    if endpoint.kind not in NETWORK:
        return Seat(hears=0, private=private)
    role, hears = member.room.routing.seat(member.role)
    return Seat(role, 0 if member.deaf else hears, not member.muted, private)


def seatable(session: Session) -> list[Endpoint]:
    """Bridges stay with their session; what is still downloaded is nowhere yet."""
    return [e for e in session.endpoints.values() if e.kind != "bridge" and e.state != "buffering"]


# -- coming --------------------------------------------------------------------------------------------------


def take(
    core: Core, member: Member, endpoints: Iterable[Endpoint]
) -> Generator[list[Ask], list[Answer], Reserved | None]:
    """Seat endpoints of a member; what has to be counted there now is for `adopt`, or `give_up`.

    None: it is not the session's membership any more.  Raises `Problem`: a worker refused.  In both cases
    what was done is to be restored.
    """
    session, room = member.session, member.room
    reserved: Reserved = [(endpoint, room) for endpoint in endpoints if endpoint.seat_in is not room]
    for endpoint, _ in reserved:
        _count(core, room, session, endpoint)
    try:
        yield from _prepare(core, room)
        if session.member is member:
            if member.pending is not None:
                member.pending.asked = True
            here = [e for e, _ in reserved if session.endpoints.get(e.id) is e]
            answers = yield [Ask(e.worker, _take_seat(core, member, e), within_us=SEAT_US) for e in here]
            for answer in answers:
                expect(answer, Done)
    except Problem:
        give_up(core, session, reserved)
        raise
    if session.member is member:
        return reserved
    give_up(core, session, reserved)
    return None


def adopt(core: Core, session: Session, reserved: Reserved) -> None:
    """Endpoints are where they were to sit; what they left is free."""
    left: Reserved = []
    for endpoint, room in reserved:
        if session.endpoints.get(endpoint.id) is not endpoint:
            left.append((endpoint, room))
            continue
        if endpoint.seat_in is not None:
            left.append((endpoint, endpoint.seat_in))
        endpoint.seat_in = room
    give_up(core, session, left)


def give_up(core: Core, bus: Bus, seats: Reserved) -> None:
    """Count endpoints in those rooms no more."""
    for endpoint, room in seats:
        core.workers.add(endpoint.worker, 1, bus.phase)
        places.release(core, room, endpoint.worker, endpoint.kind)


def _prepare(core: Core, room: Room) -> Generator[list[Ask], list[Answer], None]:
    yield from spreading.join(core, room)
    yield from recordings.join(core, room)
    if room.ended:
        raise Problem(ENDPOINT_ERROR, "The room ended meanwhile")


def book(core: Core, bus: Bus, endpoint: Endpoint) -> Generator[list[Ask], list[Answer], None]:
    """A seat for an endpoint that is about to be made on its worker.  Raises `Problem`."""
    member = bus.member
    if member is None or endpoint.kind == "bridge":
        return
    _count(core, member.room, member.session, endpoint)
    endpoint.seat_in = member.room
    try:
        yield from _prepare(core, member.room)
    except (Problem, GeneratorExit):
        forget(core, bus, endpoint)
        raise


def from_the_start(core: Core, bus: Bus, endpoint: Endpoint, body: CommandBody) -> CommandBody:
    """The command that makes an endpoint, with the seat that was booked, if that is still its place."""
    member = bus.member
    if not isinstance(body, CreateRtp | CreateTone | CreateFile):
        return body
    if member is None or endpoint.seat_in is not member.room:
        forget(core, bus, endpoint)
        return body
    endpoint.seat = seat(member, endpoint)
    return msgspec.structs.replace(body, room=member.room.id, seat=endpoint.seat)


def settle(core: Core, bus: Bus, endpoint: Endpoint) -> None:
    """An endpoint has come to a session whose membership may have changed since a seat was booked."""
    member = bus.member
    if endpoint.seat_in is (member.room if member is not None else None):
        if member is not None:
            agree(core, member, endpoint)
    elif member is None:
        let_go(core, bus, [endpoint])
    elif endpoint.kind != "bridge":
        core.work(_follow(core, member, endpoint))


def _follow(core: Core, member: Member, endpoint: Endpoint) -> Work:
    """Where this fails it is as with a join that fails; the member stays."""
    try:
        taken = yield from take(core, member, [endpoint])
    except Problem as refused:
        core.log("warning", "seat_refused", endpoint=endpoint.id, room=member.room.id, reason=refused.message)
        return
    if taken is None:
        restore(core, member.session)
    else:
        adopt(core, member.session, taken)
        agree(core, member, endpoint)


def agree(core: Core, member: Member, endpoint: Endpoint) -> None:
    """What the worker was told of a seat may have changed while that was on its way."""
    if endpoint.seat_in is member.room and endpoint.seat != seat(member, endpoint):
        _tell(core, endpoint, _take_seat(core, member, endpoint))


# -- sitting -------------------------------------------------------------------------------------------------


def change(core: Core, session: Session) -> None:
    """How a member sits has become another: muted, deaf, another role.

    Of one that is on its way to another room it is told where workers have been asked to seat it last.
    """
    member = session.member
    if member is not None and member.pending is not None and not member.pending.asked:
        member = member.pending.before
    if member is None:
        return
    for endpoint in seatable(session):
        sits = endpoint.seat_in is member.room or member.pending is not None
        if sits and endpoint.kind in NETWORK:
            _tell(core, endpoint, _take_seat(core, member, endpoint))


def tell_apart(core: Core, room: Room, role: str) -> Generator[list[Ask], list[Answer], None]:
    """Before anybody sits in a room in that role its workers have to keep it apart.  Raises `Problem`."""
    if room.routing.seat(role)[0]:
        room.roles_apart = True
    yield from spreading.join(core, room)


def restore(core: Core, session: Session) -> None:
    """Endpoints may have been moved by a join that failed: back to where they belong."""
    member = session.member
    if member is not None and member.state == "joining":
        return  # which brings them all where they belong
    for endpoint in seatable(session):
        if member is None:
            _tell(core, endpoint, _leave_seat(core, session, endpoint))
        else:
            _tell(core, endpoint, _take_seat(core, member, endpoint))


def moved(core: Core, session: Session, endpoint: Endpoint) -> None:
    """An endpoint was put on its session's bus: what was asked of seats meanwhile does not count any more."""
    member = session.member
    if member is not None and endpoint.seat_in is member.room:
        _tell(core, endpoint, _take_seat(core, member, endpoint))


# -- going ---------------------------------------------------------------------------------------------------


def let_go(core: Core, bus: Bus, endpoints: Iterable[Endpoint], room: Room | None = None) -> None:
    """Endpoints give up their seats, in that room only if one is named, and go back to their session's bus.

    Those of a session that is joining another room are on their way there.
    """
    joining = bus.member is not None
    for endpoint in list(endpoints):
        if endpoint.seat_in is None or (room is not None and endpoint.seat_in is not room):
            continue
        if not bus.ended and not joining and endpoint.state != "buffering":
            _tell(core, endpoint, _leave_seat(core, bus, endpoint))
        forget(core, bus, endpoint)


def get_up(core: Core, session: Session, endpoint: Endpoint) -> None:
    """An endpoint may sit somewhere that nothing here knows of."""
    _tell(core, endpoint, _leave_seat(core, session, endpoint))


def forget(core: Core, bus: Bus, endpoint: Endpoint) -> None:
    """An endpoint does not sit where it sat; its worker knows."""
    room, endpoint.seat_in = endpoint.seat_in, None
    if room is not None:
        give_up(core, bus, [(endpoint, room)])


# -- what is sent, and counted -------------------------------------------------------------------------------


def _take_seat(core: Core, member: Member, endpoint: Endpoint) -> TakeSeat:
    endpoint.moves += 1
    endpoint.seat = seat(member, endpoint)
    return TakeSeat(
        endpoint=endpoint.id,
        move=endpoint.moves,
        room=member.room.id,
        seat=endpoint.seat,
        note=notes.note(core, member.session, endpoint),
    )


def _leave_seat(core: Core, bus: Bus, endpoint: Endpoint) -> LeaveSeat:
    endpoint.moves += 1
    return LeaveSeat(endpoint=endpoint.id, move=endpoint.moves, note=notes.note(core, bus, endpoint))


def _tell(core: Core, endpoint: Endpoint, body: TakeSeat | LeaveSeat) -> None:
    core.tell(endpoint.worker, body, lambda: endpoint.moves == body.move)


def _count(core: Core, room: Room, bus: Bus, endpoint: Endpoint) -> None:
    """It loads its worker in the room's phase now."""
    places.reserve(core, room, endpoint.worker, endpoint.kind)
    core.workers.add(endpoint.worker, -1, bus.phase)
