"""Buses that others hear: on which workers a bus publishes its sum, and who reads it there.

Theory of operation
-------------------
A bus - a session's, a room's - is *spread* when it has endpoints on several workers; each of them then adds
the sums of the others.  A session is *bridged* when another session brings what it says.  In both cases its
bus publishes on every worker involved, its home among them.  `join` is a step of whatever makes a worker
involved, before anything is put on the bus there; `settle` follows everything that may end it.  Who reads is
told whenever the publishers change: the bus's own workers (`SetSpread`) and the bridges that bring it
(`FeedBridge`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from roomtone.control.core import placement
from roomtone.control.core.problems import ENDPOINT_ERROR, Problem
from roomtone.control.core.rooms.model import Room
from roomtone.control.core.run import Answer, Ask, Work, expect
from roomtone.control.core.session import Bus, Endpoint
from roomtone.engine.messages import (
    CloseSession,
    CloseSpread,
    Done,
    FeedBridge,
    OpenRoom,
    OpenSpread,
    SpreadOpened,
)

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

KEY_RELAY_LIMIT = 20  # websocket.md section 4: larger buses report keys but do not relay them


def involved(bus: Bus) -> list[int]:
    """The workers on which the bus has to publish, its home first."""
    if bus.home is None:
        return []
    here = [bus.home, *(worker for worker in bus.counts if worker != bus.home)]
    return here if len(here) > 1 or bus.bridges else []


def join(core: Core, bus: Bus) -> Generator[list[Ask], list[Answer], None]:
    """Let the bus publish wherever it has to and does not.  Raises `Problem` when a worker refuses."""
    if isinstance(bus, Room):
        yield from _open(core, bus)
    known = bus.spread.peers if bus.spread is not None else {}
    joining = [worker for worker in involved(bus) if worker not in known]
    if not joining:
        return
    try:
        answers = yield from _slots(core, bus, joining)
    except GeneratorExit:  # some may have opened already: which, and whether that is still wanted, is asked
        if not bus.ended:
            core.work(_ask_slots(core, bus, joining))
        raise
    if bus.ended:
        raise Problem(ENDPOINT_ERROR, "The session ended meanwhile")
    problem: Problem | None = None
    for worker, answer in zip(joining, answers, strict=True):
        try:
            _joined(bus, worker, expect(answer, SpreadOpened))
        except Problem as refused:
            problem = refused
    settle(core, bus)
    if problem is not None:
        raise problem


def _open(core: Core, room: Room) -> Generator[list[Ask], list[Answer], None]:
    """A room's bus is there, and tells its roles apart if need be, before anything takes a seat on it."""
    here = dict.fromkeys([*([] if room.home is None else [room.home]), *room.counts])
    opening = [worker for worker in here if room.opened.get(worker) is not room.roles_apart]
    if not opening:
        return
    room.opened.update(dict.fromkeys(opening, room.roles_apart))
    body = OpenRoom(session=room.id, phase=room.phase, roles=room.roles_apart)
    try:
        for answer in (yield [Ask(worker, body) for worker in opening]):
            expect(answer, Done)
    except (Problem, GeneratorExit):
        for worker in opening:
            room.opened.pop(worker, None)
        raise


def settle(core: Core, bus: Bus) -> None:
    """Whoever is not involved any more stops publishing; whoever reads is told, if anything changed."""
    spread = bus.spread
    if spread is None or bus.ended:
        return
    wanted = involved(bus)
    for worker in [worker for worker in spread.peers if worker not in wanted]:
        spread.left(worker)
        _stop(core, bus, worker)
    if not spread.peers:
        bus.spread = None
    elif spread.changed():
        told = dict(spread.peers)
        for worker, message in spread.messages(bus.id):
            core.tell(worker, message, lambda: bus.spread is spread and spread.peers == told)
        feed(core, bus)


def feed(core: Core, bus: Bus) -> None:
    """Tell the bridges that bring this bus where it publishes."""
    spread = bus.spread
    if spread is None:
        return
    feeds = list(spread.peers.values())
    for here in bus.endpoints.values():
        there = core.other_end(here)
        if there is not None and brings(there, here):
            core.tell(
                there.worker,
                FeedBridge(endpoint=there.id, phase=bus.phase, feeds=feeds),
                lambda: list(spread.peers.values()) == feeds,
            )


def brings(end: Endpoint, far: Endpoint) -> bool:
    """Whether an end of a bridge brings its session what the far one's says: both ends have to allow it."""
    return end.is_source and far.is_destination


def again(core: Core, bus: Bus) -> None:
    """After a restart of this process: the workers still publish, their slots are asked for anew."""
    if workers := involved(bus):
        core.work(_ask_slots(core, bus, workers))


def _ask_slots(core: Core, bus: Bus, workers: list[int]) -> Work:
    answers = yield from _slots(core, bus, workers)
    if bus.ended:
        return
    for worker, answer in zip(workers, answers, strict=True):
        if isinstance(answer, SpreadOpened):
            _joined(bus, worker, answer)
    settle(core, bus)


def _joined(bus: Bus, worker: int, opened: SpreadOpened) -> None:
    if bus.spread is None:
        bus.spread = placement.Spread()
    bus.spread.joined(worker, opened.epoch, opened.slot)


def _slots(core: Core, bus: Bus, workers: list[int]) -> Generator[list[Ask], list[Answer], list[Answer]]:
    limit = 0 if isinstance(bus, Room) else KEY_RELAY_LIMIT
    body = OpenSpread(session=bus.id, phase=bus.phase, key_relay_limit=limit)
    bus.opening += workers
    try:
        return (yield [Ask(worker, body, _close_late(core, bus, worker)) for worker in workers])
    finally:
        for worker in workers:
            bus.opening.remove(worker)


def _close_late(core: Core, bus: Bus, worker: int) -> Callable[[object], None]:
    def undo(_: object) -> None:
        if not _publishes(bus, worker):
            _stop(core, bus, worker)

    return undo


def _publishes(bus: Bus, worker: int) -> bool:
    return worker in bus.opening or (bus.spread is not None and worker in bus.spread.peers)


def _lives(bus: Bus, worker: int) -> bool:
    return not bus.ended and (worker == bus.home or worker in bus.counts)


def _stop(core: Core, bus: Bus, worker: int) -> None:
    """The bus there publishes nothing any more, and goes where its owner has nothing else."""
    if _lives(bus, worker):
        core.tell(worker, CloseSpread(bus.id), lambda: not _publishes(bus, worker))
    else:
        close(core, bus, worker)


def close(core: Core, bus: Bus, worker: int) -> None:
    """Its owner has nothing there any more."""
    if isinstance(bus, Room):
        bus.opened.pop(worker, None)
    core.tell(worker, CloseSession(bus.id, None), lambda: not _lives(bus, worker))
