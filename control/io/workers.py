"""The ZeroMQ side of control: commands out by ROUTER, replies and events in by PULL, drained in bulk.

Both sockets are bound here, in the runtime directory; workers connect.  A worker is known by its identity
``worker-N/epoch``; numbers of one epoch run without a hole, so a hole means that this process missed
something (it was restarted) and a snapshot is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import zmq

from roomtone.control.core.effects import (
    CommandTimedOut,
    Input,
    SendToWorker,
    WorkerDied,
    WorkerEvent,
    WorkerHolds,
    WorkerReply,
    WorkerStarted,
)
from roomtone.control.io.clock import now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.log import Log
from roomtone.control.io.timers import Timers
from roomtone.engine import recording_counts
from roomtone.engine.messages import (
    Batch,
    CloseSession,
    Command,
    CommandBody,
    Failed,
    FileFinished,
    GetMetrics,
    Probe,
    Reply,
    ReplyBody,
    Snapshot,
    SnapshotEndpoint,
    TakeSnapshot,
    ToneFinished,
    WorkerUp,
)
from roomtone.engine.process_messages import COMMANDS_ENDPOINT, EVENTS_ENDPOINT, worker_identity

COMMAND_DEADLINE_US = 5_000_000  # websocket.md 1: SESSION_UNRESPONSIVE after 5 s
CONNECT_RETRY_US = 5_000  # a DEALER's handshake takes about a millisecond
PROBE_INTERVAL_US = 1_000_000  # websocket.md 7: a packet a second
PROBES_MISSED = 3
QUEUE_MESSAGES = 10_000  # ZeroMQ high-water mark: batches in, commands out a worker
DRAIN_MESSAGES = 256  # batches taken before other sockets get their turn
OWN_COMMANDS = 1 << 48  # numbers of this layer's own commands start here; core's count from 1


class WorkerState:
    """What control knows of one worker process."""

    __slots__ = (
        "dead",
        "early",
        "epoch",
        "failed_probes",
        "last_probe_us",
        "next_number",
        "pid",
        "recalling",
        "scheduling",
        "up",
    )

    def __init__(self) -> None:
        self.epoch = 0
        self.up = False  # commands reach it and core knows of it
        self.dead = False  # this epoch has ended: what still comes of it is stale
        self.next_number = 1
        self.pid = 0
        self.recalling = False  # it was here before this process; what it holds is being asked
        self.early: list[Any] = []  # events that came meanwhile
        self.scheduling = ""
        self.failed_probes = 0
        self.last_probe_us = 0

    def probe_missed(self, now: int) -> bool:
        """Three self-probes in a row failed or did not come."""
        return self.failed_probes >= PROBES_MISSED or now - self.last_probe_us > (
            (PROBES_MISSED + 1) * PROBE_INTERVAL_US
        )


class OpenCommand:
    __slots__ = ("done", "name", "sent_us", "worker")

    def __init__(self, worker: int, name: str, done: Callable[[ReplyBody | None], None] | None) -> None:
        self.worker = worker
        self.name = name
        self.sent_us = now_us()
        self.done = done  # None: core's command


class Workers:
    """All workers.  `submit` takes inputs for core; `known_session`: a session or room of core's."""

    def __init__(
        self,
        *,
        count: int,
        submit: Callable[[Input], None],
        known_session: Callable[[str], bool],
        timers: Timers,
        counters: Counters,
        log: Log,
    ) -> None:
        self.states = [WorkerState() for _ in range(count)]
        self._submit = submit
        self._known_session = known_session
        self._timers = timers
        self._counters = counters
        self._log = log
        self._open: dict[int, OpenCommand] = {}
        self._own_number = OWN_COMMANDS + now_us()  # a process before this one had other numbers
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Batch).decode
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runtime_dir = ""

    # -- life ----------------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop, runtime_dir: str) -> None:
        """Bind both sockets.  Raises OSError."""
        self._context = zmq.Context(io_threads=1)
        self._router: Any = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._pull: Any = self._context.socket(zmq.PULL)
        for socket in (self._router, self._pull):
            socket.setsockopt(zmq.LINGER, 0)
            socket.set_hwm(QUEUE_MESSAGES)
        try:
            self._router.bind(COMMANDS_ENDPOINT.format(runtime_dir=runtime_dir))
            self._pull.bind(EVENTS_ENDPOINT.format(runtime_dir=runtime_dir))
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise OSError(error.errno, f"runtime_dir {runtime_dir}: {error}") from None
        self._loop, self._runtime_dir = loop, runtime_dir
        self._pull_fd = int(self._pull.getsockopt(zmq.FD))
        loop.add_reader(self._pull_fd, self._drain)
        loop.call_soon(self._drain)  # the descriptor is edge-triggered: look once before the first edge

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._pull_fd)
            self._loop = None
            self._pull.close()
            self._router.close()
            self._context.term()

    def exited(self, worker: int, epoch: int) -> None:
        """The supervisor saw a worker die.  Its open commands fail with it; a later epoch is left alone."""
        state = self.states[worker]
        if epoch < state.epoch or (epoch == state.epoch and state.dead):
            return
        state.epoch = epoch
        self._down(worker)

    def faults(self) -> list[str]:
        """Why the workers are not ready to carry calls; empty: they are."""
        now = now_us()
        faults = []
        for index, state in enumerate(self.states):
            if not state.up:
                faults.append(f"worker {index} is down")
            elif state.recalling:
                faults.append(f"worker {index} is being asked what it holds")
            elif state.probe_missed(now):
                faults.append(f"worker {index} missed {PROBES_MISSED} self-probes")
        return faults

    # -- commands ------------------------------------------------------------------------------------------

    def send(self, effect: SendToWorker) -> None:
        """Send core's command.  What cannot be delivered stays open until death or deadline."""
        self._send(effect.worker, effect.n, effect.deadline_us, effect.body, None)

    def request(self, worker: int, body: CommandBody, done: Callable[[ReplyBody | None], None]) -> bool:
        """Send a command of this layer; `done` gets the reply, None at the deadline or the worker's death.

        False, and `done` is never called: the worker could not be reached.
        """
        self._own_number += 1
        n = self._own_number
        if self._send(worker, n, now_us() + COMMAND_DEADLINE_US, body, done):
            return True
        self._forget(n)
        return False

    def _send(
        self,
        worker: int,
        n: int,
        deadline_us: int,
        body: CommandBody,
        done: Callable[[ReplyBody | None], None] | None,
    ) -> bool:
        self._open[n] = OpenCommand(worker, _tag(body), done)
        self._timers.set(deadline_us, n, partial(self._timed_out, n))
        identity = worker_identity(worker, self.states[worker].epoch)
        message = self._encode(Command(n=n, deadline_us=deadline_us, body=body))
        try:
            self._router.send_multipart((identity, message), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            self._log.debug("command_undeliverable", worker=worker, command=_tag(body), error=str(error))
            return False
        return True

    def _timed_out(self, n: int) -> None:
        command = self._open.pop(n, None)
        if command is None:
            return
        self._counters.commands[command.name, "timed_out"] += 1
        if command.done is not None:
            command.done(None)
        else:
            self._log.warning("command_timed_out", worker=command.worker, command=command.name)
            self._submit(CommandTimedOut(n))

    def _forget(self, n: int) -> OpenCommand | None:
        self._timers.cancel(n)
        return self._open.pop(n, None)

    # -- replies and events --------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take what waits, in bulk; come back soon when that was not all."""
        if self._loop is None:
            return
        receive = self._pull.recv
        for _ in range(DRAIN_MESSAGES):
            try:
                data = receive(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                batch = self._decode(data)
            except msgspec.DecodeError as error:
                self._counters.bad_batches += 1
                self._log.error("batch_unreadable", error=str(error))
                continue
            self._batch(batch)
        self._loop.call_soon(self._drain)

    def _batch(self, batch: Batch) -> None:
        worker = batch.worker
        if worker >= len(self.states) or not batch.items:
            return
        state = self.states[worker]
        if batch.epoch < state.epoch or (batch.epoch == state.epoch and state.dead):
            return  # from a process that is dead: its commands and sessions have been reported lost
        items = batch.items
        if batch.epoch > state.epoch:
            self._first_contact(worker, batch)
        elif batch.first > state.next_number:
            self._gap(worker, batch.first - state.next_number)
        elif batch.first < state.next_number:
            items = items[state.next_number - batch.first :]
        state.next_number = batch.first + len(batch.items)
        for item in items:
            if type(item) is Reply:
                self._reply(worker, item)
            else:
                self._event(worker, state, item)

    def _event(self, worker: int, state: WorkerState, event: Any) -> None:
        self._counters.worker_events[_tag(event)] += 1
        kind = type(event)
        if kind is Probe:
            state.last_probe_us = now_us()
            state.failed_probes = 0 if event.ok else state.failed_probes + 1
        elif kind is WorkerUp:
            state.pid = event.pid
            state.scheduling = event.scheduling
            self._log.debug(
                "worker_up", worker=worker, epoch=state.epoch, pid=event.pid, scheduling=event.scheduling
            )
        elif state.recalling:
            state.early.append(event)
        else:
            self._submit(WorkerEvent(worker, event))

    def _reply(self, worker: int, reply: Reply) -> None:
        command = self._forget(reply.n)
        if command is not None:
            outcome = "failed" if type(reply.body) is Failed else "ok"
            self._counters.commands[command.name, outcome] += 1
            self._counters.command_duration[command.name].observe(now_us() - command.sent_us)
            if command.done is not None:
                command.done(reply.body)
                return
        if reply.n < OWN_COMMANDS:
            self._submit(WorkerReply(worker, reply.n, reply.body))  # also a late one: core undoes it

    # -- epochs and gaps -----------------------------------------------------------------------------------

    def _first_contact(self, worker: int, batch: Batch) -> None:
        state = self.states[worker]
        if state.up:
            self._down(worker)
        state.epoch = batch.epoch
        state.dead = False
        state.recalling = False
        state.early = []
        state.failed_probes = 0
        state.last_probe_us = now_us()
        self._connect(worker, batch.epoch, type(batch.items[0]) is WorkerUp)

    def _connect(self, worker: int, epoch: int, fresh: bool) -> None:
        """Make sure that commands reach the worker, then tell core.

        A worker that was running before this process is asked what it holds.
        """
        state = self.states[worker]
        if state.epoch != epoch or state.dead or self._loop is None:
            return
        self._router.getsockopt(zmq.EVENTS)  # lets the socket take note of peers that have connected
        if fresh:
            reached = self.request(worker, GetMetrics(), lambda body: None)
        else:
            state.recalling = True
            reached = self._take_snapshot(worker, recall=True)
        if not reached:
            retry = partial(self._connect, worker, epoch, fresh)
            self._timers.set(now_us() + CONNECT_RETRY_US, ("connect", worker), retry)
            return
        state.up = True
        self._submit(WorkerStarted(worker, epoch, running=not fresh))

    def _down(self, worker: int) -> None:
        state = self.states[worker]
        was_up, state.up = state.up, False
        state.dead = True
        self._timers.cancel(("connect", worker))
        for n in [n for n, command in self._open.items() if command.worker == worker]:
            command = self._forget(n)
            assert command is not None
            self._counters.commands[command.name, "worker_lost"] += 1
            if command.done is not None:
                command.done(None)
        if was_up:
            self._log.debug("worker_down", worker=worker, epoch=state.epoch, pid=state.pid)
        left = recording_counts.take(self._runtime_dir, worker, state.epoch)
        self._submit(WorkerDied(worker, state.epoch, left))

    def _gap(self, worker: int, missing: int) -> None:
        self._counters.event_gaps += 1
        self._log.error("event_gap", worker=worker, missing=missing)
        self._take_snapshot(worker)

    def _take_snapshot(self, worker: int, recall: bool = False) -> bool:
        """Ask what the worker holds.  recall: core takes over what it does not know.

        Commands sent before and still open when the answer comes have lost their reply: the stream keeps its
        order.
        """
        before = [n for n, command in self._open.items() if command.worker == worker and command.done is None]
        return self.request(worker, TakeSnapshot(), partial(self._snapshot, worker, before, recall))

    def _snapshot(self, worker: int, before: list[int], recall: bool, body: ReplyBody | None) -> None:
        state = self.states[worker]
        if type(body) is not Snapshot:
            if recall and not state.dead:
                self._take_snapshot(worker, recall)
            return
        state.recalling = False
        for n in before:
            if n in self._open:
                self._timers.cancel(n)
                self._timed_out(n)
        if recall:
            self._hand_over(worker, body)
        # Of what was recalled, `core` knows which session has still to be heard of.
        held = () if recall else body.recordings
        unknown = {each.session for each in held if not self._known_session(each.session)}
        for endpoint in body.endpoints:
            if not self._known_session(endpoint.session):
                unknown.add(endpoint.session)
            elif endpoint.finished:
                self._submit(WorkerEvent(worker, _end_of(endpoint)))
        for session in unknown:
            self._log.warning("session_without_owner", worker=worker, session_id=session)
            self.request(worker, CloseSession(session), lambda body: None)

    def _hand_over(self, worker: int, held: Snapshot) -> None:
        """What the worker holds, as it was before it told what came early; then that."""
        early, self.states[worker].early = self.states[worker].early, []
        news = {event.endpoint for event in early if isinstance(event, ToneFinished | FileFinished)}
        for endpoint in held.endpoints:
            endpoint.finished = endpoint.finished and endpoint.endpoint not in news
        self._submit(WorkerHolds(worker, held.endpoints, held.recordings))
        for event in early:
            self._submit(WorkerEvent(worker, event))


def _end_of(endpoint: SnapshotEndpoint) -> ToneFinished | FileFinished:
    """The event that a finished endpoint was, or should have been, told by."""
    if endpoint.kind == "file":
        return FileFinished(session=endpoint.session, endpoint=endpoint.endpoint, reason="completed")
    return ToneFinished(session=endpoint.session, endpoint=endpoint.endpoint)


def _tag(message: object) -> str:
    """The tag of a message: its name in metrics and logs."""
    return str(type(message).__struct_config__.tag)  # type: ignore[attr-defined]
