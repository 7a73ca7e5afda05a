"""What processes cost, read from /proc.

CPU is the scheduler's own nanoseconds (schedstat), summed over all threads; the split into user and system is
the kernel's estimate from 10 ms ticks, applied to that sum.
"""

import ctypes
import fcntl
import os
import resource
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
STEAL_FIELD = 8  # proc(5), /proc/stat: user nice system idle iowait irq softirq steal
KIB = 1024
FIFO_PRIORITY = 9  # one less than the media thread takes where that is allowed: on a shared CPU it goes first
EVERY_CPU = frozenset(os.sched_getaffinity(0))  # before anything here binds this process
PARENT_FIELD = 1  # proc(5), /proc/PID/stat, counted after the name
USER_FIELD = 11
SYSTEM_FIELD = 12


@dataclass(frozen=True)
class Thread:
    run_ns: int = 0
    wait_ns: int = 0  # ready, but not on a CPU

    def __sub__(self, earlier: "Thread") -> "Thread":
        return Thread(self.run_ns - earlier.run_ns, self.wait_ns - earlier.wait_ns)


@dataclass
class Cpu:
    """CPU time of one process since it started."""

    run_ns: int = 0
    user_ticks: int = 0
    system_ticks: int = 0
    threads: dict[str, Thread] = field(default_factory=dict)  # by name/number

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(
            self.run_ns - earlier.run_ns,
            self.user_ticks - earlier.user_ticks,
            self.system_ticks - earlier.system_ticks,
            {name: t - earlier.threads.get(name, Thread()) for name, t in self.threads.items()},
        )

    def busiest(self) -> Thread:
        """The thread that ran longest."""
        return max(self.threads.values(), key=lambda t: t.run_ns, default=Thread())

    def user_share(self) -> float:
        """User time over all time; nan when no tick fell into it."""
        ticks = self.user_ticks + self.system_ticks
        return self.user_ticks / ticks if ticks else float("nan")


def cpu(pid: int) -> Cpu:
    """All threads of a process.  OSError when it is gone."""
    out = Cpu()
    for task in (PROC / str(pid) / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            run, wait, _ = (task / "schedstat").read_text().split()
            out.run_ns += int(run)
            name = f"{(task / 'comm').read_text().strip()}/{task.name}"
            out.threads[name] = Thread(int(run), int(wait))
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    out.user_ticks, out.system_ticks = int(fields[USER_FIELD]), int(fields[SYSTEM_FIELD])
    return out


def scheduling(cpu: Cpu) -> str:
    """How the busiest thread is scheduled: fifo or normal; empty when it is gone."""
    busiest = next((name for name, t in cpu.threads.items() if t is cpu.busiest()), "")
    with suppress(ProcessLookupError, ValueError):
        policy = os.sched_getscheduler(int(busiest.rpartition("/")[2]))
        return "fifo" if policy == os.SCHED_FIFO else "normal"
    return ""


def total(parts: Iterable[Cpu]) -> Cpu:
    out = Cpu()
    for part in parts:
        out.run_ns += part.run_ns
        out.user_ticks += part.user_ticks
        out.system_ticks += part.system_ticks
        out.threads |= part.threads
    return out


def rss_bytes(pid: int) -> int:
    """Resident memory, mapped shared memory included."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    return 0


def children(pid: int) -> list[int]:
    """Direct and further descendants."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[PARENT_FIELD])
                parents.setdefault(parent, []).append(int(entry.name))
    out, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        out += below
        todo += below
    return sorted(out)


def title(pid: int) -> str:
    """The command line, or what the process has put in its place."""
    return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def pin(pid: int, cpus: set[int]) -> None:
    """Bind every thread of a process."""
    for task in (PROC / str(pid) / "task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cpus)


def steal(cpus: Iterable[int]) -> tuple[int, int]:
    """(stolen ticks, all ticks) of these CPUs since boot."""
    stolen = everything = 0
    wanted = {f"cpu{c}" for c in cpus}
    for line in (PROC / "stat").read_text().splitlines():
        fields = line.split()
        if fields[0] in wanted:
            stolen += int(fields[STEAL_FIELD])
            everything += sum(map(int, fields[1 : STEAL_FIELD + 1]))
    return stolen, everything


def end_with_parent() -> None:
    """The calling process is killed when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def raise_descriptors() -> int:
    """As many descriptors as the system lets this process have; returns that number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int((PROC / "sys/fs/nr_open").read_text())
    for limit in (most, hard):
        with suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def become_child() -> None:
    """In a child before it becomes another program: ends with its parent, free to use every CPU."""
    end_with_parent()
    os.sched_setaffinity(0, EVERY_CPU)


@contextmanager
def bound_to(cpus: Iterable[int]) -> Iterator[None]:
    """This process keeps to these CPUs for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cpus))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def first_in_line(wanted: bool) -> Iterator[bool]:
    """The calling thread runs before ordinary ones for a while; yields whether wanted and allowed."""
    try:
        if wanted:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except PermissionError:
        wanted = False
    try:
        yield wanted
    finally:
        if wanted:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def alone() -> Iterator[None]:
    """Only one measurement at a time on this machine; waits for its turn."""
    with (Path(tempfile.gettempdir()) / f"roomtone-bench-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
