"""How long the machine left those waiting who wanted to run: what is missing for that is not the engine's."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

STEAL_FIELD = 8  # proc(5), /proc/stat: user nice system idle iowait irq softirq steal
WAITED_FIELD = 1  # /proc/PID/schedstat: ns run, ns waited on a run queue, slices
PARENT_FIELD = 1  # /proc/PID/stat, counted from behind the name: state, parent


def stolen_s() -> dict[str, float]:
    """By CPU: how long the host has run others in its place."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        line[0]: int(line[STEAL_FIELD]) / ticks for line in lines if line[0][:3] == "cpu" and line[0] != "cpu"
    }


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[PARENT_FIELD]) == parent:
                found.append(int(path.name))
    return found


def media_waited_s(supervisor: int) -> float:
    """The longest that a media thread below this process has waited for its CPU."""
    waited = [0.0]
    for pid in children(supervisor):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                if "media" in (thread / "comm").read_text():
                    waited.append(int((thread / "schedstat").read_text().split()[WAITED_FIELD]) / 1e9)
    return max(waited)


class Machine:
    """From its making on."""

    def __init__(self) -> None:
        self._stolen_s = stolen_s()

    def away_s(self, supervisor: int) -> float:
        """At least so long somebody had to wait.  supervisor: the process that started the workers."""
        stolen = stolen_s()
        return max(stolen[cpu] - before for cpu, before in self._stolen_s.items()) + media_waited_s(
            supervisor
        )
