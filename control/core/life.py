"""What becomes of sessions: orphaned, attached, idle, empty, lost, shut down; what workers tell of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from roomtone.control.core import api, downloads, effects, frame, places, placing, polling, recordings
from roomtone.control.core.calls import collecting, commands, ending, keys, playing, remembering
from roomtone.control.core.calls.endings import ENDINGS, Ending
from roomtone.control.core.calls.leg import HangupOn
from roomtone.control.core.problems import SESSION_GONE, SESSION_UNRESPONSIVE, Problem
from roomtone.control.core.rooms import destroying, joining, play, sweeping, talking
from roomtone.control.core.rooms.model import JOIN, Room
from roomtone.control.core.run import PAUSED, Answer, Ask, Work, next_deferred
from roomtone.control.core.session import Connection, Endpoint, EndpointFact, Session, SessionFact
from roomtone.control.core.stats import endpoint_stats
from roomtone.engine import messages
from roomtone.engine.messages import Activity, CloseSession, GetActivity, GetStats, RemoveEndpoint

if TYPE_CHECKING:
    from roomtone.control.core.core import Core
    from roomtone.engine.recording_counts import Left

US_PER_S = 1_000_000
IDLE_RECHECK_US = 5 * US_PER_S  # when a worker did not say whether the session is idle
RECALL_US = 10 * US_PER_S  # by then every worker has said what it held before this process began
CLOSING_GRACE_US = 10 * US_PER_S  # at shutdown: how long workers may take to close what is left

ORPHAN = "orphan"
IDLE = "idle"
HALF_BRIDGES = "half_bridges"
SHUTDOWN = ("shutdown",)
SHUTDOWN_END = ("shutdown_end",)

# How a bot is told that its session has ended, where it is not simply over.
_AUDIO_CLOSES = {
    SessionFact.WORKER_LOST: (effects.UNEXPECTED, "The media process was lost"),
    SessionFact.SHUT_DOWN: (effects.GOING_AWAY, "The server is shutting down"),
}

# -- the lease -----------------------------------------------------------------------------------------------


def begin(core: Core, session: Session) -> None:
    """A session was made."""
    if core.config.session_idle_timeout_secs:
        core.schedule(session, IDLE, core.now_us + core.config.session_idle_timeout_secs * US_PER_S)
    places.watch_empty(core, session)
    core.log("info", "session_created", session=session.id, app=session.app_id, worker=session.home)


def recalled(core: Core, session: Session) -> None:
    """A session of the time before this process began: one with a lease waits for a connection."""
    if session.leg.leased:
        _wait_for_attach(core, session)
    core.schedule(session, HALF_BRIDGES, core.now_us + RECALL_US)
    if core.config.session_idle_timeout_secs:
        core.schedule(session, IDLE, core.now_us + core.config.session_idle_timeout_secs * US_PER_S)


def control_lost(core: Core, connection: Connection, session: Session, unsent: list[bytes]) -> None:
    """The bound connection is gone: the session waits for another one, with the events nobody has got."""
    session.happened(SessionFact.CONTROL_LOST)
    session.connection = None
    session.queue.forget_replies()
    session.queue.put_back([text for text in unsent if frame.is_event(text)])
    if session.leg.leased:
        timeout_us = _wait_for_attach(core, session)
        core.farewell(connection.id, api.SessionOrphaned(timeout_us // 1000))
    core.log("info", "session_orphaned", session=session.id, leased=session.leg.leased)


def _wait_for_attach(core: Core, session: Session) -> int:
    """The lease runs from now; how long, in microseconds."""
    timeout_us = core.config.disconnect_timeout_secs * US_PER_S
    session.orphaned_until_us = core.now_us + timeout_us
    core.schedule(session, ORPHAN, session.orphaned_until_us)
    return timeout_us


def attach(core: Core, connection: Connection, session: Session) -> None:
    """Bind an orphaned session; what waited for this connection goes before what was kept for the session."""
    session.happened(SessionFact.ATTACHED)
    session.connection = connection.id
    core.cancel(session, ORPHAN)
    session.last_command_us = core.now_us
    session.queue.put_before(connection.queue)
    connection.queue = session.queue
    connection.session = session
    connection.gone = False
    core.log("info", "session_attached", session=session.id)


def end(core: Core, session: Session, fact: SessionFact, how: Ending | None = None) -> None:
    """End a session: its slots are free at once, its workers are told to close it.

    how: what is told of it; None: as always with that fact.
    """
    session.happened(fact)
    del core.sessions[session.id]
    told = how or ENDINGS[fact]
    ending.close(core, session)
    remembering.give_up(core, session)
    joining.out_of_everything(core, session, told.reason, told.cause)
    polling.unsubscribe(core, session)
    for name in list(session.timers):
        core.cancel(session, name)
    connection = core.connections.get(session.connection) if session.connection is not None else None
    if connection is not None:
        connection.session = None
        connection.gone = fact is not SessionFact.DESTROYED
    for worker, count in session.counts.items():
        core.workers.add(worker, -count, session.phase)
    reason = "shutdown" if fact is SessionFact.SHUT_DOWN else "session_destroyed"
    spread = session.spread.peers if session.spread is not None else ()
    for worker, back in session.arriving:
        core.tell(worker, back)  # before the bus goes on which it may be by then
    recorders = (worker for recording in session.recordings.values() for worker in recording.workers)
    for worker in dict.fromkeys((*session.counts, *spread, *recorders)):
        core.tell(worker, CloseSession(session.id, reason))
    recordings.depart(core, session)
    if session.home is not None:
        core.workers.unsettle(session.home, session.phase)
    if session.run is not None:
        code = SESSION_UNRESPONSIVE if fact is SessionFact.WORKER_LOST else SESSION_GONE
        core.abort(session.run, Problem(code, "The session ended while the command was carried out"))
    next_deferred(session)
    for endpoint in session.endpoints.values():
        core.audio.left(
            core, endpoint, *_AUDIO_CLOSES.get(fact, (effects.NORMAL_CLOSURE, "The session has ended"))
        )
        placing.remove_other_end(core, endpoint)
        core.downloads.leave(endpoint.id)
    session.endpoints.clear()
    ending.ended(core, session, told)
    core.log("info", "session_ended", session=session.id, reason=fact.value)


def worker_lost(core: Core, worker: int, left: dict[str, Left]) -> None:
    """The media process died: every session that lived there, in whole or in part, is lost.

    left: what there is of its recordings.
    """
    play.lost(core, worker)
    lost = [s for s in core.sessions.values() if s.home == worker or worker in s.counts]
    for session in lost:
        event = api.SessionLost(session.id, "worker_lost")
        connection = core.connections.get(session.connection) if session.connection is not None else None
        for endpoint in session.endpoints.values():
            _file_finished(core, session, endpoint, "error", "The media worker died")
        end(core, session, SessionFact.WORKER_LOST)
        recordings.worker_lost(core, worker, left)
        if connection is not None:
            core.emit_to(connection, event)
    sweeping.worker_lost(core, worker)
    recordings.worker_lost(core, worker, left)
    recordings.keeper_lost(core, worker, left)
    recordings.claim(core)


# -- time-outs -----------------------------------------------------------------------------------------------


def timer(core: Core, key: tuple[str, ...]) -> None:
    """A timer fired."""
    if key == polling.TIMER:
        polling.beat(core)
        return
    if key == SHUTDOWN:
        _close_all(core)
        return
    if key == SHUTDOWN_END:
        core.give_up_waiting()
        return
    if key == downloads.CLEANUP:
        core.downloads.clean(core.now_us)
        return
    if key[0] == play.TIMER:
        play.timer(core, key)
        return
    name, session_id = key
    if name == PAUSED:
        core.resume(session_id)
        return
    if name == downloads.TIMER:
        core.downloads.timed_out(session_id)
        return
    bus = core.sessions.get(session_id) or core.rooms.get(session_id)
    if bus is None or name not in bus.timers:
        return
    bus.timers.discard(name)
    if isinstance(bus, Session):
        _TIMERS[name](core, bus)
    elif isinstance(bus, Room):
        destroying.expired(core, bus, name)


def _orphan_expired(core: Core, session: Session) -> None:
    if session.connection is None:
        end(core, session, SessionFact.ORPHAN_EXPIRED)


def _empty_expired(core: Core, session: Session) -> None:
    if not session.size:
        core.emit(session, api.SessionEmptyTimeout(session.id, core.config.empty_session_timeout_secs))
        end(core, session, SessionFact.EMPTY_EXPIRED)


def _remove_half_bridges(core: Core, session: Session) -> None:
    """Bridges whose other end was lost while no control process ran."""
    for endpoint in list(session.endpoints.values()):
        if endpoint.far is not None and core.other_end(endpoint) is None:
            core.tell(endpoint.worker, RemoveEndpoint(endpoint.id))
            placing.removed(core, session, endpoint)


def _idle_expired(core: Core, session: Session) -> None:
    core.work(_check_idle(core, session))


def _check_idle(core: Core, session: Session) -> Work:
    """No command for the whole time: was there RTP?  Only the workers know."""
    timeout_us = core.config.session_idle_timeout_secs * US_PER_S
    active_until_us = session.last_command_us + timeout_us
    if active_until_us > core.now_us:
        core.schedule(session, IDLE, active_until_us)
        return
    answers = yield [Ask(worker, GetActivity(session.id)) for worker in session.counts]
    if session.ended:
        return
    last_us = max([session.last_command_us, *(a.last_us for a in answers if isinstance(a, Activity))])
    if session.run is not None:
        last_us = core.now_us
    if last_us + timeout_us > core.now_us:
        core.schedule(session, IDLE, last_us + timeout_us)
    elif not all(isinstance(answer, Activity) for answer in answers):
        core.schedule(session, IDLE, core.now_us + IDLE_RECHECK_US)
    else:
        core.emit(session, api.SessionIdleTimeout(session.id, core.config.session_idle_timeout_secs))
        end(core, session, SessionFact.IDLE_EXPIRED)


# -- statistics ----------------------------------------------------------------------------------------------


def ask_stats(session: Session) -> list[Ask]:
    return [Ask(worker, GetStats(session.id)) for worker in session.counts]


def gathered(session: Session, answers: list[Answer], diagnostics: bool) -> list[api.EndpointStats]:
    """The session's endpoints in the order of their making, with what their workers count."""
    counters = {
        counted.endpoint: counted
        for answer in answers
        if isinstance(answer, messages.Stats)
        for counted in answer.endpoints
    }
    return [
        endpoint_stats(
            endpoint,
            counters.get(endpoint.id)
            or messages.EndpointStats(endpoint=endpoint.id, kind=endpoint.kind, codec=""),
            diagnostics,
        )
        for endpoint in session.endpoints.values()
    ]


