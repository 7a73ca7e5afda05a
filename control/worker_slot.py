"""What the supervisor keeps of a worker: the slot of its index, and the grave of a process that died."""

from __future__ import annotations

import os
from collections.abc import Iterable

from roomtone.control.child import Backoff, Child
from roomtone.engine.supervisor_link import SupervisorLink


class WorkerSlot:
    """One worker index: its present process and what is held for it; after its death, a grave of both."""

    __slots__ = ("arena_fd", "backoff", "child", "cpu", "epoch", "held", "index", "link", "restart_us")

    def __init__(self, index: int, cpu: int | None) -> None:
        self.index = index
        self.cpu = cpu
        self.epoch = 0
        self.child: Child | None = None
        self.link: SupervisorLink | None = None
        self.arena_fd = -1
        self.held: dict[int, tuple[int, ...]] = {}  # duplicates of media sockets, by endpoint handle
        self.backoff = Backoff()
        self.restart_us = 0


class Grave:
    """What a dead worker left."""

    __slots__ = ("arena_fd", "died_us", "epoch", "held", "index", "pid", "status")

    def __init__(self, slot: WorkerSlot, pid: int, status: int, now_us: int) -> None:
        self.index, self.epoch, self.pid, self.status = slot.index, slot.epoch, pid, status
        self.arena_fd, self.held, self.died_us = slot.arena_fd, slot.held, now_us

    def close(self) -> None:
        os.close(self.arena_fd)
        for fds in self.held.values():
            close_all(fds)
        self.held = {}


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
