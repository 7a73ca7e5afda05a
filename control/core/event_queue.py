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


# An enumeration's member costs a search each time it is named (Python 3.11).
CRITICAL, NORMAL, REPLY, FOLLOWER, NOTICE = Kind

Item = tuple[Kind, "bytes | list[int]"]


class EventQueue:
    """Encoded texts of one client in the order they are to be sent.  first, normal: the lanes, to look at."""

    __slots__ = (
        "_critical",
        "_held",
        "_pinned",
        "critical_size",
        "dropped",
        "first",
        "normal",
        "normal_size",
    )

    def __init__(self, critical_size: int, normal_size: int) -> None:
        self.critical_size = critical_size
        self.normal_size = normal_size
        self.dropped = 0  # events lost in all
        self.first: deque[Item] = deque()
        self.normal: deque[Item] = deque()
        self._critical = 0  # critical events in the first lane
        self._held = 0  # events in the normal lane that count against its bound
        self._pinned = 0  # items in the normal lane that nothing critical may overtake

    def __len__(self) -> int:
        return len(self.first) + len(self.normal)

    def event(self, text: bytes, critical: bool) -> bool:
        """Queue an event.  False: it was dropped and counted."""
        if critical and not self._pinned and self._critical < self.critical_size:
            self._critical += 1
            self.first.append((CRITICAL, text))
            return True
        if self._held < self.normal_size:
            self._held += 1
            self._pinned += critical
            self.normal.append((CRITICAL if critical else NORMAL, text))
            return True
        self.dropped += 1
        if self.normal and self.normal[-1][0] is NOTICE:
            self.normal[-1][1][0] += 1  # type: ignore[index]
        else:
            self.normal.append((NOTICE, [1]))
        return False

    def reply(self, text: bytes, followers: list[bytes]) -> None:
        """Queue a reply and the events its command caused at once.  Never dropped."""
        group: list[Item] = [(REPLY, text), *((FOLLOWER, event) for event in followers)]
        if self._pinned:
            self._pinned += len(group)
            self.normal.extend(group)
        else:
            self.first.extend(group)

    def pop(self) -> bytes | int | None:
        """The next text to send; an int: the count of an ``events.dropped`` notice; None: nothing waits."""
        if self.first:
            kind, payload = self.first.popleft()
            if kind is CRITICAL:
                self._critical -= 1
        elif self.normal:
            kind, payload = self.normal.popleft()
            if kind is NORMAL or kind is CRITICAL:
                self._held -= 1
            if kind is not NORMAL and kind is not NOTICE:
                self._pinned -= 1
        else:
            return None
        return payload[0] if isinstance(payload, list) else payload

    def forget_replies(self) -> None:
        """The connection is gone: its replies mean nothing to the next one.  The events they caused stay."""
        self.first = deque(item for item in self.first if item[0] is not REPLY)
        kept = deque(item for item in self.normal if item[0] is not REPLY)
        self._pinned -= len(self.normal) - len(kept)
        self.normal = kept

    def put_back(self, events: list[bytes]) -> None:
        """Events that were popped and did not get out are next again; they are not counted any more."""
        self.first.extendleft((FOLLOWER, text) for text in reversed(events))

    def put_before(self, other: EventQueue) -> None:
        """Move everything that waits in `other` before what waits here (a connection attaches to a session).

        What is moved keeps its order and does not count against the bounds.
        """
        moved: list[Item] = []
        while other:
            kind, payload = (other.first or other.normal)[0]
            other.pop()
            uncounted = kind if kind in (REPLY, NOTICE) else FOLLOWER
            moved.append((uncounted, payload))
        self.dropped += other.dropped
        other.dropped = 0
        self.first.extendleft(reversed(moved))
