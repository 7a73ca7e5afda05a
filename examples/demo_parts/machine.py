"""How long the machine left somebody waiting who wanted to run: what is missing for that is not the engine's.

A process of its own sleeps `STEP_S` at a time on each CPU, in a thread of ordinary priority, and notes by how
much it woke too late.  That sees a host that runs somebody else, whether or not it tells so in /proc/stat,
and a CPU that has more to do than it can.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import threading
import time

STEP_S = 0.005
LATE_S = 0.01  # less is a matter of course
TOTAL = struct.Struct("=d")
LIMIT_CPUS = 8  # of a larger machine some are watched


def watched() -> list[int]:
    return sorted(os.sched_getaffinity(0))[:LIMIT_CPUS]


class Machine:
    """From its making on.  All share one watch, which ends with this process."""

    _totals: mmap.mmap | None = None
    _watch: subprocess.Popen[bytes] | None = None

    def __init__(self) -> None:
        if Machine._totals is None:
            length = TOTAL.size * len(watched())
            shared = os.memfd_create("stalls")
            os.ftruncate(shared, length)
            Machine._totals = mmap.mmap(shared, length)
            Machine._watch = subprocess.Popen(
                [sys.executable, __file__, str(shared)], stdin=subprocess.PIPE, pass_fds=[shared]
            )
            os.close(shared)
        self._totals_before_s = self._read()

    def _read(self) -> list[float]:
        assert Machine._totals is not None
        return [total for (total,) in TOTAL.iter_unpack(Machine._totals[:])]

    def away_s(self) -> float:
        """The sum of its absences, of the CPU that had most."""
        return max(now - before for now, before in zip(self._read(), self._totals_before_s, strict=True))

    def wait_until_calm(self, calm_s: float, limit_s: float) -> None:
        """Until it was there for calm_s without a break; not longer than limit_s."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            spell = Machine()
            time.sleep(calm_s)
            if spell.away_s() == 0:
                return


def watch(totals: mmap.mmap, cpu: int, place: int) -> None:
    os.sched_setaffinity(0, {cpu})  # of this thread
    total_s, woke_s = 0.0, time.monotonic()
    while True:
        time.sleep(STEP_S)
        now_s = time.monotonic()
        late_s, woke_s = now_s - woke_s - STEP_S, now_s
        if late_s > LATE_S:
            total_s += late_s
            TOTAL.pack_into(totals, place * TOTAL.size, total_s)


if __name__ == "__main__":
    cpus = watched()
    here = mmap.mmap(int(sys.argv[1]), TOTAL.size * len(cpus))
    for at, number in enumerate(cpus):
        threading.Thread(target=watch, args=(here, number, at), daemon=True).start()
    sys.stdin.read()  # ends with whoever started it
