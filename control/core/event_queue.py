"""What waits for one client: two bounded queues of events, and the replies between them.

Theory of operation
-------------------
There are two lanes.  The *first* lane is sent before the *normal* one.

* A critical event waits in the first lane, at most `critical_size` of them.  When it is full the event falls
  back to the normal lane; from then on later critical events follow it there until it is sent, so critical
  events never overtake each other.
* A normal event waits in the normal lane, at most `normal_size` (fallen-back critical events included).  When
  it is full the event is dropped and counted in a notice that stands at the end of the lane, where the loss
  happened; further losses add to that notice until something is queued behind it.
* A reply and the events its command caused at once form one group that nothing gets into.  The group waits in
  the first lane behind the critical events before it; while something in the normal lane has fallen back
  there, or a group waits there, the group goes to the normal lane.  So replies keep their order, and a group
  never overtakes a critical event.  Groups do not count against the bounds: a connection has one request at a
  time.

The queue belongs to the session while one is bound to the connection: what is raised while the session is
orphaned waits here, within the same bounds, for the next connection.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum


class Kind(IntEnum):
    CRITICAL = 0
    NORMAL = 1
    REPLY = 2
    FOLLOWER = 3  # an event caused at once by the command whose reply stands before it
    NOTICE = 4  # events.dropped; the payload is a list with the count


Item = tuple[Kind, "bytes | list[int]"]


class EventQueue:
    """Encoded texts of one client in the order they are to be sent."""

    __slots__ = (
        "_critical",
        "_first",
        "_held",
        "_normal",
        "_pinned",
        "critical_size",
        "dropped",
        "normal_size",
    )

    def __init__(self, critical_size: int, normal_size: int) -> None:
        self.critical_size = critical_size
        self.normal_size = normal_size
        self.dropped = 0  # events lost in all
        self._first: deque[Item] = deque()
        self._normal: deque[Item] = deque()
        self._critical = 0  # critical events in the first lane
        self._held = 0  # events in the normal lane that count against its bound
        self._pinned = 0  # items in the normal lane that nothing critical may overtake

    def __len__(self) -> int:
        return len(self._first) + len(self._normal)

    def event(self, text: bytes, critical: bool) -> bool:
        """Queue an event.  False: it was dropped and counted."""
        if critical and not self._pinned and self._critical < self.critical_size:
            self._critical += 1
            self._first.append((Kind.CRITICAL, text))
            return True
        if self._held < self.normal_size:
            self._held += 1
            self._pinned += critical
            self._normal.append((Kind.CRITICAL if critical else Kind.NORMAL, text))
            return True
        self.dropped += 1
        if self._normal and self._normal[-1][0] is Kind.NOTICE:
            self._normal[-1][1][0] += 1  # type: ignore[index]
        else:
            self._normal.append((Kind.NOTICE, [1]))
        return False

    def reply(self, text: bytes, followers: list[bytes]) -> None:
        """Queue a reply and the events its command caused at once.  Never dropped."""
        group: list[Item] = [(Kind.REPLY, text), *((Kind.FOLLOWER, event) for event in followers)]
        if self._pinned:
            self._pinned += len(group)
            self._normal.extend(group)
        else:
            self._first.extend(group)

    def pop(self) -> bytes | int | None:
        """The next text to send; an int: the count of an ``events.dropped`` notice; None: nothing waits."""
        if self._first:
            kind, payload = self._first.popleft()
            if kind is Kind.CRITICAL:
                self._critical -= 1
        elif self._normal:
            kind, payload = self._normal.popleft()
            if kind in (Kind.CRITICAL, Kind.NORMAL):
                self._held -= 1
            if kind in (Kind.CRITICAL, Kind.REPLY, Kind.FOLLOWER):
                self._pinned -= 1
        else:
            return None
        return payload[0] if isinstance(payload, list) else payload

    def forget_replies(self) -> None:
        """The connection is gone: its replies mean nothing to the next one.  The events they caused stay."""
        self._first = deque(item for item in self._first if item[0] is not Kind.REPLY)
        kept = deque(item for item in self._normal if item[0] is not Kind.REPLY)
        self._pinned -= len(self._normal) - len(kept)
        self._normal = kept

    def put_before(self, other: EventQueue) -> None:
        """Move everything that waits in `other` before what waits here (a connection attaches to a session).

        What is moved keeps its order and does not count against the bounds.
        """
        moved: list[Item] = []
        while other:
            kind, payload = (other._first or other._normal)[0]
            other.pop()
            uncounted = kind if kind in (Kind.REPLY, Kind.NOTICE) else Kind.FOLLOWER
            moved.append((uncounted, payload))
        self.dropped += other.dropped
        other.dropped = 0
        self._first.extendleft(reversed(moved))
