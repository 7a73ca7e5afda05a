"""The store's thread: the only writer of what must survive, in group commits.

Theory of operation
-------------------
Whatever is to be written is a `Job` in a queue.  The thread takes what waits - for `GROUP_S` after the last
commit, or `GROUP_EVENTS` - and writes it in one transaction; then the loop is told, in order.  A group that
holds control's records or events is synced; one of low-value events and deliveries' reports alone is not.

A transaction that fails is rolled back, numbers and all, and tried again until the disk takes it; meanwhile
core is told `StoreTrouble` and everything waits in the queue, as it is when the disk does not answer at all.
The disk is bounded: near the bound delivered history goes first; when that is not enough core refuses new
rooms and joins (`overloaded`), and at the bound low-value events are shed, with an `events.dropped` in front
of the next event of their app.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable

from msgspec import Struct, field

from roomtone.control.core import webhooks
from roomtone.control.core.api import EventsDropped
from roomtone.control.core.committing import Published
from roomtone.control.core.effects import Committed, Input, Persist, Row, StoreTrouble
from roomtone.control.core.histogram import Histogram
from roomtone.control.dispatcher.messages import Report
from roomtone.control.io.store_file import StoreFile
from roomtone.engine.log import Log

GROUP_S = 0.002
GROUP_EVENTS = 64  # are enough not to wait for more
GROUP_MOST = 1000  # in one transaction: a slow disk finds more of them
STALL_S = 2.0  # a transaction that takes so long will perhaps take for ever
RETRY_FIRST_S, RETRY_MAX_S = 0.05, 1.0
PRUNE_EVERY_S = 1.0
PRUNE_PAUSE_S = 0.01  # between two steps when there is more to do
CLOSE_WAIT_S = 3.0
PRUNE_AT, FULL_AT, ROOM_AT = 0.9, 0.95, 0.93  # share of the bound: history goes, refuse, all is well again
QUEUED_LOW_VALUE = 10_000  # events that wait while the disk takes nothing; what comes then is shed
NS_PER_US = 1000
US_PER_S = 1_000_000


class Job(Struct, eq=False):
    """Something to write.  synced: it must be on disk before `then` is called, on the loop."""

    rows: list[Row] = field(default_factory=list)
    events: list[Published] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    replays: list[int] = field(default_factory=list)
    synced: bool = False
    then: Callable[[], None] = lambda: None


class Totals(Struct):
    """Figures for metrics.  The thread writes them, but `shed_waiting`, which is the loop's."""

    commits: Histogram
    events: Counter[str]  # by name
    bytes: int = 0
    stored: int = 0
    expired: int = 0  # deliveries that nobody had taken when their time was over
    shed_full: int = 0  # low-value events: at the bound,
    shed_waiting: int = 0  # and while the disk took nothing


