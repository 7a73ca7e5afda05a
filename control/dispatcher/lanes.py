"""What one endpoint is sent, and when: the order of its lanes, retries, replays.  No IO, time is an argument.

Theory of operation
-------------------
An event has one or two lanes (its room, its session).  It may be sent when it is the oldest in each of them;
events come in one order, so the oldest of all is always free to go and nothing can wait in a circle.

    waiting (for its lanes) -> ready (in the order of ids) -> in flight -> gone
                                  ^---- resting (until its time) <----'

An event that fails rests and keeps its place.  When its phase of order is over - or it has been refused
`POISON_ANSWERS` times - it leaves the lanes and is *late*; late events and replays are none of the lanes'
business: the dispatcher brings them from the store when they are due, and forgets them after the attempt.
With `strict` nothing leaves its place until it is delivered or dead; with `none` there are no lanes.

While the breaker is open no attempt counts against an event; those that have waited for longer than `hold`
become late.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from roomtone.control.dispatcher.breaker import US_PER_S, Breaker
from roomtone.control.dispatcher.messages import DEAD, DELIVERED, LATE, PENDING, REPLAY
from roomtone.control.dispatcher.schedule import (
    DELAYS_S,
    JITTER,
    LATE_FROM,
    POISON_ANSWERS,
    RETRY_AFTER_MAX_S,
    RETRY_AFTER_MIN_S,
    Answer,
    Meaning,
    meaning,
)

REPLAYS_IN_FLIGHT = 4
PRIORITIES = {PENDING: 0, LATE: 1, REPLAY: 2}


class Item(Struct, eq=False):
    """A delivery in memory.

    at_us: when the event happened.  tries: within the schedule.  attempts: all there were.  due_us: None: at
    its end.  refused: answers that counted against it.  failed_us: since when it is in its lanes' way.
    """

    id: int
    lanes: tuple[str, ...]
    at_us: int
    state: int = PENDING
    tries: int = 0
    attempts: int = 0
    due_us: int | None = 0
    refused: int = 0
    failed_us: int = 0


class LaneScheduler:
    """One endpoint's.  jitter: numbers from -1 to 1.  hold_us: see above."""

    def __init__(
        self, ordering: str, *, max_in_flight: int, hold_us: int, jitter: Callable[[], float]
    ) -> None:
        self._strict = ordering == "strict"
        self._laned = ordering != "none"
        self._hold_us = hold_us
        self._jitter = jitter
        self.breaker = Breaker(max_in_flight)
        self.ordered: dict[int, Item] = {}  # that keep the order, oldest first
        self.loose: dict[int, Item] = {}  # late ones and replays
        self.flying: dict[int, Item] = {}
        self.failing: dict[int, Item] = {}  # ordered ones that have been tried, the longest first
        self._lanes: dict[str, deque[Item]] = {}
        self._ready: list[tuple[int, int]] = []  # (priority, id)
        self._resting: list[tuple[int, int]] = []  # (due_us, id)
        self._paused_until_us = 0
        self._replays_flying = 0

    # -- in ------------------------------------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """Ordered ones come in the order of their ids."""
        if item.state == PENDING:
            self.ordered[item.id] = item
            for lane in item.lanes if self._laned else ():
                self._lanes.setdefault(lane, deque()).append(item)
            self._look(item)
        else:
            self.loose[item.id] = item
            self._rest(item)

    def _look(self, item: Item) -> None:
        """It may be the oldest of its lanes by now."""
        if self._is_oldest(item):
            self._rest(item)

    def _is_oldest(self, item: Item) -> bool:
        return not self._laned or all(self._lanes[lane][0] is item for lane in item.lanes)

    def _rest(self, item: Item) -> None:
        assert item.due_us is not None
        heapq.heappush(self._resting, (item.due_us, item.id))

    def _known(self, id: int) -> Item:
        return self.ordered.get(id) or self.loose[id]

    # -- out -----------------------------------------------------------------------------------------------

    def take(self, now_us: int, limit: int) -> list[Item]:
        """What is to be sent now; each is to be `answered`."""
        if now_us < self._paused_until_us:
            return []
        while self._resting and self._resting[0][0] <= now_us:
            id = heapq.heappop(self._resting)[1]
            heapq.heappush(self._ready, (PRIORITIES[self._known(id).state], id))
        out: list[Item] = []
        while self._ready and len(out) < limit and self.breaker.room(len(self.flying), now_us) > 0:
            item = self._known(self._ready[0][1])
            if item.state == REPLAY:
                if self._replays_at_limit():
                    break
                self._replays_flying += 1
            heapq.heappop(self._ready)
            self.flying[item.id] = item
            out.append(item)
        return out

    def next_us(self, now_us: int) -> int | None:
        """When `take` may give something; None: only after an answer, or something new."""
        earliest_us = self._paused_until_us
        if self.breaker.open:
            if self.flying:
                return None
            earliest_us = max(earliest_us, self.breaker.probe_us)
        times = [self._resting[0][0]] if self._resting else []
        room = self.breaker.room(len(self.flying), max(now_us, earliest_us))
        if (
            self._ready
            and room > 0
            and not (self._ready[0][0] == PRIORITIES[REPLAY] and self._replays_at_limit())
        ):
            times.append(now_us)
        return max(min(times), earliest_us) if times else None

    def _replays_at_limit(self) -> bool:
        return self._replays_flying >= REPLAYS_IN_FLIGHT

    def answered(self, item: Item, answer: Answer, now_us: int) -> Meaning:
        """What came of an attempt.  The item says what is to be written down; GONE: disable the endpoint."""
        del self.flying[item.id]
        item.attempts += 1
        ordered = item.state == PENDING
        if item.state == REPLAY:
            self._replays_flying -= 1
        means = meaning(answer)
        if means is Meaning.DOWN:
            self.breaker.failed(now_us, ordered=ordered)
        else:
            self.breaker.answered()
        if means is Meaning.DELIVERED:
            item.state, item.due_us = DELIVERED, None
        elif means is Meaning.WAIT:
            self._pause(item, answer, now_us)
        elif not (means is Meaning.DOWN and self.breaker.open):
            self._charge(item, means, now_us)
        self._put_back(item, ordered, now_us)
        return means

    def _pause(self, item: Item, answer: Answer, now_us: int) -> None:
        assert answer.retry_after_s is not None
        pause_us = min(max(answer.retry_after_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S) * US_PER_S
        self._paused_until_us = max(self._paused_until_us, now_us + pause_us)
        item.due_us = now_us + pause_us
        if item.state == PENDING and not self._strict and item.at_us <= now_us - self._hold_us:
            self._make_late(item, now_us)

    def _charge(self, item: Item, means: Meaning, now_us: int) -> None:
        """The attempt counts: the next one, or the end."""
        item.tries += 1
        item.refused += means is Meaning.POISON
        if item.state == PENDING and not self._strict:
            if item.refused >= POISON_ANSWERS:
                item.tries = max(item.tries, LATE_FROM)
            if item.tries >= LATE_FROM:
                item.state = LATE
        if item.tries >= len(DELAYS_S):
            item.state, item.due_us = DEAD, None
        else:
            delay_us = DELAYS_S[item.tries] * US_PER_S
            item.due_us = now_us + delay_us + round(delay_us * JITTER * self._jitter())

    def _put_back(self, item: Item, ordered: bool, now_us: int) -> None:
        """To where it belongs now: its place in the order, or nowhere."""
        if not ordered:
            del self.loose[item.id]
        elif item.state == PENDING:
            item.failed_us = item.failed_us or now_us
            self.failing.setdefault(item.id, item)
            self._rest(item)
        else:
            self._leave(item)

    def _leave(self, item: Item) -> None:
        """Out of the order; what is behind it may go."""
        del self.ordered[item.id]
        self.failing.pop(item.id, None)
        if not self._laned:
            return
        for lane in item.lanes:
            line = self._lanes[lane]
            assert line[0] is item
            line.popleft()
            if line:
                self._look(line[0])
            else:
                del self._lanes[lane]

    # -- an endpoint that is down --------------------------------------------------------------------------

    def overdue(self, now_us: int) -> list[Item]:
        """Ordered ones that have waited for too long while the breaker is open: late from now on."""
        if not self.breaker.open or self._strict:
            return []
        found = []
        for item in list(self.ordered.values()):
            if item.at_us > now_us - self._hold_us:
                break
            if item.id not in self.flying and self._is_oldest(item):
                self._leave(item)
                self._make_late(item, now_us)
                found.append(item)
        for heap in (self._ready, self._resting):
            heap[:] = [entry for entry in heap if entry[1] in self.ordered or entry[1] in self.loose]
            heapq.heapify(heap)
        return found

    def _make_late(self, item: Item, now_us: int) -> None:
        item.state, item.tries = LATE, LATE_FROM
        item.due_us = now_us + DELAYS_S[LATE_FROM] * US_PER_S
