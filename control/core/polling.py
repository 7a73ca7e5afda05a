"""Periodic statistics: one wheel for all subscriptions, and many sessions in one question.

Theory of operation
-------------------
Subscriptions that are due at the same time and have the same interval share a *bucket* and go round together.
A new subscription's first event is due with the next beat of `BEAT_US`, so that few buckets hold many; from
then on a bucket keeps its own time line, and is at most one beat late, never later each time.

On a beat the sessions that are due are put together by the workers they live on, up to `SESSIONS_A_POLL` in
one `PollStats`, so that nobody waits for a worker that has nothing to do with his session.  A session whose
last question is still open is not asked about again; under overload of a worker only one of `STATS_THINNED`
is.

Events in bunches of a beat cost control half of what they would cost one by one: most of it is the kernel's
work for a send, and that is done with a warm cache.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from msgspec import Struct, field

from roomtone.control.core import api, effects
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.run import Answer, Ask, Work
from roomtone.control.core.session import Session, Subscription
from roomtone.engine.codecs import ENCODING_NAME
from roomtone.engine.messages import PollStats, StatsPolled
from roomtone.engine.overload import Level
from roomtone.ext.event.stats_record import RECORD_BYTES, stats_event

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

BEAT_US = 100_000
STATS_THINNED = 5  # under overload one of so many statistics events is sent
SESSIONS_A_POLL = 500  # some 6 ms of work for control
TIMER = ("stats",)
_NAMES = {int(codec): name for codec, name in ENCODING_NAME.items()}
CODECS = tuple(_NAMES.get(number, "") for number in range(max(_NAMES) + 1))  # by number


class Bucket(Struct, eq=False):
    """Sessions whose events are due together, by id."""

    interval_us: int
    due_us: int
    sessions: dict[str, Session] = field(default_factory=dict)


class Wheel:
    """All buckets, by interval and time, and on a heap by time."""

    __slots__ = ("_buckets", "_heap", "_serial", "armed_us")

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], Bucket] = {}
        self._heap: list[tuple[int, int, Bucket]] = []
        self._serial = itertools.count()
        self.armed_us = 0  # what the timer is set to; 0: it is not

    def bucket(self, interval_us: int, due_us: int) -> Bucket:
        """The bucket for that time, made if there is none."""
        found = self._buckets.get((interval_us, due_us))
        if found is None:
            found = Bucket(interval_us, due_us)
            self._insert(found)
        return found

    def take(self, now_us: int) -> list[Bucket]:
        """The buckets that are due; they are off the wheel."""
        taken = []
        while self._heap and self._heap[0][0] <= now_us:
            taken.append(self._pop())
        return taken

    def next_us(self) -> int | None:
        """When the next bucket with a session in it is due; those without one go."""
        while self._heap:
            if self._heap[0][2].sessions:
                return self._heap[0][0]
            self._pop()
        return None

    def put_back(self, bucket: Bucket, now_us: int) -> None:
        """One interval later; what was missed is left out."""
        behind = now_us - bucket.due_us >= bucket.interval_us
        due_us = (_beat(now_us) if behind else bucket.due_us) + bucket.interval_us
        twin = self._buckets.get((bucket.interval_us, due_us))
        if twin is None:
            bucket.due_us = due_us
            self._insert(bucket)
            return
        for session in bucket.sessions.values():
            assert session.subscription is not None
            session.subscription.bucket = twin
        twin.sessions.update(bucket.sessions)

    def _insert(self, bucket: Bucket) -> None:
        self._buckets[bucket.interval_us, bucket.due_us] = bucket
        heapq.heappush(self._heap, (_beat(bucket.due_us), next(self._serial), bucket))

    def _pop(self) -> Bucket:
        bucket = heapq.heappop(self._heap)[2]
        del self._buckets[bucket.interval_us, bucket.due_us]
        return bucket


def _beat(when_us: int) -> int:
    """The first beat at or after that."""
    return -(-when_us // BEAT_US) * BEAT_US


# -- subscriptions -------------------------------------------------------------------------------------------


def subscribe(core: Core, session: Session, interval_us: int, diagnostics: bool) -> None:
    """A second subscription changes the interval; the time since the last event counts on."""
    subscription = session.subscription
    last_us = core.now_us
    if subscription is not None:
        old = subscription.bucket
        last_us = old.due_us - old.interval_us
        del old.sessions[session.id]
    bucket = core.wheel.bucket(interval_us, _beat(max(core.now_us, last_us + interval_us)))
    bucket.sessions[session.id] = session
    if subscription is None:
        session.subscription = Subscription(bucket, diagnostics)
    else:
        subscription.bucket = bucket
        subscription.include_diagnostics = diagnostics
    _arm(core)


def unsubscribe(core: Core, session: Session) -> None:
    """No events any more; nothing happens when there were none."""
    if session.subscription is not None:
        del session.subscription.bucket.sessions[session.id]
        session.subscription = None
        _arm(core)


def _arm(core: Core) -> None:
    wheel = core.wheel
    next_us = wheel.next_us() or 0
    if next_us != wheel.armed_us:
        wheel.armed_us = next_us
        core.effect(effects.ScheduleAt(next_us, TIMER) if next_us else effects.CancelTimer(TIMER))


# -- events --------------------------------------------------------------------------------------------------


def beat(core: Core) -> None:
    """The timer fired: ask the workers about the sessions that are due."""
    core.wheel.armed_us = 0
    workers = core.workers
    shedding = {index for index in workers.loads() if workers.gives_up(index, Level.STATISTICS)}
    groups: dict[tuple[int, ...], list[Session]] = {}
    for bucket in core.wheel.take(core.now_us):
        core.wheel.put_back(bucket, core.now_us)
        for session in bucket.sessions.values():
            subscription = session.subscription
            assert subscription is not None
            if subscription.polling or (shedding and _withheld(core, session, subscription, shedding)):
                continue
            subscription.polling = True
            where = tuple(session.counts)
            if where in groups:
                groups[where].append(session)
            else:
                groups[where] = [session]
    _arm(core)
    for where, sessions in groups.items():
        for start in range(0, len(sessions), SESSIONS_A_POLL):
            core.work(_poll(core, where, sessions[start : start + SESSIONS_A_POLL]))


def _withheld(core: Core, session: Session, subscription: Subscription, shedding: set[int]) -> bool:
    """Whether this event is left out for a worker's overload; it is counted then."""
    if not shedding.isdisjoint(session.counts):
        subscription.withheld += 1
        if subscription.withheld < STATS_THINNED:
            core.counters.stats_withheld += 1
            return True
    subscription.withheld = 0
    return False


