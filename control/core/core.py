"""The one entry: an input and the time in, effects out.

Theory of operation
-------------------
`Core.handle` looks at one input, changes state and returns what is to be done, in order.
Requests are carried out by *procedures* (run.py) that ask workers and go on when the answers are there; a
session has one procedure at a time, so commands of one session never overtake each other.  A connection has
one request at a time: `Ready` says that the next frame may come.

Order of checks for a request: the frame, the method, SHUTTING_DOWN and SESSION_ALREADY_BOUND, the session,
the parameters, and then what the method itself checks.

The parts: connections and requests are here, what they have open in procedures.py, what becomes of sessions
in life.py, methods in requests.py, endpoint_requests.py and file_requests.py, what HTTP shows in views.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from roomtone.control.core import (
    api,
    audio,
    effects,
    frame,
    life,
    naming,
    polling,
    recall,
    recordings,
    restoring,
    views,
    webhooks,
)
from roomtone.control.core.audio_book import AUDIO_DIAL, AudioBook
from roomtone.control.core.calls import janitor, remembering
from roomtone.control.core.calls.endings import Ending
from roomtone.control.core.calls.leg import CallRow
from roomtone.control.core.committing import Commits, Published
from roomtone.control.core.config import Config
from roomtone.control.core.downloads import Downloads
from roomtone.control.core.event_queue import EventQueue
from roomtone.control.core.problems import SESSION_GONE, UNKNOWN_METHOD, Problem
from roomtone.control.core.procedures import Procedures
from roomtone.control.core.requests import METHODS, Binding, Method, check_binding
from roomtone.control.core.rest import front, remembered
from roomtone.control.core.rest.apps import App
from roomtone.control.core.rest.asked import Asked
from roomtone.control.core.rest.remembered import Remembered
from roomtone.control.core.rooms import play, play_life
from roomtone.control.core.rooms.model import Room
from roomtone.control.core.rooms.play_machine import Input
from roomtone.control.core.rooms.play_model import Play
from roomtone.control.core.run import Call, Run, defer, next_deferred
from roomtone.control.core.session import Bus, Connection, Endpoint, Session, SessionFact
from roomtone.engine.messages import SnapshotRecording
from roomtone.engine.recording_counts import Left

DEFAULT_APP = "default"  # whose sessions they are when no tokens are configured


class Core(Procedures):
    """The control process's decisions.

    ids: random UUID strings.  epoch_offset_us: wall clock minus the clock of `now_us`, constant.
    workers: how many there are; what they hold from the time before this process is not known yet.
    """

    def __init__(
        self,
        config: Config,
        ids: Iterator[str],
        epoch_offset_us: int,
        hostname: str = "",
        version: str = "",
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.ids = ids
        self.epoch_offset_us = epoch_offset_us
        self.hostname = config.node_id or hostname
        self.version = version
        self.connections: dict[int, Connection] = {}
        self.sessions: dict[str, Session] = {}
        self.departed: dict[str, recordings.Departed] = {}  # by recording id
        self.strays: list[tuple[int, SnapshotRecording]] = []  # recordings of no known session yet
        self.unheard = set(range(workers))  # they may hold sessions of the time before this process
        self.draining = False
        self.scanning = False  # the janitor's timer runs
        self.counters = views.Counters()
        self.wheel = polling.Wheel()
        self.audio = AudioBook()
        self.node = naming.node_hash(self.hostname)
        self.rooms: dict[str, Room] = {}
        self.room_names: dict[tuple[str, str], str] = {}  # room ids by app and name
        self.returning: dict[str, Room] = {}  # by sessions that no worker has reported yet
        self.webhooks: dict[str, webhooks.Webhook] = {}  # by their keys
        self.apps: dict[str, App] = {}
        self.calls: dict[str, CallRow] = {}  # of sessions that no worker has told of since the restart
        self.remembered = Remembered()
        self.commits = Commits()
        self.downloads = Downloads(config, self.next_id, self.effect)
        self._drained = False
        self._farewell: tuple[int, bytes] | None = None

    # -- the entry -------------------------------------------------------------------------------------------

    def handle(self, given: effects.Input, now_us: int) -> list[effects.Effect]:
        """Take one input.  now_us: CLOCK_MONOTONIC microseconds; never goes back."""
        self.now_us = now_us
        # Numbers of a process that died before this one may still be answered: never the same ones.
        self._number = self._number or now_us
        self._farewell = None
        match given:
            case effects.ConnectionMessage():
                self._message(given)
            case effects.WorkerReply() | effects.FileLooked() | effects.StoreSaid():
                self.replied(given)
            case effects.WorkerEvent():
                life.worker_event(self, given.worker, given.event)
            case effects.TimerFired():
                self._timer(given.key)
            case effects.DownloadBegun():
                self.downloads.begun(given, now_us)
            case effects.Downloaded() | effects.DownloadFailed():
                self.downloads.ended(given, now_us)
            case effects.ConnectionOpened():
                self._opened(given)
            case effects.ConnectionClosed():
                self._closed(given)
            case effects.CommandTimedOut():
                self.timed_out(given.n)
            case effects.WorkerStarted():
                self._worker_started(given)
            case effects.WorkerHolds():
                audio.sockets_lost(self, recall.adopt(self, given.worker, given.endpoints))
                play.heard(self, given.worker, given.endpoints)
                recordings.adopt(self, given.worker, given.recordings)
                remembering.go_on(self)
                self._heard(given.worker)
            case effects.WorkerDied():
                self._worker_died(given.worker, given.left)
            case effects.ShutdownBegan():
                life.begin_shutdown(self)
            case effects.RestRequest():
                front.handle(self, given)
            case effects.Committed():
                self.commits.done(given.n)
            case effects.Restored():
                restoring.restore(self, given)
            case effects.StoreTrouble():
                self.commits.trouble = given.reason
            case effects.WebhookDisabled():
                webhooks.disabled(self, given)
            case effects.AudioDialled() | effects.AudioBound() | effects.AudioEnded():
                audio.happened(self, given)
        if self.draining:
            self._look_drained()
        if (written := self.commits.take()) is not None:
            self._out.append(effects.Persist(*written))
        out, self._out = self._out, []
        return out

    def next_message(self, connection: int) -> bytes | None:
        """Take the next text for that connection; None: nothing waits.  io asks while its buffer has room."""
        bound = self.connections.get(connection)
        if bound is None:
            farewell, self._farewell = self._farewell, None
            return farewell[1] if farewell is not None and farewell[0] == connection else None
        item = bound.queue.pop()
        if isinstance(item, int):
            self.counters.event(api.EventsDropped.NAME)
            return frame.encode_event(api.EventsDropped(count=item))
        return item

    # -- views for HTTP --------------------------------------------------------------------------------------

    def session_list(self, app_id: str | None = None) -> Iterator[bytes]:
        """An app's (None: all apps') sessions as JSON, oldest first: for `views.array`."""
        return views.summaries(self, app_id)

    def session(self, session_id: str, app_id: str | None = None) -> api.SessionInfo | None:
        """Details of one of the app's (None: anybody's) sessions, as session.info; None: unknown."""
        session = self.own_session(session_id, app_id)
        return None if session is None else views.info(self, session)

    def counts(self) -> views.Counts:
        """Figures for metrics."""
        return views.counts(self)

    # -- what the parts use ----------------------------------------------------------------------------------

    def knows(self, owner: str) -> bool:
        """Whether endpoints that a worker holds under that id, a session's or a room's, are anybody's."""
        return owner in self.sessions or owner in self.rooms

    def own_session(self, session_id: str, app_id: str | None) -> Session | None:
        session = self.sessions.get(session_id.lower())
        return session if session is not None and app_id in (None, session.app_id) else None

    def other_end(self, bridge: Endpoint) -> Endpoint | None:
        """The other endpoint of a bridge; None: it is gone, or this is none."""
        session = self.sessions.get(bridge.far.session) if bridge.far is not None else None
        return None if session is None or bridge.far is None else session.endpoints.get(bridge.far.endpoint)

    def end(self, session: Session, fact: SessionFact, how: Ending | None = None) -> None:
        """End a session, from a part that life.py is built upon."""
        life.end(self, session, fact, how)

    def play_happened(self, room: Room, play: Play, given: Input, **keys: Any) -> None:
        """What the worker's side of a play came to, for its machine, which is built upon that."""
        play_life.reported(self, room, play, given, **keys)

    def next_id(self) -> str:
        return next(self.ids)

    def epoch_ms(self) -> int:
        return (self.now_us + self.epoch_offset_us) // 1000

    def emit(self, session: Session, event: api.EventData) -> None:
        """Raise an event that no reply of this moment stands before."""
        self._put_event(session.queue, event)
        self.wake(session.connection)

    def emit_to(self, connection: Connection, event: api.EventData) -> None:
        self._put_event(connection.queue, event)
        self.wake(connection.id)

    def farewell(self, connection: int, event: api.EventData) -> None:
        """For a connection that has just closed: io may still get it out while it does these effects."""
        self._farewell = (connection, frame.encode_event(event))
        self._out.append(effects.Wake(connection))

    def _put_event(self, queue: EventQueue, event: api.EventData) -> None:
        if queue.event(frame.encode_event(event), event.CRITICAL):
            self.counters.event(event.NAME)
        else:
            self.counters.events_dropped += 1

    def wake(self, connection: int | None) -> None:
        if connection is not None and connection in self.connections:
            self._out.append(effects.Wake(connection))

    # -- what is written down --------------------------------------------------------------------------------

    def keep(self, kind: str, id: str, body: Struct | None) -> None:
        """Write a record of the store, whole; None: it goes.  Its id names what it is about."""
        text = None if body is None else msgspec.msgpack.encode(body)
        self.commits.concerns(*id.split("/"))
        self.commits.rows[kind, id] = effects.Row(kind, id, text)

    def publish(
        self,
        event: api.EventData,
        app_id: str,
        *,
        room: Room | None = None,
        session: Session | None = None,
        session_uuid: str | None = None,
        asked: Asked | None = None,
        request_id: str | None = None,
        webhook: str | None = None,
        copied: bool = True,
    ) -> None:
        """An event for webhooks, and (copied) for the WebSocket of its session once it is on disk.

        session_uuid: of a session that is no more.  request_id: in the place of `asked`, of a request that is
        over.  webhook: the key of the only endpoint that gets it.
        """
        remembered.happened(self, event)
        self.commits.concerns(*(bus.id for bus in (room, session) if bus is not None))
        self.commits.events.append(
            Published(
                event.NAME,
                app_id,
                event,
                self.now_us + self.epoch_offset_us,
                room.id if room is not None else None,
                naming.session_uuid(self.node, session.id) if session is not None else session_uuid,
                asked.request_id if asked is not None else request_id,
                webhook,
            )
        )
        if copied and session is not None and session.connection is not None:
            self.after_commit(lambda: self.emit(session, event))

    def after_commit(self, then: Callable[[], None], about: Bus | None = None) -> None:
        """Do what must not be seen before everything up to here (about: of that bus) is on disk."""
        self.commits.after(then, None if about is None else about.id)

    def schedule(self, bus: Bus, name: str, when_us: int) -> None:
        bus.timers.add(name)
        self._out.append(effects.ScheduleAt(when_us, (name, bus.id)))

    def cancel(self, bus: Bus, name: str) -> None:
        if name in bus.timers:
            bus.timers.discard(name)
            self._out.append(effects.CancelTimer((name, bus.id)))

    # -- connections and requests ----------------------------------------------------------------------------

    def _opened(self, given: effects.ConnectionOpened) -> None:
        queue = EventQueue(self.config.critical_event_channel_size, self.config.event_channel_size)
        app_id = given.app_id or DEFAULT_APP
        self.connections[given.connection] = Connection(id=given.connection, app_id=app_id, queue=queue)

    def _closed(self, given: effects.ConnectionClosed) -> None:
        connection = self.connections.pop(given.connection, None)
        if connection is not None and connection.session is not None:
            life.control_lost(self, connection, connection.session, given.unsent)

    def _message(self, given: effects.ConnectionMessage) -> None:
        connection = self.connections.get(given.connection)
        if connection is None:
            return
        assert not connection.busy, "a frame before Ready"
        try:
            request = frame.decode_request(given.data)
        except frame.Refused as refused:
            self.counters.command("", refused.problem.code, 0)
            connection.queue.reply(frame.encode_error(refused.request_id, refused.problem), [])
            self.wake(connection.id)
            self._out.append(effects.Ready(connection.id))
            return
        call = Call(
            connection=connection.id,
            app_id=connection.app_id,
            request_id=request.id,
            method=request.method,
            bound=connection.session,
            asked_us=self.now_us,
        )
        connection.busy = True
        try:
            method = METHODS.get(request.method)
            if method is None:
                raise Problem(UNKNOWN_METHOD, f"Unknown method: {request.method[:80]}")
            check_binding(self, connection, method)
            params = frame.decode_params(method.decoder, request.params)
        except Problem as problem:
            self._answer(call, None, problem)
            return
        if connection.session is not None:
            connection.session.last_command_us = self.now_us
        self._begin(call, method, params)

    def _begin(self, call: Call, method: Method, params: Struct) -> None:
        session = call.bound
        if session is not None and session.ended and not method.frees:
            self._answer(call, None, Problem(SESSION_GONE, "The session of this connection has ended"))
            return
        if (
            session is not None
            and session.run is not None
            and method.binding is Binding.NEEDS
            and not method.frees
        ):
            defer(session, partial(self._begin, call, method, params))
            return
        try:
            result = method.handler(self, call, params)
        except Problem as problem:
            self._answer(call, None, problem)
            return
        except Exception:
            self._answer(call, None, self.internal_error(call.method))
            return
        if not isinstance(result, Struct):
            run = Run(result, partial(self._answer, call), call)
            if session is not None and method.binding is Binding.NEEDS:
                session.run = run
            self.step(run, [])
        else:
            self._answer(call, result, None)

    def _answer(self, call: Call, result: Struct | None, problem: Problem | None) -> None:
        """Queue the reply and, behind it, the events it caused; let the next request come."""
        outcome = "ok" if problem is None else problem.code
        self.counters.command(call.method, outcome, self.now_us - call.asked_us)
        session = call.bound
        connection = self.connections.get(call.connection)
        if connection is None:  # it closed meanwhile: the reply is nobody's, the events are the session's
            if session is not None and not session.ended:
                for event in call.followers:
                    self.emit(session, event)
        else:
            if problem is None:
                assert result is not None
                text = frame.encode_result(call.request_id, result)
            else:
                text = frame.encode_error(call.request_id, problem)
            connection.queue.reply(text, [frame.encode_event(event) for event in call.followers])
            for event in call.followers:
                self.counters.event(event.NAME)
            if call.then is not None:
                call.then()
            connection.busy = False
            self.wake(connection.id)
            self._out.append(effects.Ready(connection.id))
        if session is not None and session.run is not None and session.run.call is call:
            session.run = None
            next_deferred(session)

    # -- workers ---------------------------------------------------------------------------------------------

    def _worker_started(self, given: effects.WorkerStarted) -> None:
        if not given.running:
            self._heard(given.worker)
        known = self.workers.epoch(given.worker)
        if known == given.epoch:
            return
        if known is not None:
            self._worker_died(given.worker, {})
        self.workers.started(given.worker, given.epoch)
        if not given.running:
            play.began_anew(self, given.worker)
        self.log("info", "worker_started", worker=given.worker, epoch=given.epoch)

    def _heard(self, worker: int) -> None:
        """All is known of what it held before this process began; of the last one: what nobody holds goes."""
        if worker in self.unheard:
            self.unheard.discard(worker)
            if not self.unheard:
                restoring.sweep(self)

    def _worker_died(self, worker: int, left: dict[str, Left]) -> None:
        """Its open commands fail, then its sessions are lost."""
        self._heard(worker)
        if worker not in self.workers:
            return
        self.workers.died(worker)
        self.log("warning", "worker_died", worker=worker)
        self.lose(worker)
        life.worker_lost(self, worker, left)

    # -- the end ---------------------------------------------------------------------------------------------

    def _timer(self, key: tuple[str, ...]) -> None:
        if key == janitor.TIMER:
            janitor.scan(self)
        else:
            (audio if key[0] == AUDIO_DIAL else life).timer(self, key)

    def _look_drained(self) -> None:
        if not self._drained and not self.sessions and not self.untold():
            self._drained = True
            for connection in self.connections:
                self._out.append(
                    effects.CloseConnection(connection, effects.GOING_AWAY, "The server is shutting down")
                )
            self._out.append(effects.Drained())
