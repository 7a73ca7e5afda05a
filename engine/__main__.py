"""Start of a worker process: ``python -m roomtone.engine``, by the supervisor.

The order matters.  Threads inherit CPU and nice from the one that starts them, so: pin first; start the
media thread while this thread has not stepped back; step back; only then let ZeroMQ start its IO thread.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import traceback

import msgspec
import setproctitle
import zmq

from roomtone.engine import neural
from roomtone.engine.affinity import pin, prepare_media_thread, scheduling_level, step_back
from roomtone.engine.limits import raise_descriptor_limit
from roomtone.engine.log import Log
from roomtone.engine.process_messages import (
    COMMANDS_ENDPOINT,
    EVENTS_ENDPOINT,
    SupervisorMessage,
    WorkerConfig,
    worker_identity,
)
from roomtone.engine.supervisor_link import SupervisorLink
from roomtone.engine.thread_clock import Clock, thread_clock
from roomtone.engine.worker import Worker
from roomtone.ext.flow.media import Arena, Media

EVENTS_WAITING = 256  # batches ZeroMQ may hold while control is away; then the worker stops taking commands
COMMANDS_WAITING = 1000
RECONNECT_MS, RECONNECT_MAX_MS = 20, 500  # a restarted control is found again at once
LINGER_MS = 1000  # the last replies leave before the process ends
MEDIA_STOP_SECS = 2.0
# No cycles are made in the normal course; the rare collection shall stay under a millisecond.
GC_THRESHOLDS = (10_000, 20, 1000)


class MediaThread:
    """Runs `Media.run`; `start` returns the scheduling reached.  Its end before `stop` ends the process."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._stopping = False
        self._level: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="media", daemon=True)

    def start(self) -> str:
        self._thread.start()
        return self._level.get()

    def clock(self) -> Clock:
        """How long it ran and waited.  Only between `start` and `stop`."""
        assert self._thread.ident is not None and self._thread.native_id is not None
        return thread_clock(self._thread.ident, self._thread.native_id)

    def stop(self) -> None:
        self._stopping = True
        self._media.stop()
        self._thread.join(MEDIA_STOP_SECS)

    def _run(self) -> None:
        try:
            self._level.put(prepare_media_thread())
            self._media.run()
        except BaseException:
            traceback.print_exc()
        if not self._stopping:
            os._exit(os.EX_SOFTWARE)  # without media the process is of no use: be restarted


def main() -> int:
    config = msgspec.json.decode(os.environ.pop("ROOMTONE_WORKER"), type=WorkerConfig)
    setproctitle.setproctitle(f"roomtone: worker {config.index}")
    log = Log(config.log_level, process="worker", worker=config.index, epoch=config.epoch)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when to end
    cpus = os.sched_getaffinity(0)
    pinned = pin(config.cpu)
    raise_descriptor_limit()
    link = SupervisorLink.of_fd(config.supervisor_fd, SupervisorMessage)
    fact_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    media = Media(Arena(config.arena_fd, writable=True), fact_fd=fact_fd)
    media.source_networks(list(config.source_networks))
    media.gather(config.relay_gather_us)
    thread = MediaThread(media)
    scheduling = scheduling_level(thread.start(), step_back())
    context = zmq.Context(io_threads=1)
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IDENTITY, worker_identity(config.index, config.epoch))
    dealer.set_hwm(COMMANDS_WAITING)
    push = context.socket(zmq.PUSH)
    push.set_hwm(EVENTS_WAITING)
    for socket in (dealer, push):
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.setsockopt(zmq.LINGER, LINGER_MS)
    push.connect(EVENTS_ENDPOINT.format(runtime_dir=config.runtime_dir))
    dealer.connect(COMMANDS_ENDPOINT.format(runtime_dir=config.runtime_dir))

    def send(data: bytes) -> bool:
        try:
            push.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    worker = Worker(
        config,
        media,
        fact_fd=fact_fd,
        commands=dealer,
        send=send,
        link=link,
        log=log,
        map_arena=Arena,
        media_clock=thread.clock(),
        side_cpus=cpus,
        network=neural.loader(),
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker.start(os.getpid(), scheduling)
    log.info("worker_started", pid=os.getpid(), cpu=config.cpu if pinned else None, scheduling=scheduling)
    worker.run(dealer, push)
    thread.stop()
    worker.close()
    dealer.close()
    push.close()
    context.term()
    log.info("worker_ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
