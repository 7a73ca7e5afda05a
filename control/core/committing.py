"""State and events that are written down: gathered over a turn of core, visible only once they are on disk.

Theory of operation
-------------------
Whatever core changes that must survive it hands to `keep` (a row) or `publish` (an event) while it handles an
input.  At the end of the turn all of it becomes one `Persist`: state and event commit together.  What must
not be seen before that - a reply, an event on a WebSocket - goes through `after_commit` and happens in the
order of the commits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from roomtone.control.core.api import EventData

if TYPE_CHECKING:
    from roomtone.control.core.effects import Row


class Published(Struct, frozen=True):
    """One event as it happened.  room_id, session_uuid: the lanes in which it keeps its order.

    fields: the documented keys, in their order.  at_us: wall clock.  request_id: of the request that caused
    it.
    """

    name: str
    app_id: str
    fields: EventData
    at_us: int
    room_id: str | None = None
    session_uuid: str | None = None
    request_id: str | None = None
    webhook: str | None = None  # the key of the only endpoint that gets it; None: all that want it


class Commits:
    """What waits for the store.  issued, committed: numbers of `Persist`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}  # the last of each record in this turn
        self.events: list[Published] = []
        self.issued = 0
        self.committed = 0
        self.trouble: str | None = None
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def after(self, then: Callable[[], None]) -> None:
        """Do it once all that has been handed over is on disk; at once when it is."""
        n = self.issued + bool(self.rows or self.events)
        if n <= self.committed:
            then()
        else:
            self._waiting.append((n, then))

    def take(self) -> tuple[int, list[Row], list[Published]] | None:
        """What this turn is to write, numbered; None: nothing."""
        if not self.rows and not self.events:
            return None
        self.issued += 1
        rows, events = list(self.rows.values()), self.events
        self.rows, self.events = {}, []
        return self.issued, rows, events

    def done(self, n: int) -> None:
        """Everything up to n is on disk."""
        self.committed = n
        while self._waiting and self._waiting[0][0] <= self.committed:
            self._waiting.popleft()[1]()
