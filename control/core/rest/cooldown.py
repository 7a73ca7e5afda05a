"""How soon a command may follow another of its group: per session or per room, which never slow each other.

Only an accepted command makes the next one wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from roomtone.control.core.config import Limits
from roomtone.control.core.rest.asked import Asked
from roomtone.control.core.rest.refusal import refuse
from roomtone.control.core.session import Bus

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

US_PER_MS = 1000


class Group(NamedTuple):
    """scope: what it counts by.  wait_ms: how long, out of the configuration."""

    scope: Literal["session", "room"]
    wait_ms: Callable[[Limits], int]


GROUPS: dict[str, Group] = {
    "playback": Group("session", lambda limits: limits.playback_ms),
    "seek": Group("session", lambda limits: limits.seek_ms),
    "heavy": Group("session", lambda limits: limits.heavy_ms),
    "conference": Group("session", lambda limits: limits.conference_ms),
    "conference_mute": Group("session", lambda limits: limits.conference_mute_ms),
    "conference_play": Group("room", lambda limits: limits.conference_play_ms),
    "conference_control": Group("room", lambda limits: limits.conference_control_ms),
}


class Taken(Struct, frozen=True):
    """An accepted command's turn.  before_us: when the group was free until it came."""

    bus: Bus
    group: str
    before_us: int

    def give_back(self) -> None:
        """It was refused after all."""
        self.bus.cooling[self.group] = self.before_us


def take(core: Core, asked: Asked, group: str | None) -> Taken | None:
    """The group's turn.  Raises `Refusal` 429 while it cools down."""
    if group is None:
        return None
    scope, wait_ms = GROUPS[group]
    bus: Bus = asked.the_room if scope == "room" else asked.the_session
    free_us = bus.cooling.get(group, 0)
    if core.now_us < free_us:
        left_ms = -((core.now_us - free_us) // US_PER_MS)
        raise refuse("cooldown", {"group": group, "scope": scope}, retry_after_ms=left_ms)
    bus.cooling[group] = core.now_us + wait_ms(core.config.limits) * US_PER_MS
    return Taken(bus, group, free_us)