def _poll(core: Core, workers: tuple[int, ...], sessions: list[Session]) -> Work:
    ids = [session.id for session in sessions]
    polled = _merged((yield [Ask(worker, PollStats(ids)) for worker in workers]), len(ids))
    records, place = polled.records, 0
    told: list[int] = []
    texts: list[bytes] = []
    for session, counted in zip(sessions, polled.endpoints, strict=True):
        subscription = session.subscription
        if subscription is not None:
            subscription.polling = False
            text = stats_event(
                session.endpoints, counted, records, place, CODECS, subscription.include_diagnostics
            )
            connection, queue = session.connection, session.queue
            if connection is not None and not (queue.first or queue.normal):
                told.append(connection)
                texts.append(text)
            else:
                _put(core, queue, text)
                core.wake(connection)
        place += len(counted)
    core.counters.events[api.Stats.NAME] += len(told)
    if told:
        core.effect(effects.Tell(told, texts))


def keep(core: Core, connection: int, text: bytes) -> None:
    """Queue what `Tell` told a connection that had no room for it; io asks for it when there is some."""
    bound = core.connections.get(connection)
    if bound is not None:
        core.counters.events[api.Stats.NAME] -= 1
        _put(core, bound.queue, text)


def _put(core: Core, queue: EventQueue, text: bytes) -> None:
    if queue.event(text, critical=False):
        core.counters.event(api.Stats.NAME)
    else:
        core.counters.events_dropped += 1


def _merged(answers: list[Answer], sessions: int) -> StatsPolled:
    """What all workers said of so many sessions, as if one had; silent ones said nothing."""
    said = [answer for answer in answers if isinstance(answer, StatsPolled)]
    if len(said) == 1:
        return said[0]
    merged = StatsPolled([[] for _ in range(sessions)], b"")
    if said:
        places = [0] * len(said)
        records = []
        for number, endpoints in enumerate(merged.endpoints):
            for which, answer in enumerate(said):
                found = answer.endpoints[number]
                end = places[which] + len(found)
                records.append(answer.records[places[which] * RECORD_BYTES : end * RECORD_BYTES])
                places[which] = end
                endpoints += found
        merged.records = b"".join(records)
    return merged
