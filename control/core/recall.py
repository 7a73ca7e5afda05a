"""What control must know again after it died: a note on every endpoint, kept by the endpoint's worker.

The truth of a session is in the workers' endpoint records. Each command that makes or changes an endpoint
carries a `Note` with what only control knows (whose session it is, what was negotiated); workers hand it
back in snapshots. A new control process makes of them the sessions as they were, orphaned: clients re-
attach, and what nobody claims ends after `disconnect_timeout_secs`. A session without endpoints, what was
still being downloaded, subscriptions to statistics and events that waited for an orphaned session die with
the process.  What a call is beside its endpoints stands in the store (calls/remembering.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core import life, notes, places, spreading
from roomtone.control.core.calls import janitor, remembering, telling
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.rooms import sweeping
from roomtone.control.core.session import Audio, Endpoint, Session
from roomtone.engine.messages import CloseSession, SnapshotEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


def adopt(core: Core, worker: int, held: list[SnapshotEndpoint]) -> list[Session]:
    """Take over what a worker held before this process began; the sessions that it is part of."""
    touched: dict[str, tuple[Session, list[SnapshotEndpoint]]] = {}
    for entry in held:
        session = core.sessions.get(entry.session)
        if session is not None and entry.endpoint in session.endpoints:
            continue
        if sweeping.own(core, worker, entry, partial(_noted_endpoint, worker, entry)):
            continue
        try:
            about = notes.decode(entry.note)
        except msgspec.DecodeError:
            core.log("warning", "session_not_recalled", session=entry.session, worker=worker)
            core.tell(worker, CloseSession(entry.session))
            continue
        if session is None and about.kept and entry.session not in core.calls:
            core.tell(worker, CloseSession(entry.session))  # it has ended: the worker was not told any more
            continue
        if session is None:
            session = _recall_session(core, worker, entry.session, about)
        session.endpoints[entry.endpoint] = endpoint = _recall_endpoint(worker, entry, about)
        session.made = max(session.made, about.number)
        session.bridges += entry.kind == "bridge"
        session.counts[worker] = session.counts.get(worker, 0) + 1
        core.workers.add(worker, 1, session.phase)
        sweeping.sits(core, endpoint, session, entry)
        touched.setdefault(session.id, (session, []))[1].append(entry)
    for session, entries in touched.values():
        if not session.leg.leased:
            janitor.watch(core)
        elif any(endpoint.state == "connected" for endpoint in session.endpoints.values()):
            telling.answered(core, session)
        in_order = sorted(session.endpoints.items(), key=lambda item: item[1].number)
        session.endpoints = dict(in_order)
        places.watch_empty(core, session)
        spreading.again(core, session)
        sweeping.returned(core, session, entries)
    if touched:
        core.log("info", "sessions_recalled", worker=worker, sessions=len(touched), endpoints=len(held))
    return [session for session, _ in touched.values()]


def _recall_session(core: Core, worker: int, session_id: str, about: notes.Note) -> Session:
    home = about.home if about.home in core.workers else worker
    session = Session(
        id=session_id,
        app_id=about.app_id,
        caller_id=about.caller_id,
        created_us=about.created_epoch_us - core.epoch_offset_us,
        queue=EventQueue(core.config.critical_event_channel_size, core.config.event_channel_size),
        connection=None,
        last_command_us=core.now_us,
        state="orphaned",
        leg=remembering.leg(core, session_id),
        home=home,
        phase=about.phase,
    )
    core.workers.settle_again(home, about.phase)
    core.sessions[session_id] = session
    life.recalled(core, session)
    return session


def _noted_endpoint(worker: int, entry: SnapshotEndpoint) -> Endpoint:
    return _recall_endpoint(worker, entry, notes.decode(entry.note))


def _recall_endpoint(worker: int, entry: SnapshotEndpoint, about: notes.Note) -> Endpoint:
    endpoint = Endpoint(
        id=entry.endpoint,
        kind=entry.kind,
        worker=worker,
        number=about.number,
        policy=about.policy,
        negotiated=about.negotiated,
        override=about.override,
        held=about.held,
        media=about.media,
        created=entry.created,
        remote=about.remote,
        rtcp_mux=about.rtcp_mux,
        learned=entry.remote_rtp_addr or None,
        offered=about.offered,
        sdp_version=about.sdp_version + 1,  # the SDP that the noted command led to
        sensitive=entry.sensitive,
        vad=entry.vad,
        fax=entry.fax,
        far=about.far,
        moves=entry.moves,
    )
    if about.audio is not None:
        sample_rate, flush_ms, endpoint.state = about.audio
        endpoint.audio = Audio(sample_rate, flush_ms)
    elif entry.kind in ("tone", "file"):
        endpoint.state = "finished" if entry.finished else "paused" if entry.paused else "playing"
        endpoint.shared_id = entry.file.shared_id if entry.file is not None else None
    elif entry.kind == "bridge" or about.media is not None:
        endpoint.state = "connected"
    else:
        endpoint.state = "connecting"
    return endpoint
