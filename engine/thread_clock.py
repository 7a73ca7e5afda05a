"""How long a thread of this process has run and waited, read by another one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_SCHEDSTAT = "/proc/self/task/{tid}/schedstat"  # "ran waited slices", ns (kernel: Documentation/scheduler)
_SCHEDSTAT_BYTES = 128  # three decimal numbers of 64 bits and their spaces

Clock = Callable[[], tuple[int, int]]  # ns the thread ran, and ns it waited on the run queue, since its start


def thread_clock(ident: int, native_id: int) -> Clock:
    """The clock of one living thread of this process.

    ident, native_id: as in `threading.Thread`.  A kernel without scheduler statistics tells no waiting time.
    """
    clock = time.pthread_getcpuclockid(ident)
    path = Path(_SCHEDSTAT.format(tid=native_id))
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.exists() else -1

    def read() -> tuple[int, int]:
        waited = int(os.pread(fd, _SCHEDSTAT_BYTES, 0).split()[1]) if fd >= 0 else 0
        return time.clock_gettime_ns(clock), waited

    return read