_TIMERS: dict[str, Callable[[Core, Session], None]] = {
    ORPHAN: _orphan_expired,
    places.EMPTY: _empty_expired,
    IDLE: _idle_expired,
    HALF_BRIDGES: _remove_half_bridges,
    commands.RESULTS: commands.results_due,
    JOIN: lambda core, session: joining.timed_out(core, session),
    collecting.TIMER: collecting.timeout,
}

# -- what workers tell ---------------------------------------------------------------------------------------


def worker_event(core: Core, worker: int, event: messages.Event) -> None:
    """A worker's event; of an endpoint that is not there any more it says nothing."""
    match event:
        case messages.WorkerUp():
            core.log("info", "worker_up", worker=worker, pid=event.pid, scheduling=event.scheduling)
            return
        case messages.Probe():  # readiness is io's
            return
        case messages.WorkerLoad():
            core.workers.reported(worker, event.level)
            return
        case messages.RecordingStopped():
            recordings.stopped(core, event)
            return
    room = core.rooms.get(event.session)
    if room is not None and play.worker_event(core, room, worker, event):
        return
    session = core.sessions.get(event.session)
    endpoint = session.endpoints.get(event.endpoint) if session is not None else None
    if session is None or endpoint is None or endpoint.worker != worker:
        return
    match event:
        case messages.KeyPressed():
            shown = "~" if endpoint.sensitive else event.digit
            core.log("debug", "dtmf", session=session.id, endpoint=endpoint.id, digit=shown)
            core.emit(
                session,
                api.Dtmf(endpoint.id, event.digit, event.duration_ms, endpoint.sensitive, event.source),
            )
            keys.pressed(core, session, endpoint, event)
        case messages.SpeechStarted():
            talking.happened(core, session, endpoint, speaks=True)
            if not talking.of_room_only(session, endpoint):
                core.emit(session, api.SpeechStarted(endpoint.id))
        case messages.Silent():
            talking.happened(core, session, endpoint, speaks=False)
            if not talking.of_room_only(session, endpoint):
                core.emit(session, api.Silence(endpoint.id, event.duration_ms))
        case messages.VadFailed():
            talking.happened(core, session, endpoint, speaks=False)
            core.log("warning", "vad_error", session=session.id, endpoint=endpoint.id, error=event.error)
            if not talking.of_room_only(session, endpoint):
                core.emit(session, api.VadError(endpoint.id, event.error))
        case messages.Seated():
            joining.seated(core, session, endpoint, event.room)
        case messages.FaxTone():
            heard = api.CngDetected if event.tone == "cng" else api.CedDetected
            core.emit(session, heard(endpoint.id))
        case messages.FaxFailed():
            core.log("warning", "fax_error", session=session.id, endpoint=endpoint.id, error=event.error)
            core.emit(session, api.FaxError(endpoint.id, event.error))
        case messages.ToneFinished():
            _tone_finished(core, session, endpoint)
            playing.finished(core, session, endpoint, None, 0)
        case messages.FileStarted():
            started_ms = (event.started_at_us + core.epoch_offset_us) // 1000
            core.emit(session, api.FileStarted(endpoint.id, started_ms))
            playing.begun(core, session, endpoint, event.started_at_us)
        case messages.FileNext():
            playing.moved_on(core, session, endpoint, event.item)
        case messages.FileFinished():
            _file_finished(core, session, endpoint, event.reason, event.error)
            playing.finished(core, session, endpoint, event.code or event.error, event.item)
        case messages.MediaTimeout():
            # A bot that has nothing to say sends nothing.
            if endpoint.state == "connected" and endpoint.is_source and endpoint.audio is None:
                core.emit(session, api.MediaTimeout(endpoint.id, event.duration_ms))
                _hang_up_on(core, session, "media_timeout")
        case messages.ByeReceived():
            core.emit(session, api.RtcpBye(endpoint.id, event.ssrcs, event.reason))
            _hang_up_on(core, session, "rtcp_bye")
        case messages.PeerLearned():
            endpoint.learned = event.remote_rtp_addr


