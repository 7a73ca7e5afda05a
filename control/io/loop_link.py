"""A SupervisorLink on the event loop: it reads what comes, and writes what waits when there is room."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from roomtone.engine.supervisor_link import SupervisorLink


class LoopLink:
    """One connection; used on one loop, owns the socket.  received: takes each message of the union.

    lost: called once when the other end is gone; the link is closed then.
    """

    def __init__(
        self, end: socket.socket, union: Any, *, received: Callable[[Any], None], lost: Callable[[], None]
    ) -> None:
        self._link = SupervisorLink(end, union)
        self._received = received
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._writing = False
        self._loop.add_reader(end.fileno(), self._readable)

    def send(self, message: object) -> None:
        """Now, or when the other end has made room.  Nothing once it is closed."""
        if self._open:
            self._link.send(message)
            self._watch()

    def close(self) -> None:
        """Once or more often."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._link.fileno())
            self._loop.remove_writer(self._link.fileno())
            self._link.close()

    def _readable(self) -> None:
        for message, _ in self._link.receive():
            self._received(message)
        if self._link.closed and self._open:
            self.close()
            self._lost()

    def _writable(self) -> None:
        self._link.flush()
        self._watch()

    def _watch(self) -> None:
        if self._link.waiting and not self._writing:
            self._loop.add_writer(self._link.fileno(), self._writable)
        elif self._writing and not self._link.waiting:
            self._loop.remove_writer(self._link.fileno())
        self._writing = self._link.waiting
