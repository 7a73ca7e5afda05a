"""What a worker is asked: statistics, activity, what it holds, what it counts.

Functions as in commands.py: (worker, body) -> reply body, or a generator that yields between pieces of work.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from roomtone.engine import messages as m
from roomtone.engine.codecs import ENCODING_NAME, Codec
from roomtone.engine.plan import Endpoint, FileEndpoint, RtpEndpoint

if TYPE_CHECKING:
    from roomtone.engine.worker import Worker

A_SLICE = 32  # endpoints handled in one piece: some 10 us each
POLL_A_SLICE = 256  # endpoints and sessions handled in one piece: some 2 us each
SNAPSHOT_A_SLICE = 1024  # entries built in one piece: under 1 us each

Slices = Generator[None, None, m.ReplyBody]


def get_stats(worker: Worker, body: m.GetStats) -> Slices:
    session = worker.plan.sessions.get(body.session)
    out: list[m.EndpointStats] = []
    for number, endpoint in enumerate(list(session.members.values()) if session else (), 1):
        if not endpoint.gone:
            out.append(_stats(worker, endpoint))
        if number % A_SLICE == 0:
            yield
    return m.Stats(out)


def poll_stats(worker: Worker, body: m.PollStats) -> Slices:
    """Statistics of many sessions in one message: what subscribers get."""
    sessions, read = worker.plan.sessions, worker.media.stats_records
    endpoints: list[list[str]] = []
    records: list[bytes] = []
    handled = 0
    for name in body.sessions:
        found: list[str] = []
        endpoints.append(found)
        session = sessions.get(name)
        members = list(session.members.values()) if session is not None else []
        handled += 1
        for start in range(0, len(members), POLL_A_SLICE):
            if handled >= POLL_A_SLICE:
                handled = 0
                yield
            some = [endpoint for endpoint in members[start : start + POLL_A_SLICE] if not endpoint.gone]
            records.append(read([endpoint.handle for endpoint in some]))
            found += [endpoint.id for endpoint in some]
            handled += len(some)
    return m.StatsPolled(endpoints, b"".join(records))


def get_activity(worker: Worker, body: m.GetActivity) -> Slices:
    session = worker.plan.sessions.get(body.session)
    if session is None:
        return m.Activity(0)
    last_us = heard_us = 0
    for number, endpoint in enumerate(list(session.members.values()), 1):
        if isinstance(endpoint, RtpEndpoint) and not endpoint.gone:
            last_us = max(last_us, worker.media.last_activity_us(endpoint.handle))
            heard_us = max(heard_us, worker.media.last_heard_us(endpoint.handle))
        if number % SNAPSHOT_A_SLICE == 0:
            yield
    return m.Activity(max(last_us, session.activity_us), heard_us)


def take_snapshot(worker: Worker, body: m.TakeSnapshot) -> Slices:
    """Built in slices; what changed meanwhile is put right in the last piece, which makes the reply.

    A control process that has to ask does not know of files that are still being opened: they are given up.
    """
    plan = worker.plan
    worker.files.cancel_all(None)
    endpoints, changes = list(plan.endpoints.values()), plan.changes
    entries: list[m.SnapshotEndpoint] = []
    for number, endpoint in enumerate(endpoints, 1):
        entries.append(_entry(worker, endpoint))
        if number % SNAPSHOT_A_SLICE == 0:
            yield
    if plan.changes != changes:
        entries = _corrected(worker, endpoints, entries)
    return m.Snapshot(entries, worker.recorder.snapshot())


def _corrected(
    worker: Worker, endpoints: list[Endpoint], entries: list[m.SnapshotEndpoint]
) -> list[m.SnapshotEndpoint]:
    """The entries as they are now: without the departed, with those who came meanwhile."""
    kept = []
    for endpoint, entry in zip(endpoints, entries, strict=True):
        if not endpoint.gone:
            entry.finished = endpoint.finished
            entry.session, entry.note = endpoint.session.id, endpoint.note
            _place(endpoint, entry)
            kept.append(entry)
    newest = endpoints[-1].serial if endpoints else 0
    added = []
    for endpoint in worker.plan.newest_first():
        if endpoint.serial <= newest:
            break
        added.append(_entry(worker, endpoint))
    return [*kept, *reversed(added)]


def get_metrics(worker: Worker, body: m.GetMetrics) -> m.ReplyBody:
    media = worker.media.metrics()
    return m.Metrics(
        counters={**media["counters"], **worker.counters()},
        drops=dict(media["drops"]),
        gauges={**media["gauges"], **worker.media.memory(), **worker.gauges()},
        tick_duration_us=list(media["tick_duration_us"]),
        tick_late_us=list(media["tick_late_us"]),
        ended=worker.quality.counted(),
    )


def _stats(worker: Worker, endpoint: Endpoint) -> m.EndpointStats:
    values: dict[str, Any] = worker.media.stats(endpoint.handle)
    number = values.pop("codec")
    codec = ENCODING_NAME[Codec(number)] if number else ""
    return m.EndpointStats(endpoint=endpoint.id, kind=endpoint.kind, codec=codec, **values)


def _entry(worker: Worker, endpoint: Endpoint) -> m.SnapshotEndpoint:
    entry = m.SnapshotEndpoint(
        session=endpoint.session.id,
        endpoint=endpoint.id,
        kind=endpoint.kind,
        finished=endpoint.finished,
        note=endpoint.note,
    )
    _place(endpoint, entry)
    if isinstance(endpoint, RtpEndpoint) and not endpoint.gone:
        line = worker.media.line(endpoint.handle)
        pair = endpoint.pair
        entry.created = m.RtpCreated(
            local_ip=pair.ip,
            rtp_port=pair.rtp_port,
            rtcp_port=pair.rtcp_port,
            ssrc=line["ssrc"],
            cname=line["cname"],
            handle=endpoint.handle,
        )
        entry.remote_rtp_addr = line["remote"] if endpoint.learned else ""
        entry.sensitive = endpoint.sensitive
    elif isinstance(endpoint, FileEndpoint):
        entry.file = worker.files.entry(endpoint)
        entry.started, entry.paused = endpoint.started, endpoint.paused
    if endpoint.watch is not None:
        entry.vad = endpoint.watch.vad
        entry.fax = endpoint.watch.told is not None
    return entry


def _place(endpoint: Endpoint, entry: m.SnapshotEndpoint) -> None:
    entry.moves, entry.seat = endpoint.moves, endpoint.seat
    entry.room = endpoint.room.id if endpoint.room is not None else None
