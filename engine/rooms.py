"""Conference rooms: buses on which sessions' endpoints have seats.  Commands as in commands.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.engine import messages as m
from roomtone.engine.errors import CommandError
from roomtone.engine.plan import KEY_RELAY_LIMIT, BridgeEndpoint, Session

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

ROLES_APART = 7  # ext/flow: role 0 is what the sum has beyond the others


def open_room(worker: Worker, body: m.OpenRoom) -> m.ReplyBody:
    room = worker.plan.session(body.session, body.phase, KEY_RELAY_LIMIT)
    before = room.is_room, room.roles
    if before != (True, body.roles):
        room.is_room, room.roles = True, body.roles
        try:
            write_room(worker, room)
        except CommandError:
            room.is_room, room.roles = before
            raise
    return m.Done()


def take_seat(worker: Worker, body: m.TakeSeat) -> m.ReplyBody:
    plan = worker.plan
    endpoint = plan.find(body.endpoint)
    if isinstance(endpoint, BridgeEndpoint):
        raise CommandError("ENDPOINT_ERROR", f"endpoint {endpoint.id} is a bridge")
    room = plan.room(body.room)
    if body.move > endpoint.moves:
        plan.sit(endpoint, room, body.seat)
        endpoint.moves, endpoint.note = body.move, body.note
    return m.Done()


def leave_seat(worker: Worker, body: m.LeaveSeat) -> m.ReplyBody:
    endpoint = worker.plan.find(body.endpoint)
    if body.move > endpoint.moves:
        worker.plan.stand_up(endpoint)
        endpoint.moves, endpoint.note = body.move, body.note
    return m.Done()


def write_room(worker: Worker, room: Session) -> None:
    """Tell the media thread what a bus is: a room's, whose roles are told apart, whose sums are published.

    To be called before a room begins to publish, and after it has ceased.  CommandError: no slots are left to
    publish the roles' sums in; nothing was written.
    """
    if not room.is_room:
        return
    spent = []
    if room.roles and room.slot >= 0:
        room.role_slots = room.role_slots or _take_slots(worker)
    else:
        spent, room.role_slots = room.role_slots, []
    number = worker.media.bus_room(room.bus, roles=room.role_slots if room.roles else None)
    for slot in spent:
        worker.retirement.after(number, worker.rest_partial, slot)


def _take_slots(worker: Worker) -> list[int]:
    slots: list[int] = []
    try:
        for _ in range(ROLES_APART):
            slots.append(worker.media.partial_take())
    except RuntimeError:
        for slot in slots:
            worker.media.partial_free(slot)
        raise CommandError("ENDPOINT_ERROR", "this worker has no slot left to publish in") from None
    return slots
