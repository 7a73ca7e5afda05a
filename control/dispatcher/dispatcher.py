"""The dispatcher at work: told of commits by control, it sends what lanes allow and reports what came of it.

One loop, no threads but the resolver's.  What it holds in memory it can read again: whatever was not noted by
control when either process died is sent once more, with the same id and the same bytes.
"""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable
from functools import partial

from roomtone.control.core.histogram import Histogram
from roomtone.control.core.outbox import ORDINAL_BITS, event_id
from roomtone.control.core.webhooks import Webhook
from roomtone.control.dispatcher.control_link import ControlLink
from roomtone.control.dispatcher.lanes import Item, LaneScheduler
from roomtone.control.dispatcher.messages import (
    DEAD,
    FIGURES_A_MESSAGE,
    LATE,
    REPLAY,
    Attempt,
    Figures,
    Finish,
    Look,
    ToDispatcher,
    WebhookFigures,
)
from roomtone.control.dispatcher.outbox_reader import OutboxReader
from roomtone.control.dispatcher.schedule import Answer, Meaning
from roomtone.control.dispatcher.sender import Request, Sender
from roomtone.control.dispatcher.target import Target
from roomtone.engine.log import Log

IN_FLIGHT = 512  # attempts at a time, of all endpoints
FIGURES_EVERY_S = 1.0
FINISH_CHECK_S = 0.02
NS_PER_US = 1000
US_PER_S = 1_000_000


