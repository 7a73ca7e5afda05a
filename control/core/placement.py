"""Which worker: a session's home, its further workers, and the spreading of its bus over them.

A session's endpoints go to its home worker, the least loaded one when the session was made, up to `spread_at`
endpoints; further ones go to the least loaded worker of all, and so do those that an overloaded home refuses.
When every worker refuses, the caller is told so.

Phases are filled, not shared out: a media thread that wakes for fifty members at once pays half of what
it pays when it wakes for ten, as each idle millisecond leaves its caches cold.  From about a thousand members
on all phases are in use, and the emptiest gets the next session.

From the first endpoint elsewhere the bus is *spread* (spreading.py).
"""

from __future__ import annotations

import msgspec

from roomtone.engine.messages import SetSpread, SpreadPeer
from roomtone.engine.overload import Level

PHASES = 20  # the media thread's grid: 20 ms in steps of 1 ms
PHASE_ORDER = [phase * 7 % PHASES for phase in range(PHASES)]  # as phases come into use: well apart
PHASE_FULL = 48  # members: about a quarter of the phase's millisecond
SESSION_MEMBERS = 4  # a session is expected to have so many, until it has more


class Worker(msgspec.Struct, kw_only=True):
    """A living worker as placement sees it."""

    index: int
    epoch: int
    endpoints: int = 0  # made or being made
    homes: int = 0  # sessions whose home it is
    level: int = Level.NORMAL  # what it has given up under load, as it said last
    phases: list[int] = msgspec.field(default_factory=lambda: [0] * PHASES)  # homes by phase
    members: list[int] = msgspec.field(default_factory=lambda: [0] * PHASES)  # endpoints by phase

    def weight(self, phase: int) -> int:
        """Members that a phase has or will have."""
        return max(self.members[phase], SESSION_MEMBERS * self.phases[phase])


class Workers:
    """The living workers and their load."""

    def __init__(self) -> None:
        self._workers: dict[int, Worker] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._workers

    def __len__(self) -> int:
        return len(self._workers)

    def started(self, index: int, epoch: int) -> None:
        self._workers[index] = Worker(index=index, epoch=epoch)

    def died(self, index: int) -> None:
        self._workers.pop(index, None)

    def epoch(self, index: int) -> int | None:
        worker = self._workers.get(index)
        return None if worker is None else worker.epoch

    def least_loaded(self) -> int | None:
        """The living worker that gave up least; of several the one with fewest endpoints, then sessions."""
        if not self._workers:
            return None
        return min(self._workers.values(), key=lambda w: (w.level, w.endpoints, w.homes, w.index)).index

    def reported(self, index: int, level: int) -> None:
        """A worker told its level (engine.overload)."""
        worker = self._workers.get(index)
        if worker is not None:
            worker.level = level

    def gives_up(self, index: int, level: Level) -> bool:
        """That worker is alive and does not do what the level names."""
        worker = self._workers.get(index)
        return worker is not None and worker.level >= level

    def settle(self, index: int) -> int:
        """Count a session whose home this becomes; returns its bus's phase: the first not full there."""
        worker = self._workers[index]
        phase = next(
            (phase for phase in PHASE_ORDER if worker.weight(phase) < PHASE_FULL),
            min(PHASE_ORDER, key=worker.weight),
        )
        worker.homes += 1
        worker.phases[phase] += 1
        return phase

    def settle_again(self, index: int, phase: int) -> None:
        """Count a session whose home this already is."""
        worker = self._workers.get(index)
        if worker is not None:
            worker.homes += 1
            worker.phases[phase] += 1

    def unsettle(self, index: int, phase: int) -> None:
        worker = self._workers.get(index)
        if worker is not None:
            worker.homes -= 1
            worker.phases[phase] -= 1

    def add(self, index: int, endpoints: int, phase: int) -> None:
        """Count endpoints of a bus of that phase, made (positive) or gone (negative)."""
        worker = self._workers.get(index)
        if worker is not None:
            worker.endpoints += endpoints
            worker.members[phase] += endpoints

    def loads(self) -> dict[int, int]:
        return {w.index: w.endpoints for w in self._workers.values()}


class Spread:
    """The workers on which one session's bus publishes its sum, and the slot of each."""

    __slots__ = ("_told", "peers")

    def __init__(self) -> None:
        self.peers: dict[int, SpreadPeer] = {}
        self._told: dict[int, SpreadPeer] = {}

    def joined(self, worker: int, epoch: int, slot: int) -> None:
        self.peers[worker] = SpreadPeer(worker, epoch, slot)

    def left(self, worker: int) -> None:
        self.peers.pop(worker, None)

    def changed(self) -> bool:
        """Whether it differs from what it was when this was asked last."""
        told, self._told = self._told, dict(self.peers)
        return told != self._told

    def messages(self, session: str) -> list[tuple[int, SetSpread]]:
        """Tell every worker whose sums to add: those of all others."""
        return [
            (
                worker,
                SetSpread(
                    session=session, peers=[peer for other, peer in self.peers.items() if other != worker]
                ),
            )
            for worker in self.peers
        ]


def choose(workers: Workers, home: int, counts: dict[int, int], spread_at: int) -> int | None:
    """The worker for a session's next endpoint.

    counts: the session's endpoints by worker.  None: no worker is alive, or all refuse new endpoints.
    """
    if (
        home in workers
        and counts.get(home, 0) < spread_at
        and not workers.gives_up(home, Level.NEW_ENDPOINTS)
    ):
        return home
    chosen = workers.least_loaded()
    return None if chosen is None or workers.gives_up(chosen, Level.NEW_ENDPOINTS) else chosen
