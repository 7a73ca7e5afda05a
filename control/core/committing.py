"""State and events that are written down: gathered over a turn of core, visible only once they are on disk.

Theory of operation
-------------------
Whatever core changes that must survive it hands to `keep` (a row) or `publish` (an event) while it handles an
input.  At the end of the turn all of it becomes one `Persist`: state and event commit together.  What must
not be seen before that - a reply, an event on a WebSocket - goes through `after_commit` and happens in the
order of the commits.  Who only looks at one room or session waits for what concerns that.
"""

from __future__ import annotations

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
        self._changed: dict[str, int] = {}  # rooms and sessions by the number that writes them last
        self._waiting: dict[int, list[Callable[[], None]]] = {}  # by the number they wait for

    def concerns(self, *ids: str) -> None:
        """What this turn writes changes these rooms and sessions."""
        for id in ids:
            self._changed[id] = self.issued + 1

    def after(self, then: Callable[[], None], about: str | None = None) -> None:
        """Do it once all that has been handed over (about: of that room or session) is on disk."""
        n = self.issued + bool(self.rows or self.events) if about is None else self._changed.get(about, 0)
        if n <= self.committed:
            then()
        else:
            self._waiting.setdefault(n, []).append(then)

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
        first, self.committed = self.committed + 1, n
        self._changed = {id: number for id, number in self._changed.items() if number > n}
        for number in range(first, n + 1):
            for then in self._waiting.pop(number, ()):
                then()
