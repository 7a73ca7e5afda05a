"""The link to the supervisor on the event loop: it tells of workers that end, we tell of the drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from roomtone.control.io.log import Log
from roomtone.engine.process_messages import ControlMessage, Drained, WorkerExited
from roomtone.engine.supervisor_link import SupervisorLink


class Supervisor:
    """exited: called with worker and epoch.  gone: called once, when the supervisor is dead."""

    def __init__(
        self, fd: int, *, exited: Callable[[int, int], None], gone: Callable[[], None], log: Log
    ) -> None:
        self._link = SupervisorLink.of_fd(fd, ControlMessage)
        self._exited = exited
        self._gone = gone
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._link.fileno(), self._readable)

    def drained(self) -> None:
        """Tell it that the workers may be stopped."""
        self._link.send(Drained())

    def close(self) -> None:
        self._stop_reading()
        self._link.close()

    def _stop_reading(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._link.fileno())
            self._loop = None

    def _readable(self) -> None:
        for message, _ in self._link.receive():
            if isinstance(message, WorkerExited):
                self._log.debug(
                    "worker_exited", worker=message.worker, epoch=message.epoch, status=message.status
                )
                self._exited(message.worker, message.epoch)
        if self._link.closed:
            self._stop_reading()
            self._gone()
