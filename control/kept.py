"""A child of the supervisor without a link to it: started again whenever it ends, until told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable

from roomtone.control.child import BACKOFF_MAX_US, Backoff, Child, inherited
from roomtone.engine.log import Log


class Kept:
    """name: in the log.  watch, unwatch: called with each process that begins or has ended.

    restart_us: when the next one is to be started, while there is none.
    """

    __slots__ = ("_argv", "_backoff", "_env", "_log", "_name", "_unwatch", "_watch", "child", "restart_us")

    def __init__(
        self,
        name: str,
        argv: list[str],
        env: dict[str, str],
        *,
        watch: Callable[[Child], None],
        unwatch: Callable[[Child], None],
        log: Log,
    ) -> None:
        self._name = name
        self._argv = argv
        self._env = env
        self._watch = watch
        self._unwatch = unwatch
        self._log = log
        self._backoff = Backoff()
        self.child: Child | None = None
        self.restart_us = 0

    def start(self, now_us: int) -> None:
        """If it is due.  What the kernel refuses is tried again."""
        if self.child is not None or now_us < self.restart_us:
            return
        try:
            self.child = Child(self._argv, {**inherited(), **self._env}, [], now_us)
        except OSError as error:
            self.restart_us = now_us + BACKOFF_MAX_US
            self._log.error(f"{self._name}_not_started", error=str(error))
            return
        self._watch(self.child)
        self._log.info(f"{self._name}_started", pid=self.child.pid)

    def exited(self, pid: int, status: int, now_us: int, *, stopping: bool) -> None:
        """A process has ended, perhaps this one."""
        child = self.child
        if child is None or child.pid != pid:
            return
        self._unwatch(child)
        self.child = None
        if not stopping:
            delay_us = self._backoff.delay_us(now_us - child.started_us)
            self.restart_us = now_us + delay_us
            self._log.error(f"{self._name}_died", pid=pid, status=status, restart_in_ms=delay_us // 1000)

    def stop(self) -> None:
        if self.child is not None:
            self.child.signal(signal.SIGTERM)
