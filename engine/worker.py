"""The Python thread of a worker: commands in, replies and events out, and nothing over 2 ms in one piece.

It sleeps in one poll over the command socket, the fact eventfd and the supervisor's socket; `turn` then
looks at everything once, a bounded amount each.  It never touches a packet.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import zmq

from roomtone.engine import messages as m
from roomtone.engine import process_messages as pm
from roomtone.engine.commands import COMMANDS
from roomtone.engine.errors import CommandError
from roomtone.engine.events import Facts, Outbox, clear_eventfd
from roomtone.engine.files import Files
from roomtone.engine.keys import Keys
from roomtone.engine.linking import PARTIAL_REST_US, forget_worker
from roomtone.engine.load import SAMPLE_US
from roomtone.engine.neural import NeuralVad
from roomtone.engine.overload import Overload
from roomtone.engine.plan import Endpoint, Plan, RtpEndpoint, Session
from roomtone.engine.ports import Ports
from roomtone.engine.probe import SelfProbe
from roomtone.engine.quality import Quality
from roomtone.engine.recorder import Recorder
from roomtone.engine.replies import After, Later
from roomtone.engine.retirement import Retirement
from roomtone.engine.side_threads import SideThreads
from roomtone.engine.tapes import Tapes
from roomtone.engine.timers import Timers, monotonic_us
from roomtone.engine.watching import Watching

if TYPE_CHECKING:
    from roomtone.engine.log import Log
    from roomtone.engine.neural import Network
    from roomtone.engine.supervisor_link import SupervisorLink
    from roomtone.engine.thread_clock import Clock
    from roomtone.ext.flow.media import Arena, Media

COMMANDS_US = 1000  # time for commands in one turn
CHORES_US = 500  # time for sliced work in one turn
TIMERS_A_TURN = 64
SILENCE_PERIOD_US = 400_000  # websocket.md section 4: reported within 1 s
SUPERVISOR_GRACE_US = 10_000_000  # a worker without a supervisor ends (design.md section 1)
RETIRE_POLL_MS = 1  # how long the media thread may take until an edit is looked for again
IDLE_MS = 1000
SIDE_STOP_SECS = 0.5  # a side thread that hangs on a disk does not hold the end up
LOAD_REPORT_US = 1_000_000  # how often control is told the load while the level stays
_US_A_MS = 1000
COMMANDS_READY, FACTS_READY, SUPERVISOR_READY = 1, 2, 4
EVERYTHING = COMMANDS_READY | FACTS_READY | SUPERVISOR_READY


class Receiver(Protocol):
    """The DEALER socket: one encoded command a message, zmq.Again when there is none."""

    def recv(self, flags: int) -> bytes: ...


class Worker:
    """State of the Python thread.  `turn` is one pass; `run` turns until the end."""

    def __init__(
        self,
        config: pm.WorkerConfig,
        media: Media,
        *,
        fact_fd: int,
        commands: Receiver,
        send: Callable[[bytes], bool],
        link: SupervisorLink,
        log: Log,
        clock: Callable[[], int] = monotonic_us,
        map_arena: Callable[[int], Arena] | None = None,
        media_clock: Clock | None = None,
        side_cpus: Iterable[int] | None = None,
        network: Callable[[], Network] | None = None,
    ) -> None:
        self.config = config
        self.media = media
        self.now_us = clock
        self.log = log
        self.plan = Plan(media)
        self.timers = Timers()
        self.ports = Ports(
            index=config.index,
            workers=config.workers,
            epoch=config.epoch,
            port_min=config.rtp_port_min,
            port_max=config.rtp_port_max,
        )
        self.outbox = Outbox(send, config.index, config.epoch)
        self.retirement = Retirement(media, link, self.ports, self.timers)
        self.keys = Keys(media, self.timers)
        self.arenas: dict[tuple[int, int], Arena] = {}  # other workers', by (worker, epoch)
        self.spread: dict[str, Session] = {}  # sessions that add other workers' partial sums
        self.overload = Overload(config.overload_shed_at, config.overload_refuse_at, log)
        self._neural = NeuralVad(media, config.neural_vad_streams, fact_fd, network, side_cpus)
        self.quality = Quality()
        self.watching = Watching(
            media, self.timers, self.retirement, self.outbox, self.overload, self._neural
        )
        self.ended = False
        self._fact_fd = fact_fd
        self._commands = commands
        self._link = link
        self._map_arena = map_arena
        self._media_clock = media_clock
        self._load_told_us = 0
        self._probe = SelfProbe(media, self.outbox, self.timers)
        self.side = SideThreads(lambda: os.eventfd_write(fact_fd, 1), side_cpus)
        self.tapes = Tapes(
            media,
            self.retirement,
            self.timers,
            self.side,
            clock,
            cached=config.cached_tracks,
            chunks=config.file_chunks,
        )
        self.files = Files(self, self.tapes)
        self.recorder = Recorder(self, fact_fd)
        self.plan.joined, self.plan.leaving = self.recorder.joined, self.recorder.leaving
        self._facts = Facts(media, self.plan, self.keys, self.files, self.watching, self._probe, self.outbox)
        self._decode = msgspec.msgpack.Decoder(m.Command).decode
        # sliced work: (command number or 0, the generator)
        self._chores: deque[tuple[int, Generator[None, None, Any] | Iterator[None]]] = deque()
        self._left = 0  # of what was ready, what was not looked at to the end
        self._more = False  # work is left that no descriptor announces
        self._supervisor_lost = False
        self._watching = False  # a look for silence is due
        self._taken = self._failed = self._expired = self._undecodable = 0

    # -- life ------------------------------------------------------------------------------------------------

    def start(self, pid: int, scheduling: str) -> None:
        """Say hello and begin the periodic work.  The media thread runs already."""
        now_us = self.now_us()
        self.outbox.put(m.WorkerUp(pid=pid, scheduling=scheduling, endpoints=self.config.endpoints))
        self._probe.start(now_us)
        if self._media_clock is not None:
            self._measure(self._media_clock, now_us)

    def watch_silence(self) -> None:
        """There is an endpoint: look for silence as long as there is one.  Idle costs nothing."""
        if self.config.media_timeout_ms and not self._watching:
            self._watching = True
            self.timers.at(self.now_us() + SILENCE_PERIOD_US, self._look_for_silence)

    def run(self, dealer: Any, push: Any) -> None:
        """Turn until `Stop`, or until the supervisor has been gone for 10 s.

        ZeroMQ's own descriptors are waited for: they say that something may be there, until it is looked.
        """
        commands, room = (int(end.getsockopt(zmq.FD)) for end in (dealer, push))
        supervisor = self._link.fileno()
        kinds = {commands: COMMANDS_READY, room: 0, self._fact_fd: FACTS_READY, supervisor: SUPERVISOR_READY}
        poller = select.poll()
        for fd in (commands, self._fact_fd, supervisor):
            poller.register(fd, select.POLLIN)
        taking, linked, writing = True, True, False
        ready = EVERYTHING
        while True:
            self.turn(ready)
            if self.ended:
                return
            if taking == self.outbox.blocked:  # a blocked outbox stops the taking of commands
                taking = not taking
                poller.unregister(room if taking else commands)
                poller.register(commands if taking else room, select.POLLIN)
            if linked and (self._link.closed or writing != self._link.waiting):
                linked, writing = not self._link.closed, self._link.waiting
                if linked:
                    poller.modify(supervisor, select.POLLIN | (select.POLLOUT if writing else 0))
                else:
                    poller.unregister(supervisor)
            ready = 0
            for fd, _ in poller.poll(self.sleep_ms()):
                ready |= kinds[fd]

    def close(self) -> None:
        """After the media thread has ended."""
        self.recorder.close()
        self.tapes.give_up_all()
        self.side.close(SIDE_STOP_SECS)
        self._neural.end()
        self.tapes.close()
        self.outbox.flush()
        self._probe.close()
        self._link.close()

    def turn(self, ready: int = EVERYTHING) -> None:
        """Look at everything that may have come once, a bounded amount each; never waits."""
        now_us = self.now_us()
        ready |= self._left
        self._left = 0
        if ready & FACTS_READY:
            self._take_facts(now_us)
        if ready & SUPERVISOR_READY:
            self._take_supervisor(now_us)
        self._more = self.tapes.turn()
        if ready & COMMANDS_READY:
            self._take_commands()
        self._run_chores()
        self.recorder.turn()
        self.retirement.run(self.now_us())
        self._more |= self.timers.run(self.now_us(), TIMERS_A_TURN)
        self.outbox.flush()
        if self._link.waiting:
            self._link.flush()

    def sleep_ms(self) -> int:
        """How long nothing needs doing unless a descriptor says so."""
        if self._more or ((self._left or self._chores) and not self.outbox.blocked):
            return 0
        if self.retirement.pending:
            return RETIRE_POLL_MS
        due_us = self.timers.next_us()
        if due_us is None:
            return IDLE_MS
        return max(0, min(IDLE_MS, -((self.now_us() - due_us) // _US_A_MS)))

    # -- facts -----------------------------------------------------------------------------------------------

    def _take_facts(self, now_us: int) -> None:
        clear_eventfd(self._fact_fd)
        more, resync = self._facts.take(now_us)
        if more:
            self._left |= FACTS_READY
        if resync is not None:
            self._chores.append((0, resync))
        self.watching.look_streams(now_us)

    # -- commands --------------------------------------------------------------------------------------------

    def _take_commands(self) -> None:
        until_us = self.now_us() + COMMANDS_US
        while not self.outbox.blocked and self.now_us() < until_us:
            try:
                data = self._commands.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                command = self._decode(data)
            except msgspec.DecodeError as error:
                self._undecodable += 1
                self.log.error("command_undecodable", error=str(error))
                continue
            self._begin(command)
        self._left |= COMMANDS_READY

    def _begin(self, command: m.Command) -> None:
        self._taken += 1
        if self.now_us() > command.deadline_us:
            self._expired += 1
            self.reply(command.n, m.Failed(code="SESSION_UNRESPONSIVE", message="the deadline had passed"))
            return
        body = command.body
        try:
            result = COMMANDS[type(body)](self, body)
        except Exception as error:
            self._fail(command.n, error)
            return
        if isinstance(result, Generator):
            if not self._slice(command.n, result):
                self._chores.append((command.n, result))
        else:
            self._finish(command.n, result)

    def _slice(self, n: int, chore: Generator[None, None, Any] | Iterator[None]) -> bool:
        """Run one piece of sliced work.  True: it is done, and answered when it was a command's."""
        try:
            next(chore)
            return False
        except StopIteration as end:
            if n:
                self._finish(n, end.value)
        except Exception as error:
            self._fail(n, error)
        return True

    def _run_chores(self) -> None:
        until_us = self.now_us() + CHORES_US
        chores = self._chores
        while chores and not self.outbox.blocked:
            n, chore = chores[0]
            if self._slice(n, chore):
                chores.popleft()
            else:
                chores.rotate(-1)
            if self.now_us() >= until_us:
                return

    def _finish(self, n: int, result: Any) -> None:
        if type(result) is After:
            self.retirement.after(result.number, self._reply_after, (n, result.body))
        elif type(result) is Later:
            result.bind(partial(self._finish, n), partial(self._fail, n))
        else:
            self.reply(n, result)

    def _reply_after(self, argument: tuple[int, m.ReplyBody]) -> None:
        self.reply(*argument)

    def _fail(self, n: int, error: Exception) -> None:
        self._failed += 1
        if isinstance(error, CommandError):
            failed = m.Failed(code=error.code, message=error.message, detail=error.detail)
        else:
            self.log.error("command_crashed", error=repr(error))
            failed = m.Failed(code="INTERNAL_ERROR", message=f"{type(error).__name__} in the media process")
        if n:
            self.reply(n, failed)

    def reply(self, n: int, body: m.ReplyBody) -> None:
        item = m.Reply(n=n, body=body)
        if type(body) is m.Metrics:
            self.outbox.put_droppable(item)
        else:
            self.outbox.put(item)

    # -- the supervisor --------------------------------------------------------------------------------------

    def _take_supervisor(self, now_us: int) -> None:
        for message, fds in self._link.receive():
            kind = type(message)
            if kind is pm.Released:
                self.retirement.released(message.keys, now_us)
            elif kind is pm.ArenaMap and self._map_arena is not None and fds:
                self.arenas[message.worker, message.epoch] = self._map_arena(fds[0])
            elif kind is pm.ArenaGone:
                self._arena_gone((message.worker, message.epoch))
            elif kind is pm.Stop:
                self.ended = True
            for fd in fds:
                os.close(fd)  # a mapping outlives its descriptor
        if self._link.closed and not self._supervisor_lost:
            self._supervisor_lost = True
            self.log.error("supervisor_lost")
            self.retirement.supervisor_lost(now_us)
            self.timers.at(now_us + SUPERVISOR_GRACE_US, self._end)

    def _end(self, _: None, now_us: int) -> None:
        self.ended = True

    def _arena_gone(self, dead: tuple[int, int]) -> None:
        """Stop adding a dead worker's partial sums, then unmap its arena."""
        if dead not in self.arenas:
            return
        last = forget_worker(self, dead)
        arena = self.arenas.pop(dead)
        self.retirement.after(last, _close_arena, arena)

    # -- periodic --------------------------------------------------------------------------------------------

    def _look_for_silence(self, _: None, now_us: int) -> None:
        self._facts.silent(self.config.media_timeout_ms * _US_A_MS)
        self._watching = False
        if self.plan.endpoints:
            self.watch_silence()

    def _measure(self, clock: Clock, now_us: int) -> None:
        """Look at the media thread's load, and tell it.  Reports may be lost: the next one says the same."""
        media = self.media.metrics()
        phases = sum(count for _, count in media["tick_late_us"])
        changed = self.overload.sample(now_us, *clock(), phases, media["counters"]["ticks_late"])
        pause = self.watching.level_changed(now_us) if changed else None
        if pause is not None:
            self._chores.append((0, pause))
        if changed or now_us - self._load_told_us >= LOAD_REPORT_US:
            self._load_told_us = now_us
            load = self.overload.load
            self.outbox.put_droppable(
                m.WorkerLoad(
                    busy=load.busy, waiting=load.waiting, late=load.late, level=int(self.overload.level)
                )
            )
        pause_us = SAMPLE_US if self.plan.endpoints else LOAD_REPORT_US  # doing nothing costs next to nothing
        self.timers.at(now_us + pause_us, self._measure, clock)

    def rest_partial(self, slot: int) -> None:
        """A partial slot nobody publishes to any more; others may still read it for a moment."""
        self.timers.at(self.now_us() + PARTIAL_REST_US, self._free_partial, slot)

    def _free_partial(self, slot: int, now_us: int) -> None:
        self.media.partial_free(slot)

    # -- counting --------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        return {
            "commands": self._taken,
            "commands_failed": self._failed,
            "commands_expired": self._expired,
            "commands_undecodable": self._undecodable,
            "replies_dropped": self.outbox.dropped,
            "fact_resyncs": self._facts.resyncs,
            "overload_steps": self.overload.steps,
            "file_decoded_seconds": self.tapes.decoded_seconds,
            **self.recorder.counters(),
        }

    def gauges(self) -> dict[str, float]:
        return {
            "endpoints": len(self.plan.endpoints),
            "sessions": len(self.plan.sessions),
            "ports_used": self.ports.used,
            "ports_resting": self.ports.resting,
            "outbox_waiting": self.outbox.backlog,
            "file_tracks": self.tapes.held,
            "file_bytes": self.tapes.held_bytes,
            "side_work": self.side.pending,
            "resident_bytes": resident_bytes(),
            "media_busy": self.overload.load.busy,
            "media_waiting": self.overload.load.waiting,
            "media_late": self.overload.load.late,
            "overload_level": self.overload.level,
            "watched_keys": sum(_keys_inband(endpoint) for endpoint in self.plan.endpoints.values()),
            **self.watching.gauges(),
            **self.recorder.gauges(),
        }


def _keys_inband(endpoint: Endpoint) -> bool:
    """Keys are looked for in what it says (ext/flow/tap.pxd)."""
    profile = endpoint.profile if isinstance(endpoint, RtpEndpoint) else None
    return profile is not None and not profile.event_receive


def _close_arena(arena: Arena) -> None:
    arena.close()


def resident_bytes() -> int:
    """Memory of this process, what it touched of shared arenas included."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