class Dispatcher:
    """open_reader: of the store, once control is there.  Used on one loop.

    node: the hash in events' ids.  max_in_flight: of one endpoint.
    """

    def __init__(
        self,
        *,
        runtime_dir: str,
        open_reader: Callable[[], OutboxReader],
        sender: Sender,
        node: str,
        max_in_flight: int,
        hold_s: int,
        log: Log,
    ) -> None:
        self._open_reader = open_reader
        self._sender = sender
        self._node = node
        self._max_in_flight = max_in_flight
        self._hold_us = hold_s * US_PER_S
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._link = ControlLink(
            runtime_dir,
            connected=partial(self._safely, self._connected),
            told=partial(self._safely, self._told),
        )
        self._reader: OutboxReader | None = None
        self._targets: dict[str, Target] = {}
        self._starved: dict[str, None] = {}  # endpoints that wait for a place, in their turn
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flying = 0  # attempts under way
        self._latency = Histogram()
        self._dead = 0
        self._finished = False  # nothing more is sent
        self.failed = False
        self.ended = asyncio.Event()  # set when it cannot go on
        # One clock: the wall's at the start, going on as the monotonic one does.
        self._offset_us = time.time_ns() // NS_PER_US - time.monotonic_ns() // NS_PER_US

    def start(self) -> None:
        self._link.connect()
        self._loop.call_later(FIGURES_EVERY_S, self._safely, self._tell_figures)

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._link.close()
        await self._sender.close()
        if self._reader is not None:
            self._reader.close()

    def now_us(self) -> int:
        return time.monotonic_ns() // NS_PER_US + self._offset_us

    def _safely(self, call: Callable[..., None], *args: object) -> None:
        """What fails here has no way on: the next process begins with what is on disk."""
        try:
            call(*args)
        except Exception:
            self._fail()

    def _fail(self) -> None:
        self._log.error("dispatcher_broken", traceback=traceback.format_exc())
        self.failed = True
        self.ended.set()

    # -- control -------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        """Control is there, perhaps a new one: the store is open, and may have more than it told."""
        if self._reader is None:
            self._reader = self._open_reader()
        self._look([*self._targets, *self._reader.webhooks()])
        self._log.info("control_connected", webhooks=len(self._targets))

    def _told(self, message: ToDispatcher) -> None:
        if isinstance(message, Look):
            self._look(message.webhooks)
        elif isinstance(message, Finish):
            task = self._loop.create_task(self._finish(message.within_ms / 1000))
            self._tasks.add(task)
        else:  # noted: lanes that are to be made anew may have waited for it
            for key in [target.key for target in self._targets.values() if target.waits]:
                self._pump(key)

    def _look(self, webhooks: list[str]) -> None:
        assert self._reader is not None
        for key in dict.fromkeys(webhooks):
            if key not in self._targets:
                self._targets[key] = Target(key, self._link.unnoted, self._new_lanes)
            self._targets[key].look(self._reader)
            self._pump(key)

    def _new_lanes(self, ordering: str) -> LaneScheduler:
        return LaneScheduler(
            ordering,
            max_in_flight=self._max_in_flight,
            hold_us=self._hold_us,
            jitter=lambda: random.uniform(-1, 1),
        )

    async def _finish(self, within_s: float) -> None:
        """Until nothing can be sent now and everything is noted; what then comes is the next process's."""
        until_s = self._loop.time() + within_s
        while self._loop.time() < until_s and (self._busy() or not self._link.idle):
            await asyncio.sleep(FINISH_CHECK_S)
        self._finished = True
        self._link.finished()

    def _busy(self) -> bool:
        now_us = self.now_us()
        times = (target.next_us(now_us) for target in self._targets.values())
        flying = any(target.lanes is not None and target.lanes.flying for target in self._targets.values())
        return flying or any(at_us is not None and at_us <= now_us for at_us in times)

    # -- delivery ------------------------------------------------------------------------------------------

    def _pump(self, key: str) -> None:
        """Send what may be sent to that endpoint now, and come back when there may be more."""
        target = self._targets.get(key)
        if target is None or self._finished:
            return
        assert self._reader is not None
        now_us = self.now_us()
        target.fill(self._reader, now_us)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if target.gone:
            del self._targets[key]
            return
        lanes, webhook = target.lanes, target.webhook
        if lanes is None or webhook is None or target.waits:
            return
        for item in lanes.take(now_us, IN_FLIGHT - self._flying):
            self._flying += 1
            task = self._loop.create_task(self._deliver(target, webhook, lanes, item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        at_us = target.next_us(now_us)
        if at_us is None:
            return
        if at_us <= now_us and self._flying >= IN_FLIGHT:
            self._starved[key] = None
        else:
            self._timers[key] = self._loop.call_later(
                max(0, at_us - now_us) / US_PER_S, self._safely, self._pump, key
            )

    async def _deliver(self, target: Target, webhook: Webhook, lanes: LaneScheduler, item: Item) -> None:
        """One attempt and what follows from it."""
        assert self._reader is not None
        try:
            found = self._reader.body(item.id)
            at_us = self.now_us()
            if found is None:
                answer = Answer(200)  # its time is over and it has been deleted
            else:
                style, body = found
                request = Request(
                    event_id(self._node, item.id >> ORDINAL_BITS),
                    body,
                    style,
                    item.attempts + 1,
                    item.state == LATE,
                    item.state == REPLAY,
                )
                answer = await self._sender.send(webhook, request)
            self._flying -= 1
            self._answered(target, lanes, item, answer, at_us if found is not None else None)
        except Exception:
            self._fail()

    def _answered(
        self, target: Target, lanes: LaneScheduler, item: Item, answer: Answer, at_us: int | None
    ) -> None:
        """at_us: when it was sent; None: it was not, nobody is to get it any more."""
        means = lanes.answered(item, answer, self.now_us())
        if at_us is not None:
            self._note(target, item, answer, means, at_us)
        if means is Meaning.GONE:
            self._disable(target, "It answered 410")
        elif means is Meaning.DOWN:
            self._look_after(target, lanes)
        self._starved.setdefault(target.key)  # behind those that have waited longer
        while self._starved and self._flying < IN_FLIGHT:
            key = next(iter(self._starved))
            del self._starved[key]
            self._pump(key)

    def _note(self, target: Target, item: Item, answer: Answer, means: Meaning, at_us: int) -> None:
        target.attempts[means.value] += 1
        if means is Meaning.DELIVERED:
            self._latency.observe(max(0, self.now_us() - item.at_us))
        if item.state == DEAD:
            self._dead += 1
        if item.state in (LATE, REPLAY) and item.due_us is not None:
            target.late(item.due_us)
        self._link.report(
            target.key,
            Attempt(
                item.id,
                item.attempts,
                at_us,
                answer.status,
                answer.ms,
                answer.error,
                answer.head,
                item.state,
                item.tries,
                item.due_us,
            ),
        )

    def _look_after(self, target: Target, lanes: LaneScheduler) -> None:
        """An endpoint that may be down."""
        now_us = self.now_us()
        if lanes.breaker.given_up(now_us):
            self._disable(target, "It was down for too long")
            return
        overdue = [(item.id, item.state, item.tries, item.due_us or 0) for item in lanes.overdue(now_us)]
        if overdue:
            target.late(min(due_us for *_, due_us in overdue))
            self._link.moved(target.key, overdue)

    def _disable(self, target: Target, reason: str) -> None:
        target.disable()
        self._link.disabled(target.key, reason)

    # -- figures -------------------------------------------------------------------------------------------

    def _tell_figures(self) -> None:
        now_us = self.now_us()
        told = [self._figures(target, now_us) for target in self._targets.values()]
        blocked = [
            now_us - next(iter(target.lanes.failing.values())).failed_us
            for target in self._targets.values()
            if target.lanes is not None and target.lanes.failing
        ]
        for start in range(0, len(told) or 1, FIGURES_A_MESSAGE):
            self._link.figures(
                Figures(
                    told[start : start + FIGURES_A_MESSAGE],
                    self._latency.counts,
                    self._latency.sum_us,
                    max(blocked, default=0),
                    self._dead,
                    start + FIGURES_A_MESSAGE >= len(told),
                )
            )
        self._loop.call_later(FIGURES_EVERY_S, self._safely, self._tell_figures)

    def _figures(self, target: Target, now_us: int) -> WebhookFigures:
        lanes = target.lanes
        oldest = next(iter(lanes.ordered.values()), None) if lanes is not None else None
        return WebhookFigures(
            target.key,
            dict(target.attempts),
            int(lanes is not None and lanes.breaker.open),
            len(lanes.ordered) if lanes is not None else 0,
            max(0, now_us - oldest.at_us) if oldest is not None else 0,
        )
