"""The supervisor's answers to `roomtone inspect`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

from roomtone.control.worker_slot import Grave, WorkerSlot
from roomtone.engine import process_messages as pm
from roomtone.engine.supervisor_link import SOCKETS_A_MESSAGE, SupervisorLink
from roomtone.engine.timers import monotonic_us


class Inspection:
    """One `roomtone inspect` client: messages are made as fast as it reads them."""

    __slots__ = ("_passing_fd", "link", "messages", "until_us")

    def __init__(self, link: SupervisorLink, messages: Iterator[tuple[Any, int]], until_us: int) -> None:
        self.link = link
        self.messages = messages
        self.until_us = until_us
        self._passing_fd = -1  # ours, to be closed when it has left

    def pump(self) -> bool:
        """Send what the client takes.  False: finished."""
        link = self.link
        link.flush()
        while not (link.waiting or link.broken):
            self._close_passed()
            message, self._passing_fd = next(self.messages, (None, -1))
            if message is None:
                return False
            link.send(message, () if self._passing_fd < 0 else (self._passing_fd,))
        return not link.broken

    def close(self) -> None:
        self._close_passed()

    def _close_passed(self) -> None:
        if self._passing_fd >= 0:
            os.close(self._passing_fd)
            self._passing_fd = -1


def inspect_messages(slots: list[WorkerSlot], graves: list[Grave]) -> Iterator[tuple[Any, int]]:
    """Messages for one client, each with a descriptor to pass (a copy, the receiver's to close) or -1.

    Made one by one while the client reads: what is released meanwhile is left out.
    """
    now_us = monotonic_us()
    for grave in list(graves):
        ago_ms = (now_us - grave.died_us) // 1000
        told = pm.InspectWorker(
            worker=grave.index, epoch=grave.epoch, pid=grave.pid, status=grave.status, ended_ms_ago=ago_ms
        )
        if grave in graves:
            yield told, os.dup(grave.arena_fd)
            yield from _sockets(grave.index, grave.epoch, grave.held)
    for slot in slots:
        if slot.child is not None:
            told = pm.InspectWorker(worker=slot.index, epoch=slot.epoch, pid=slot.child.pid)
            yield told, os.dup(slot.arena_fd)
            yield from _sockets(slot.index, slot.epoch, slot.held)
    yield pm.InspectEnd(), -1


def _sockets(worker: int, epoch: int, held: dict[int, tuple[int, ...]]) -> Iterator[tuple[Any, int]]:
    keys = list(held)
    step = SOCKETS_A_MESSAGE // 2  # two sockets a key
    for start in range(0, len(keys), step):
        some = keys[start : start + step]
        bound = [(key, *_bound(fd)) for key in some for fd in held.get(key, ())]
        yield pm.InspectSockets(worker=worker, epoch=epoch, sockets=bound), -1


def _bound(fd: int) -> tuple[str, int]:
    """Where the kernel says a socket is bound."""
    held = socket.socket(fileno=fd)
    try:
        address = held.getsockname()
    finally:
        held.detach()
    return address[0], address[1]
