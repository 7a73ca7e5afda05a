"""One webhook endpoint in the dispatcher: its lanes, filled from the store as far as memory is to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from roomtone.control.core.webhooks import Webhook
from roomtone.control.dispatcher.lanes import LaneScheduler
from roomtone.control.dispatcher.outbox_reader import OutboxReader
from roomtone.control.dispatcher.schedule import RETRY_AFTER_MAX_S

WINDOW = 20_000  # events that keep the order, in memory
LOOSE_WINDOW = 100  # late ones and replays, in memory
US_PER_S = 1_000_000
NOTED_US = 50_000  # by then the store knows what was reported


class Target:
    """key: the endpoint's.  unnoted: delivery -> endpoint, of those of which the store's word is old.

    attempts: by outcome, since the start.
    """

    def __init__(
        self, key: str, unnoted: Mapping[int, str], new_lanes: Callable[[str], LaneScheduler]
    ) -> None:
        self.key = key
        self.webhook: Webhook | None = None
        self.lanes: LaneScheduler | None = None  # None: nothing is sent
        self.attempts: Counter[str] = Counter()
        self._unnoted = unnoted
        self._new_lanes = new_lanes
        self._after = 0  # the last delivery that was read
        self._more = False  # there may be others behind it
        self._loose_us: int | None = None  # when the store has something loose that is due
        self._stale = False  # its lanes are to be made anew, from the store

    @property
    def gone(self) -> bool:
        """It may be forgotten."""
        return self.webhook is None and self.lanes is None

    @property
    def waits(self) -> bool:
        """Its lanes are to be made anew once what is under way is noted."""
        return self._stale

    def look(self, reader: OutboxReader) -> None:
        """The store has something new of it."""
        old, self.webhook = self.webhook, reader.webhook(self.key)
        self._more = True
        self._loose_us = 0
        if _ordering(old) != _ordering(self.webhook):
            self._stale = True

    def disable(self) -> None:
        """Nothing is sent until the store says otherwise."""
        self.webhook = None
        self._stale = True

    def fill(self, reader: OutboxReader, now_us: int) -> None:
        """Read what has become due and what there is room for."""
        if self._stale and not self._renew():
            return
        lanes = self.lanes
        if lanes is None:
            return
        if self._more and len(lanes.ordered) <= WINDOW // 2:
            found = reader.pending(self.key, self._after, WINDOW - len(lanes.ordered))
            self._more = len(found) == WINDOW - len(lanes.ordered)
            for item in found:
                self._after = item.id
                if item.due_us is not None:  # no pause is longer, but a clock may have been set back
                    item.due_us = min(item.due_us, now_us + RETRY_AFTER_MAX_S * US_PER_S)
                lanes.add(item)
        if self._loose_us is not None and self._loose_us <= now_us and not lanes.loose:
            for item in reader.loose(self.key, now_us, LOOSE_WINDOW):
                if item.id not in self._unnoted:
                    lanes.add(item)
            if not lanes.loose:
                due_us = reader.next_loose_us(self.key)
                self._loose_us = None if due_us is None else max(due_us, now_us + NOTED_US)

    def next_us(self, now_us: int) -> int | None:
        """When there may be something to send, or to read."""
        if self.lanes is None or self._stale:
            return None
        times = [self.lanes.next_us(now_us)]
        if not self.lanes.loose:
            times.append(self._loose_us)
        known = [each for each in times if each is not None]
        return min(known) if known else None

    def late(self, due_us: int) -> None:
        """A delivery has left the order; the store brings it when it is due."""
        self._loose_us = due_us if self._loose_us is None else min(self._loose_us, due_us)

    def _renew(self) -> bool:
        """Fresh lanes, or none.  False: not yet, something is under way or not noted."""
        lanes = self.lanes
        if lanes is not None and (lanes.flying or self.key in self._unnoted.values()):
            return False
        self._stale = False
        self._after, self._more, self._loose_us = 0, True, 0
        ordering = _ordering(self.webhook)
        self.lanes = None if ordering is None else self._new_lanes(ordering)
        return True


def _ordering(webhook: Webhook | None) -> str | None:
    """None: nothing is sent there."""
    return webhook.ordering if webhook is not None and webhook.enabled and webhook.url else None
