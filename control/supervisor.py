"""The supervisor: what `roomtone serve` starts.  Tiny on purpose; it must outlive everything else.

It makes the runtime directory and the arenas, starts control, the dispatcher and the workers, holds a
duplicate of every arena and media socket, notices a death by pidfd and restarts what died.  As PID 1 it reaps
what nobody else does.

    SIGTERM, SIGINT   forwarded to control, which drains and says `Drained`; then the workers stop, exit 0
    a second          forwarded again
    a third           everything is killed, exit at once
    SIGHUP            forwarded to control
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import setproctitle

from roomtone.control.child import BACKOFF_MAX_US, Backoff, Child, inherited, reap
from roomtone.control.inspection import Inspection, inspect_messages
from roomtone.control.kept import Kept
from roomtone.control.runtime_dir import RuntimeDir, RuntimeDirError
from roomtone.control.worker_slot import Grave, WorkerSlot, close_all
from roomtone.engine import process_messages as pm
from roomtone.engine.affinity import default_workers, usable_cpus, worker_cpu
from roomtone.engine.limits import raise_descriptor_limit
from roomtone.engine.log import Log
from roomtone.engine.supervisor_link import SupervisorLink, pair
from roomtone.engine.timers import monotonic_us

if TYPE_CHECKING:
    from roomtone.control.core.config import Config

MAX_SLOTS = 1 << 20  # a handle has 20 bits of index
GRAVE_US = 30_000_000  # how long a dead worker's arena and sockets are kept for `roomtone inspect`
STOP_US = 5_000_000  # how long children may take to end before they are killed
INSPECTIONS = 4  # at a time
INSPECTION_US = 10_000_000  # a client that does not read is dropped
EXIT_KILLED = 1
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_THIRD = 3
_US_A_S = 1e6


class Supervisor:
    """control_argv, worker_argv, dispatcher_argv: what to start (no dispatcher: none).

    format_arena: fills a fresh memfd (`Arena.format`).
    """

    def __init__(
        self,
        config: Config,
        runtime_dir: RuntimeDir,
        *,
        format_arena: Callable[..., None],
        control_argv: list[str],
        worker_argv: list[str],
        log: Log,
        dispatcher_argv: list[str] | None = None,
    ) -> None:
        self._config = config
        self._runtime_dir = runtime_dir
        self._format_arena = format_arena
        self._control_argv = control_argv
        self._worker_argv = worker_argv
        self._log = log
        cpus = usable_cpus(config.cpu_affinity)
        count = config.workers or default_workers()
        self._slots = [WorkerSlot(index, worker_cpu(index, cpus)) for index in range(count)]
        self._graves: list[Grave] = []
        self._inspections: list[Inspection] = []
        self._selector = selectors.DefaultSelector()
        self._control: Child | None = None
        self._control_link: SupervisorLink | None = None
        self._control_backoff = Backoff()
        self._control_restart_us = 0
        self._control_starts = 0
        self._dispatchers = [self._dispatcher(dispatcher_argv)] if dispatcher_argv else []
        self._signals: list[int] = []
        self._end_signals = 0
        self._stop_until_us: int | None = None  # set: the workers were told to stop
        self._exit_status: int | None = None

    # -- life ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Until everything has ended.  Returns the exit status."""
        self._catch_signals()
        listener = self._runtime_dir.listener
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        while self._exit_status is None:
            self._handle_times(monotonic_us())
            for key, _ in self._selector.select(self._timeout_s()):
                key.data()
            self._handle_signals()
        for grave in self._graves:
            grave.close()
        return self._exit_status

    def _catch_signals(self) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = (reader, writer)
        self._selector.register(reader, selectors.EVENT_READ, lambda: reader.recv(512))
        for number in (*_END_SIGNALS, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: self._signals.append(number))

    def _handle_signals(self) -> None:
        signals, self._signals = self._signals, []
        for number in signals:
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                if self._control is not None:
                    self._control.signal(number)
            else:
                self._end_signals += 1
                self._log.info("signal", signal=signal.Signals(number).name, count=self._end_signals)
                if self._end_signals >= _THIRD:
                    self._kill_all()
                    self._exit_status = EXIT_KILLED
                elif self._control is not None:
                    self._control.signal(number)
                else:
                    self._stop()

    def _timeout_s(self) -> float | None:
        times = [grave.died_us + GRAVE_US for grave in self._graves[:1]]
        times += [inspection.until_us for inspection in self._inspections]
        if self._stop_until_us is not None:
            times.append(self._stop_until_us)
        else:
            times += [slot.restart_us for slot in self._slots if slot.child is None]
            if self._control is None:
                times.append(self._control_restart_us)
            times += [kept.restart_us for kept in self._dispatchers if kept.child is None]
        return max(0.0, (min(times) - monotonic_us()) / _US_A_S) if times else None

    def _handle_times(self, now_us: int) -> None:
        while self._graves and now_us >= self._graves[0].died_us + GRAVE_US:
            self._graves.pop(0).close()
        for inspection in [each for each in self._inspections if now_us >= each.until_us]:
            self._end_inspection(inspection)
        if self._stop_until_us is None:
            self._start_what_is_due(now_us)
        elif not self._children():
            if self._exit_status is None:
                self._exit_status = 0
        elif now_us >= self._stop_until_us:
            self._log.error("stop_timed_out")
            self._kill_all()
            self._stop_until_us = now_us + STOP_US

    def _start_what_is_due(self, now_us: int) -> None:
        """Start control and workers that are not running.  What the kernel refuses is tried again."""
        if self._control is None and now_us >= self._control_restart_us:
            try:
                self._start_control()
            except OSError as error:
                self._control_restart_us = now_us + BACKOFF_MAX_US
                self._log.error("control_not_started", error=str(error))
        for kept in self._dispatchers:
            kept.start(now_us)
        for slot in self._slots:
            if slot.child is None and now_us >= slot.restart_us:
                try:
                    self._start_worker(slot)
                except OSError as error:
                    slot.restart_us = now_us + BACKOFF_MAX_US
                    self._log.error("worker_not_started", worker=slot.index, error=str(error))

    def _reap(self) -> None:
        for pid, status in reap():
            if self._control is not None and self._control.pid == pid:
                self._control_exited(status)
            for kept in self._dispatchers:
                kept.exited(pid, status, monotonic_us(), stopping=self._stop_until_us is not None)
            for slot in self._slots:
                if slot.child is not None and slot.child.pid == pid:
                    self._worker_exited(slot, status)

    def _stop(self) -> None:
        """Control has drained, or is gone while draining: end the workers, then ourselves."""
        if self._stop_until_us is not None:
            return
        self._stop_until_us = monotonic_us() + STOP_US
        for slot in self._slots:
            if slot.link is not None:
                slot.link.send(pm.Stop())
        for kept in self._dispatchers:
            kept.stop()
        if self._control_link is not None:
            self._drop_link(self._control_link)  # it sees the end of the stream
            self._control_link = None

    def _kill_all(self) -> None:
        for child in self._children():
            child.signal(signal.SIGKILL)

    def _children(self) -> list[Child]:
        """All that run."""
        found = (
            self._control,
            *(kept.child for kept in self._dispatchers),
            *(slot.child for slot in self._slots),
        )
        return [child for child in found if child is not None]

    def _dispatcher(self, argv: list[str]) -> Kept:
        start = pm.DispatcherStart(
            config=msgspec.Raw(msgspec.json.encode(self._config)), runtime_dir=str(self._runtime_dir.path)
        )
        env = {"ROOMTONE_DISPATCHER": msgspec.json.encode(start).decode()}
        return Kept("dispatcher", argv, env, watch=self._watch, unwatch=self._unwatch, log=self._log)

    # -- control ---------------------------------------------------------------------------------------------

    def _start_control(self) -> None:
        link, theirs = pair(pm.ControlMessage)
        start = pm.ControlStart(
            config=msgspec.Raw(msgspec.json.encode(self._config)),
            runtime_dir=str(self._runtime_dir.path),
            workers=len(self._slots),
            supervisor_fd=theirs.fileno(),
        )
        env = {**os.environ, "ROOMTONE_CONTROL": msgspec.json.encode(start).decode()}
        with theirs:
            try:
                self._control = Child(self._control_argv, env, [theirs.fileno()], monotonic_us())
            except OSError:
                link.close()
                raise
        self._control_starts += 1
        self._control_link = link
        self._watch(self._control)
        self._selector.register(link, selectors.EVENT_READ, self._control_readable)
        for slot in self._slots:
            if slot.child is not None:
                self._tell_control(pm.WorkerSpawned(worker=slot.index, epoch=slot.epoch, pid=slot.child.pid))
        self._log.info("control_started", pid=self._control.pid)

    def _control_readable(self) -> None:
        link = self._control_link
        if link is None:
            return
        link.flush()
        for message, fds in link.receive():
            close_all(fds)
            if type(message) is pm.Drained:
                self._log.info("drained")
                self._stop()
                return
        if link.closed:
            self._drop_link(link)
            self._control_link = None
        else:
            self._watch_link(link, self._control_readable)

    def _control_exited(self, status: int) -> None:
        control = self._control
        assert control is not None
        now_us = monotonic_us()
        self._unwatch(control)
        self._control_readable()  # what it said last
        if self._control_link is not None:
            self._drop_link(self._control_link)
        self._control = self._control_link = None
        if self._stop_until_us is not None:
            return
        if status == pm.EXIT_CONFIG and self._control_starts == 1:
            self._kill_all()  # nothing was served yet: say so by ending
            self._exit_status = status
            return
        if self._end_signals:
            self._log.info("control_ended", pid=control.pid, status=status)
            self._stop()
            return
        delay_us = self._control_backoff.delay_us(now_us - control.started_us)
        self._control_restart_us = now_us + delay_us
        self._log.error("control_died", pid=control.pid, status=status, restart_in_ms=delay_us // 1000)

    def _tell_control(self, message: pm.ControlMessage) -> None:
        link = self._control_link
        if link is not None:
            link.send(message)
            self._watch_link(link, self._control_readable)

    # -- workers ---------------------------------------------------------------------------------------------

    def _start_worker(self, slot: WorkerSlot) -> None:
        epoch = slot.epoch + 1
        arena_fd = os.memfd_create(f"roomtone-arena-{slot.index}", os.MFD_CLOEXEC)
        try:
            slots = min(self._config.worker_endpoints + pm.HIDDEN_SLOTS, MAX_SLOTS)
            self._format_arena(arena_fd, endpoints=slots, worker=slot.index, epoch=epoch)
            link, theirs = pair(pm.SupervisorMessage)
            with theirs:
                fds = [arena_fd, theirs.fileno()]
                env = {**inherited(), "ROOMTONE_WORKER": self._worker_config(slot, epoch, *fds)}
                try:
                    child = Child(self._worker_argv, env, fds, monotonic_us())
                except OSError:
                    link.close()
                    raise
        except OSError:
            os.close(arena_fd)
            raise
        slot.epoch, slot.arena_fd, slot.child, slot.link, slot.held = epoch, arena_fd, child, link, {}
        self._watch(child)
        self._selector.register(link, selectors.EVENT_READ, lambda: self._worker_readable(slot))
        for other in self._slots:
            if other is not slot and other.child is not None:
                self._tell_worker(other, pm.ArenaMap(slot.index, epoch), (arena_fd,))
                self._tell_worker(slot, pm.ArenaMap(other.index, other.epoch), (other.arena_fd,))
        self._tell_control(pm.WorkerSpawned(worker=slot.index, epoch=epoch, pid=child.pid))
        self._log.info("worker_spawned", worker=slot.index, epoch=epoch, pid=child.pid, cpu=slot.cpu)

    def _worker_config(self, slot: WorkerSlot, epoch: int, arena_fd: int, supervisor_fd: int) -> str:
        config = self._config
        start = pm.WorkerConfig(
            index=slot.index,
            workers=len(self._slots),
            epoch=epoch,
            cpu=slot.cpu,
            runtime_dir=str(self._runtime_dir.path),
            arena_fd=arena_fd,
            supervisor_fd=supervisor_fd,
            endpoints=config.worker_endpoints,
            rtp_port_min=config.rtp_port_range[0],
            rtp_port_max=config.rtp_port_range[1],
            media_timeout_ms=config.media_timeout_secs * 1000,
            source_networks=tuple(config.rtp_source_networks),
            relay_gather_us=config.relay_gather_us,
            overload_shed_at=config.overload_shed_at,
            overload_refuse_at=config.overload_refuse_at,
            cached_tracks=config.transcode_cache_size,
            neural_vad_streams=config.neural_vad_streams,
            recording_dir=config.recording_dir,
            recording_channel_size=config.recording_channel_size,
            recording_ring_bytes=config.recording_ring_bytes,
            recording_flush_timeout_ms=config.recording_flush_timeout_secs * 1000,
            log_level=config.log_level,
        )
        return msgspec.json.encode(start).decode()

    def _worker_readable(self, slot: WorkerSlot) -> bool:
        """Take what the worker says.  False: there was nothing."""
        link = slot.link
        if link is None:
            return False
        link.flush()
        heard, truncated = False, link.truncated
        for message, fds in link.receive():
            heard = True
            if type(message) is pm.Hold:
                passed = iter(fds)
                for key, count in message.held:
                    close_all(slot.held.pop(key, ()))
                    slot.held[key] = tuple(islice(passed, count))
                continue
            close_all(fds)
            if type(message) is pm.Release:
                for key in message.keys:
                    close_all(slot.held.pop(key, ()))
                link.send(pm.Released(message.keys))
        if link.truncated and not truncated:
            self._log.error("descriptors_exhausted", worker=slot.index, held=len(slot.held))
        if link.closed:
            self._unregister(link)  # its death follows by pidfd
        else:
            self._watch_link(link, lambda: self._worker_readable(slot))
        return heard

    def _worker_exited(self, slot: WorkerSlot, status: int) -> None:
        child, link = slot.child, slot.link
        assert child is not None and link is not None
        now_us = monotonic_us()
        self._unwatch(child)
        while self._worker_readable(slot):
            pass  # the sockets it made last are still on the way
        self._drop_link(link)
        slot.child = slot.link = None
        self._graves.append(Grave(slot, child.pid, status, now_us))
        slot.held = {}
        for other in self._slots:
            self._tell_worker(other, pm.ArenaGone(slot.index, slot.epoch))
        self._tell_control(pm.WorkerExited(worker=slot.index, epoch=slot.epoch, status=status))
        if self._stop_until_us is not None:
            return
        delay_us = slot.backoff.delay_us(now_us - child.started_us)
        slot.restart_us = now_us + delay_us
        self._log.error(
            "worker_died",
            worker=slot.index,
            epoch=slot.epoch,
            pid=child.pid,
            status=status,
            restart_in_ms=delay_us // 1000,
        )

    def _tell_worker(self, slot: WorkerSlot, message: Any, fds: tuple[int, ...] = ()) -> None:
        link = slot.link
        if link is not None and not link.closed:
            link.send(message, fds)
            self._watch_link(link, lambda: self._worker_readable(slot))

    # -- inspect ---------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        try:
            end, _ = listener.accept()
        except OSError:
            return
        if len(self._inspections) >= INSPECTIONS:
            end.close()
            return
        link = SupervisorLink(end, pm.InspectMessage)
        inspection = Inspection(
            link, inspect_messages(self._slots, self._graves), monotonic_us() + INSPECTION_US
        )
        self._inspections.append(inspection)
        self._selector.register(link, selectors.EVENT_WRITE, lambda: self._pump(inspection))

    def _pump(self, inspection: Inspection) -> None:
        if not inspection.pump():
            self._end_inspection(inspection)

    def _end_inspection(self, inspection: Inspection) -> None:
        self._inspections.remove(inspection)
        self._drop_link(inspection.link)
        inspection.close()

    # -- watching --------------------------------------------------------------------------------------------

    def _watch(self, child: Child) -> None:
        self._selector.register(child.pidfd, selectors.EVENT_READ, self._reap)

    def _unwatch(self, child: Child) -> None:
        self._selector.unregister(child.pidfd)
        child.close()

    def _watch_link(self, link: SupervisorLink, action: Callable[[], object]) -> None:
        """Wake for writability while something waits to be sent."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.waiting else 0)
        try:
            if self._selector.get_key(link).events != events:
                self._selector.modify(link, events, action)
        except KeyError:
            return  # it is being closed

    def _unregister(self, link: SupervisorLink) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(link)

    def _drop_link(self, link: SupervisorLink) -> None:
        self._unregister(link)
        link.close()


def run_supervisor(config: Config) -> int:
    """`roomtone serve`: returns the exit status."""
    from roomtone.ext.flow.media import Arena

    setproctitle.setproctitle("roomtone: supervisor")
    log = Log(config.log_level, process="supervisor")
    raise_descriptor_limit()
    try:
        runtime_dir = RuntimeDir(config.runtime_dir)
    except RuntimeDirError as error:
        log.error("runtime_dir", error=str(error))
        return pm.EXIT_CONFIG
    supervisor = Supervisor(
        config,
        runtime_dir,
        format_arena=Arena.format,
        control_argv=[sys.executable, "-m", "roomtone.control"],
        worker_argv=[sys.executable, "-m", "roomtone.engine"],
        dispatcher_argv=[sys.executable, "-m", "roomtone.control.dispatcher"],
        log=log,
    )
    try:
        return supervisor.run()
    finally:
        runtime_dir.close()