class Store:
    """submit: takes inputs for core, on the loop.  grown: called there with webhook endpoints' keys.

    broken: called on the loop when the thread has ended by a fault of ours.
    """

    def __init__(
        self,
        state_dir: str,
        *,
        node: str,
        max_events: int,
        max_bytes: int,
        retention_s: int,
        submit: Callable[[Input], None],
        broken: Callable[[], None],
        log: Log,
        stall_s: float = STALL_S,
    ) -> None:
        self.state_dir = state_dir
        self.totals = Totals(Histogram(), Counter())
        self.grown: Callable[[set[str]], None] = lambda webhooks: None
        self._file = StoreFile(state_dir, node)
        self._bound = (max_events, max_bytes)
        self._retention_us = retention_s * US_PER_S
        self._submit = submit
        self._broken = broken
        self._log = log
        self._jobs: deque[Job] = deque()
        self._waiting = 0  # events in the queue
        self._news = threading.Condition()
        self._stall_s = stall_s
        self._stalled = False  # the loop's: core was told that the disk does not answer
        self._writing_s: float | None = None  # since when the present transaction is under way
        self._closing = False
        self._trouble: str | None = None
        self._dropped: Counter[str] = Counter()  # on the loop, by app, until the thread takes them over
        self._owed: Counter[str] = Counter()  # the thread's: shed since the last `events.dropped` of the app
        self._pruned_s = 0.0
        self._pruning = False  # there was more to do
        self._committed_s = 0.0
        # The clock of events begins right and goes on as the monotonic one: a machine that slept, or whose
        # clock was set, has another time by now.  What has just happened is not old for that.
        self._behind_us = 0

    # -- on the loop -----------------------------------------------------------------------------------------

    def open(self) -> list[Row]:
        """Open the file and begin; what it holds.  Raises `StoreError`."""
        rows = self._file.open(_wall_us())
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._measure()
        self._thread.start()
        return rows

    def persist(self, effect: Persist) -> None:
        """What a turn of core keeps and publishes."""
        events = effect.events
        self._put(
            Job(
                rows=effect.rows,
                events=events,
                synced=bool(effect.rows) or not all(event.fields.LOW_VALUE for event in events),
                then=lambda: self._submit(Committed(effect.n)),
            )
        )

    def report(self, report: Report, then: Callable[[], None]) -> None:
        """What came of deliveries.  Not synced: what a crash loses here is delivered twice."""
        self._put(Job(reports=[report], then=then))

    def replay(self, deliveries: list[int]) -> asyncio.Future[None]:
        """Send these again, out of order; done when it is written down.  Open ones stay as they are."""
        done: asyncio.Future[None] = self._loop.create_future()

        def then() -> None:
            if not done.done():
                done.set_result(None)

        self._put(Job(replays=deliveries, synced=True, then=then))
        return done

    def close(self) -> None:
        """Write what waits, for a moment at most, and let go."""
        thread = getattr(self, "_thread", None)
        if thread is None:
            return
        with self._news:
            self._closing = True
            self._news.notify()
        thread.join(CLOSE_WAIT_S)
        if self._jobs:
            self._log.error("store_closed_with_jobs", jobs=len(self._jobs), events=self._waiting)

    def _put(self, job: Job) -> None:
        with self._news:
            stuck = self._stalled or self._trouble == "store_unavailable"
            if stuck and self._waiting >= QUEUED_LOW_VALUE:
                low = [event.app_id for event in job.events if event.fields.LOW_VALUE]
                self._dropped.update(low)
                self.totals.shed_waiting += len(low)
                job.events = [event for event in job.events if not event.fields.LOW_VALUE]
            self._jobs.append(job)
            self._waiting += len(job.events)
            self._news.notify()

        began_s = self._writing_s
        if began_s is not None and not self._stalled and time.monotonic() > began_s + self._stall_s:
            self._stalled = True
            self._log.error("store_trouble", reason="store_unavailable", error="the disk does not answer")
            self._submit(StoreTrouble("store_unavailable"))

    def _done(self, jobs: list[Job], grown: set[str]) -> None:
        if self._stalled:
            self._stalled = False
            self._submit(StoreTrouble(self._trouble))
        if grown:
            self.grown(grown)
        for job in jobs:
            job.then()

    # -- on the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (jobs := self._gather()) is not None and self._write(jobs):
                self._prune()
        except Exception:
            self._log.error("store_broken", traceback=traceback.format_exc())
            self._tell(self._broken)
        finally:
            self._file.close()

    def _gather(self) -> list[Job] | None:
        """The next group, perhaps empty when there is time to prune; None: it is over."""
        with self._news:
            if not self._jobs and not self._closing:
                self._news.wait(PRUNE_PAUSE_S if self._pruning else PRUNE_EVERY_S)
            pause_s = self._committed_s + GROUP_S - time.monotonic()
            if self._jobs and self._waiting < GROUP_EVENTS and pause_s > 0 and not self._closing:
                self._news.wait_for(lambda: self._waiting >= GROUP_EVENTS or self._closing, pause_s)
            if not self._jobs:
                return None if self._closing else []
            jobs, events = [], 0
            while self._jobs and events < GROUP_MOST:
                job = self._jobs.popleft()
                jobs.append(job)
                events += len(job.events)
            self._waiting -= events
            self._owed += self._dropped
            self._dropped.clear()
            return jobs

    def _write(self, jobs: list[Job]) -> bool:
        """In one transaction; until the disk takes it.  False: it never did, and it is time to end."""
        delay_s = RETRY_FIRST_S
        shed = self.totals.shed_full
        while jobs:
            began = self._writing_s = time.monotonic()
            try:
                grown = self._transaction(jobs)
            except (sqlite3.Error, OSError) as error:
                self._file.roll_back()
                self.totals.shed_full = shed
                self._set_trouble("store_unavailable", error=str(error))
                with self._news:
                    if self._closing:
                        self._jobs.extendleft(reversed(jobs))
                        return False
                time.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)
                continue
            self._writing_s = None
            self._committed_s = time.monotonic()
            self.totals.commits.observe(round((self._committed_s - began) * US_PER_S))
            self._tell(self._done, jobs, grown)
            self._measure()
            break
        return True

    def _transaction(self, jobs: list[Job]) -> set[str]:
        """Write the group; the webhook endpoints for which there is something new."""
        file = self._file
        at_us = _wall_us()
        grown: set[str] = set()
        events: list[Published] = []
        names: Counter[str] = Counter()
        owed = self._owed.copy()
        rows: list[Row] = []
        file.begin(synced=any(job.synced for job in jobs))
        for job in jobs:
            for row in job.rows:
                if row.kind == webhooks.KIND:  # it holds for its own turn's events, not for those before
                    grown |= self._put_events(events, owed, names) | {row.id}
                    events = []
                    file.put_webhook(row)
            rows += job.rows
            events += job.events
            for report in job.reports:
                file.put_report(report.attempts, report.moved)
            if job.replays:
                grown |= set(file.replay(job.replays, at_us))
        file.put_rows(rows)
        grown |= self._put_events(events, owed, names)
        file.commit()
        self._owed = owed
        self.totals.events += names
        if events:
            self._behind_us = max(0, at_us - events[-1].at_us)
        return grown

    def _put_events(self, events: list[Published], owed: Counter[str], names: Counter[str]) -> set[str]:
        """The webhook endpoints that get them."""
        kept = self._kept(events, owed) if owed or self._share >= 1 else events
        names.update(event.name for event in kept)
        return self._file.put_events(kept)

    def _kept(self, events: list[Published], owed: Counter[str]) -> list[Published]:
        """Without what is shed, and with a note where something was."""
        kept = []
        for event in events:
            if self._share >= 1 and event.fields.LOW_VALUE:
                owed[event.app_id] += 1
                self.totals.shed_full += 1
                continue
            if count := owed.pop(event.app_id, 0):
                kept.append(Published(EventsDropped.NAME, event.app_id, EventsDropped(count), event.at_us))
            kept.append(event)
        return kept

    # -- the bound -------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        """How full it is, and what follows from that."""
        self.totals.stored, self.totals.bytes = self._file.events, self._file.bytes
        self.totals.expired = self._file.expired
        most_events, most_bytes = self._bound
        self._share = max(self.totals.stored / most_events, self.totals.bytes / most_bytes)
        if self._share >= FULL_AT:
            self._set_trouble("overloaded", stored=self.totals.stored, bytes=self.totals.bytes)
        elif self._share < ROOM_AT or self._trouble == "store_unavailable":
            self._set_trouble(None)

    def _set_trouble(self, reason: str | None, **known: object) -> None:
        if reason != self._trouble:
            self._trouble = reason
            if reason is None:
                self._log.info("store_well_again")
            else:
                self._log.error("store_trouble", reason=reason, **known)
            self._tell(self._submit, StoreTrouble(reason))

    def _prune(self) -> None:
        """A step of it, now and then; one after the other while there is more to do."""
        now_s = time.monotonic()
        if not self._pruning and now_s < self._pruned_s + PRUNE_EVERY_S:
            return
        before_us = _wall_us() - self._behind_us - self._retention_us
        self._writing_s = now_s
        try:
            self._file.begin(synced=False)
            more = self._file.prune_old(before_us)
            self._file.prune_lanes(before_us)
            if self._share >= PRUNE_AT:
                more |= self._file.prune_delivered()
            self._file.commit()
            self._file.shorten_log()
        except (sqlite3.Error, OSError) as error:
            self._file.roll_back()
            self._set_trouble("store_unavailable", error=str(error))
            return
        self._writing_s = None
        self._pruning = more
        if not more:
            self._pruned_s = now_s
        self._measure()

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        """On the loop."""
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return  # the loop has ended: nobody is left to be told


def _wall_us() -> int:
    return time.time_ns() // NS_PER_US
