"""What is given up under load, in which order: a ladder, climbed by the load and left with hysteresis.

Theory of operation
-------------------
A worker is on one level.  Each level gives up one thing more and keeps up everything the levels below it gave
up.  Calls that exist keep their sound on every level: what is refused last is what has not begun.

The load of `engine/load.py` reaches a level at the level's threshold; then the worker is there at once.  It
goes down a level when the load has been `HYSTERESIS` below that level's threshold for `REST_US`, and a
further one after as long again: a load that swings around a threshold changes nothing.

The media thread knows nothing of this.  Who does a thing that can be given up asks `Overload.gives_up`:
statistics and new endpoints are control's (it is told the level), the detectors are the worker's own
(watching.py).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from roomtone.engine.load import Load, LoadMeter

if TYPE_CHECKING:
    from roomtone.engine.log import Log

HYSTERESIS = 0.05  # of the CPU: about what a level gives back, so that leaving it does not bring it back
REST_US = 2_000_000  # twice the time over which the load is smoothed


class Level(IntEnum):
    """What is given up; a level includes those below it."""

    NORMAL = 0
    STATISTICS = 1  # periodic statistics come less often
    VOICE_DETECTION = 2
    INBAND_KEYS = 3  # and fax tones
    NEW_ENDPOINTS = 4  # refused; calls that exist stay as they are


# Where a level begins: on the way from overload_shed_at (0) to overload_refuse_at (1).
LADDER: dict[Level, float] = {
    Level.STATISTICS: 0.0,
    Level.VOICE_DETECTION: 1 / 3,
    Level.INBAND_KEYS: 2 / 3,
    Level.NEW_ENDPOINTS: 1.0,
}

Thresholds = dict[Level, float]


def thresholds(shed_at: float, refuse_at: float) -> Thresholds:
    """The load at which each level begins.  shed_at, refuse_at: shares of the CPU; 0: never."""
    top = refuse_at or 1.0
    at = {level: shed_at + (top - shed_at) * part if shed_at else math.inf for level, part in LADDER.items()}
    at[Level.NEW_ENDPOINTS] = refuse_at or math.inf
    return {Level.NORMAL: 0.0, **at}


class State(NamedTuple):
    """level: where the worker is.  held_us: when the load was last high enough for it."""

    level: Level = Level.NORMAL
    held_us: int = 0


def after(state: State, load: float, now_us: int, at: Thresholds) -> State:
    """The state after a look at the load.  Cost: nothing but a handful of comparisons."""
    reached = max(level for level, threshold in at.items() if load >= threshold)
    if reached >= state.level or load >= at[state.level] - HYSTERESIS:
        return State(max(reached, state.level), now_us)
    if now_us - state.held_us < REST_US:
        return state
    lower = max(level for level, threshold in at.items() if level < state.level and threshold < math.inf)
    return State(lower, now_us)


class Overload:
    """A worker's load and level.  `sample` says when control is to be told."""

    __slots__ = ("_at", "_log", "_meter", "_state", "load", "steps")

    def __init__(self, shed_at: float, refuse_at: float, log: Log) -> None:
        self._at = thresholds(shed_at, refuse_at)
        self._log = log
        self._meter = LoadMeter()
        self._state = State()
        self.load = Load()
        self.steps = 0  # changes of the level

    @property
    def level(self) -> Level:
        return self._state.level

    def gives_up(self, level: Level) -> bool:
        """True: what that level names is not to be done now."""
        return self._state.level >= level

    def sample(self, now_us: int, ran_ns: int, waited_ns: int, phases: int, late: int) -> bool:
        """Take the totals of `LoadMeter.take`.  True: the level changed."""
        self.load = self._meter.take(now_us, ran_ns, waited_ns, phases, late)
        before = self._state.level
        self._state = after(self._state, self.load.pressure, now_us, self._at)
        if self.level == before:
            return False
        self.steps += 1
        write = self._log.warning if self.level > before else self._log.info
        write(
            "overload_level",
            level=int(self.level),
            gives_up=[level.name.lower() for level in Level if 0 < level <= self.level],
            before=int(before),
            busy=round(self.load.busy, 3),
            waiting=round(self.load.waiting, 3),
            late=round(self.load.late, 3),
        )
        return True
