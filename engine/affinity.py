"""CPUs and scheduling: how many workers, which CPU each, and who runs first on it.

Both threads of a worker sit on one CPU, so priority decides whether media keeps its pace: the media
thread takes SCHED_FIFO where that is allowed, the Python thread and libzmq's IO thread step back.  Nothing
here is required to succeed: a refused call lowers the *level reached*, which is one log line and a field
of `WorkerUp`.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

FIFO_PRIORITY = 10  # above every ordinary thread, below the kernel's own threads (50)
PYTHON_NICE = 10  # measured: p99 wake-up of the media thread 19 us, against seconds at equal nice
TIMER_SLACK_NS = 1  # the default of 50 us would be seen in pacing
MEDIA_THREAD_NAME = "media"  # as ps and top show it
_PR_SET_NAME, _PR_SET_TIMERSLACK = 15, 29  # prctl(2)

_CGROUP_MOUNT = Path("/sys/fs/cgroup")
_CGROUP_SELF = Path("/proc/self/cgroup")


def parse_cpu_list(text: str) -> list[int]:
    """ "0-3,6" -> [0, 1, 2, 3, 6], the kernel's list format.  ValueError if malformed."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        low, high = int(first), int(last if dash else first)
        if low < 0 or high < low:
            raise ValueError(f"bad CPU range {part!r}")
        cpus.extend(range(low, high + 1))
    return cpus


def usable_cpus(cpu_affinity: Sequence[int] | str | None = None) -> list[int]:
    """CPUs the workers are spread over: those configured, else every one we may run on."""
    if cpu_affinity:
        return parse_cpu_list(cpu_affinity) if isinstance(cpu_affinity, str) else list(cpu_affinity)
    return sorted(os.sched_getaffinity(0))


def worker_cpu(index: int, cpus: list[int]) -> int | None:
    """The CPU of worker `index`; None when there is no list to choose from."""
    return cpus[index % len(cpus)] if cpus else None


def default_workers(cgroup_mount: Path = _CGROUP_MOUNT, cgroup_self: Path = _CGROUP_SELF) -> int:
    """One worker a CPU: min(affinity, cpuset, CPU quota rounded up), at least 1."""
    limits = [len(os.sched_getaffinity(0))]
    for folder in _cgroup_folders(cgroup_mount, cgroup_self):
        limits.extend(limit for limit in (_cpuset(folder), _quota(folder)) if limit)
    return max(1, min(limits))


def pin(cpu: int | None) -> bool:
    """Pin the calling thread, and what it starts from now on, to one CPU.  False: refused."""
    if cpu is None:
        return False
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return False
    return True


def prepare_media_thread() -> str:
    """Called on the media thread: block signals, exact timers, SCHED_FIFO.  Returns "fifo" or "none".

    Must run before the Python thread steps back: threads inherit nice, and going up again needs a privilege.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    name_thread(MEDIA_THREAD_NAME)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(TIMER_SLACK_NS), 0, 0, 0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except OSError:
        return "none"
    return "fifo"


def name_thread(name: str) -> None:
    """Name the calling thread as ps and top show it: up to 15 bytes."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def step_back() -> bool:
    """Called on the Python thread before ZeroMQ starts its own threads: nice +10.  False: refused."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PYTHON_NICE)  # on Linux: this thread alone
    except OSError:
        return False
    return True


def scheduling_level(media: str, stepped_back: bool) -> str:
    """The level reached: "fifo", "nice" (only the others stepped back) or "none"."""
    if media == "fifo":
        return "fifo"
    return "nice" if stepped_back else "none"


def _cgroup_folders(mount: Path, cgroup_self: Path) -> Iterator[Path]:
    """Our cgroup folders and their parents, of version 2 and of version 1's cpu and cpuset."""
    try:
        lines = cgroup_self.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0":
            tops = [mount, mount / "unified"]
        else:
            names = controllers.split(",")
            tops = [mount / name for name in ("cpu", "cpuset") if name in names]
        for top in tops:
            folder = top / path.lstrip("/")
            while True:
                yield folder
                if folder == top or top not in folder.parents:
                    break
                folder = folder.parent


def _cpuset(folder: Path) -> int | None:
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus"):  # version 2, version 1
        text = _read(folder / name)
        if text:
            return len(parse_cpu_list(text))
    return None


def _quota(folder: Path) -> int | None:
    """CPU quota in whole CPUs, rounded up; None: unlimited or not told here."""
    text = _read(folder / "cpu.max")  # version 2: "QUOTA PERIOD" or "max PERIOD"
    if text:
        quota, _, period = text.partition(" ")
    else:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        return None
    if quota_us <= 0 or period_us <= 0:
        return None
    return -(-quota_us // period_us)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
