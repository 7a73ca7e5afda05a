"""A bus's places on workers: its home, what is counted where, and what is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomtone.control.core import placement, spreading
from roomtone.control.core.problems import ENDPOINT_ERROR, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.session import Bus, Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.control.core.rooms.model import Room

RETRY_HINT_S = 5  # an overload that passes is over then: two levels down, 2 s each (engine/overload.py)
EMPTY = "empty"  # the timer of a session without endpoints
US_PER_S = 1_000_000


def settle(core: Core, bus: Bus) -> None:
    """Give a bus its home, when any worker is alive."""
    if bus.home is None:
        bus.home = core.workers.least_loaded()
        if bus.home is not None:
            bus.phase = core.workers.settle(bus.home)


def settle_again(core: Core, room: Room, worker: int) -> None:
    """The first thing of a room that is found again, on that worker, gives it its home back."""
    if room.home is None:
        home = worker if room.was_home is None else room.was_home
        room.home = home if home in core.workers else worker
        core.workers.settle_again(room.home, room.phase)


def choose(core: Core, bus: Bus) -> int:
    """The worker for its next endpoint.  Raises `Problem` when there is none."""
    settle(core, bus)
    if bus.home is None:
        raise Problem(SESSION_UNRESPONSIVE, "No media worker is running")
    worker = placement.choose(core.workers, bus.home, bus.counts, core.config.session_spread_at)
    if worker is None:
        core.counters.endpoints_refused += 1
        raise Problem(
            ENDPOINT_ERROR,
            "Overload: every media worker is at its limit and takes no new endpoints; "
            f"retry in {RETRY_HINT_S} seconds",
        )
    return worker


def reserve(core: Core, bus: Bus, worker: int, kind: str) -> int:
    """Count an endpoint that is to come on that worker.  Returns its number in the bus."""
    if not bus.size and worker != bus.home:
        _go_to(core, bus, worker)
    bus.counts[worker] = bus.counts.get(worker, 0) + 1
    bus.bridges += kind == "bridge"
    bus.made += 1
    core.workers.add(worker, 1, bus.phase)
    watch_empty(core, bus)
    return bus.made


def release(core: Core, bus: Bus, worker: int, kind: str) -> None:
    """An endpoint on that worker is gone, or did not come."""
    if bus.ended:
        return  # its end has given everything back
    if worker not in bus.counts:
        return  # the worker's end has taken everything
    bus.counts[worker] -= 1
    bus.bridges -= kind == "bridge"
    core.workers.add(worker, -1, bus.phase)
    inhabited = [w for w, endpoints in bus.counts.items() if endpoints]
    if len(inhabited) == 1 and bus.home not in inhabited:
        _change_home(core, bus, inhabited[0])
    for empty in [w for w, endpoints in bus.counts.items() if not endpoints and w != bus.home]:
        _leave(core, bus, empty)
    spreading.settle(core, bus)
    watch_empty(core, bus)


def _leave(core: Core, bus: Bus, worker: int) -> None:
    """A worker that holds no endpoint of the bus."""
    bus.counts.pop(worker, None)
    if bus.spread is not None:
        bus.spread.left(worker)
    spreading.close(core, bus, worker)


def _go_to(core: Core, bus: Bus, worker: int) -> None:
    """A bus without endpoints goes whole to another worker instead of being spread."""
    for old in list(bus.counts):
        _leave(core, bus, old)
    if bus.home is not None:
        core.workers.unsettle(bus.home, bus.phase)
    bus.home = worker
    bus.phase = core.workers.settle(worker)


def _change_home(core: Core, bus: Bus, worker: int) -> None:
    """All its endpoints are on another worker: spreading would only cost.  The bus there keeps its phase."""
    assert bus.home is not None
    core.workers.unsettle(bus.home, bus.phase)
    core.workers.settle_again(worker, bus.phase)
    bus.home = worker


def watch_empty(core: Core, bus: Bus) -> None:
    """Begin or end the wait of a session without endpoints; a room waits for members instead."""
    if not isinstance(bus, Session):
        return
    timeout_s = core.config.empty_session_timeout_secs
    if bus.size:
        core.cancel(bus, EMPTY)
    elif timeout_s and EMPTY not in bus.timers:
        core.schedule(bus, EMPTY, core.now_us + timeout_s * US_PER_S)
