"""Threads for what may block: files and their decoding.  They run when nobody else wants to (nice +19).

The Python thread puts work in and takes results out; nothing else is shared.  A thread is started when there
is work and none is free, up to THREADS; a disk that hangs holds one of them, not the worker.

What keeps pace with calls (the recorder) has threads of its own at nice +5: beside a process that burns the
CPU at nice 0 they get a quarter of it, where nice +19 gets a hundredth and recordings lose a third of their
packets.  Without the privilege to go up again they keep the Python thread's nice +10: a tenth.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from roomtone.engine.affinity import name_thread

THREADS = 4
NICE = 19
PACED_NICE = 5

Work = Callable[[], Any]
Done = Callable[[Any], None]  # gets the result, or the exception


class SideThreads:
    """wake: called on a side thread when a result waits.  cpus: theirs; None: the caller's."""

    __slots__ = ("_cpus", "_done", "_idle", "_patient", "_started", "_wake", "_work", "pending")

    def __init__(self, wake: Callable[[], None], cpus: Iterable[int] | None = None) -> None:
        self._wake = wake
        self._cpus = tuple(cpus) if cpus is not None else ()
        self._work: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._done: deque[tuple[Done, Any]] = deque()
        self._started: list[threading.Thread] = []
        self._patient: set[threading.Thread] = set()
        self._idle = threading.Semaphore(0)
        self.pending = 0  # put in and not taken out yet

    def put(self, work: Work, done: Done) -> None:
        """Have `work` done; `done` gets what it returned or raised, in `take`."""
        if not self._idle.acquire(blocking=False) and len(self._started) < THREADS:
            thread = threading.Thread(target=self._run, name="side", daemon=True)
            self._started.append(thread)
            thread.start()
        self.pending += 1
        self._work.put((work, done))

    def put_patient(self, work: Work, done: Done) -> None:
        """As `put`, for work that waits for others: it has a thread of its own."""

        def main() -> None:
            step_aside(self._cpus)
            self._finish(work, done)
            self._patient.discard(threading.current_thread())

        thread = threading.Thread(target=main, name="side", daemon=True)
        self._patient.add(thread)
        self.pending += 1
        thread.start()

    def own(self, name: str, run: Callable[[], None]) -> threading.Thread:
        """Start a thread for what keeps pace with calls until the end; `close` does not wait for it."""

        def main() -> None:
            step_aside(self._cpus, PACED_NICE)
            name_thread(name)
            run()

        thread = threading.Thread(target=main, name=name, daemon=True)
        thread.start()
        return thread

    def take(self, limit: int) -> bool:
        """Hand out at most `limit` results.  True: more wait."""
        for _ in range(limit):
            if not self._done:
                return False
            done, result = self._done.popleft()
            self.pending -= 1
            done(result)
        return bool(self._done)

    def close(self, timeout_s: float) -> None:
        """End the threads; one that hangs is left to the end of the process."""
        for _ in self._started:
            self._work.put(None)
        for thread in (*self._started, *self._patient):
            thread.join(timeout_s)

    def _run(self) -> None:
        step_aside(self._cpus)
        while (item := self._work.get()) is not None:
            self._finish(*item)
            del item  # nothing is held while waiting
            self._idle.release()

    def _finish(self, work: Work, done: Done) -> None:
        try:
            result = work()
        except Exception as error:
            result = error
        self._done.append((done, result))
        self._wake()


def step_aside(cpus: Collection[int], nice: int = NICE) -> None:
    """Have the calling thread yield to others, on these CPUs (none: where it is)."""
    try:
        if cpus:
            os.sched_setaffinity(0, cpus)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
    except OSError:
        return  # a sandbox may refuse; then it runs as the Python thread does
