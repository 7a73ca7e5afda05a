"""A child process of the supervisor: spawned, watched by pidfd, restarted with patience."""

from __future__ import annotations

import os
import signal

LIVED_LONG_US = 10_000_000  # a process that lived so long did not die of its start
BACKOFF_FIRST_US = 100_000
BACKOFF_MAX_US = 5_000_000
_OWN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)


ADMIN_KEY = "ADMIN_API_KEY"  # control's alone


def inherited() -> dict[str, str]:
    """Our environment for a child that has no business with the administrator's key."""
    return {name: value for name, value in os.environ.items() if name != ADMIN_KEY}


class Child:
    """A running process.  Owns the pidfd."""

    __slots__ = ("pid", "pidfd", "started_us")

    def __init__(self, argv: list[str], env: dict[str, str], fds: list[int], now_us: int) -> None:
        """Spawn it.  fds are inherited under their own numbers; everything else is closed on exec.

        It gets a process group of its own: a terminal's Ctrl-C reaches the supervisor alone, which
        forwards it.
        """
        self.started_us = now_us
        self.pid = os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_OWN_SIGNALS,
        )
        self.pidfd = os.pidfd_open(self.pid)

    def signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return  # it ended; its status is on the way

    def close(self) -> None:
        os.close(self.pidfd)


class Backoff:
    """When to start again what died: at once, then after 0.1 s doubling to 5 s while it dies young."""

    __slots__ = ("_deaths",)

    def __init__(self) -> None:
        self._deaths = 0

    def delay_us(self, lived_us: int) -> int:
        """How long to wait after a process that lived for lived_us."""
        if lived_us >= LIVED_LONG_US:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0
        return min(BACKOFF_MAX_US, BACKOFF_FIRST_US << min(self._deaths - 2, BACKOFF_MAX_US.bit_length()))


def reap() -> list[tuple[int, int]]:
    """Collect every child that ended, adopted ones (PID 1) too: (pid, exit status or minus the signal)."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return ended
        if info is None:
            return ended
        status = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        ended.append((info.si_pid, status))