def _hang_up_on(core: Core, session: Session, what: HangupOn) -> None:
    """End a call that was made to end with that."""
    if what in session.leg.hangup_on:
        end(core, session, SessionFact.HUNG_UP, Ending("hangup", what))


def _tone_finished(core: Core, session: Session, endpoint: Endpoint) -> None:
    if endpoint.kind == "tone" and endpoint.state == "playing":
        old, new = endpoint.happened(EndpointFact.TONE_FINISHED)
        core.emit(session, api.StateChanged(endpoint.id, old, new))
        core.emit(session, api.ToneFinished(endpoint.id))


def _file_finished(core: Core, session: Session, endpoint: Endpoint, reason: str, error: str | None) -> None:
    """Told once: a file that has finished is not in a state that leads there."""
    if endpoint.kind == "file" and endpoint.state != "finished":
        if endpoint.state != "buffering":
            core.downloads.leave(endpoint.id)
            old, new = endpoint.happened(EndpointFact.FILE_FINISHED)
            core.emit(session, api.StateChanged(endpoint.id, old, new))
        core.emit(session, api.FileFinished(endpoint.id, reason, error))  # type: ignore[arg-type]


# -- shutdown ------------------------------------------------------------------------------------------------


def begin_shutdown(core: Core) -> None:
    if core.draining:
        return
    core.draining = True
    core.log("info", "shutdown_began", sessions=len(core.sessions))
    wait_s = core.config.shutdown_max_wait_secs if core.sessions else 0
    core.effect(effects.ScheduleAt(core.now_us + wait_s * US_PER_S, SHUTDOWN))


def _close_all(core: Core) -> None:
    for session in list(core.sessions.values()):
        end(core, session, SessionFact.SHUT_DOWN)
    core.effect(effects.ScheduleAt(core.now_us + CLOSING_GRACE_US, SHUTDOWN_END))
