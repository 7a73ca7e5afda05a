"""The control process put together: core, its sockets, and a life from start to drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version as installed

import msgspec
import uvloop
from setproctitle import setproctitle

from roomtone.control import spec, spec_page, spec_rest
from roomtone.control.child import ADMIN_KEY
from roomtone.control.core import polling, recordings
from roomtone.control.core.config import Config, state_dir
from roomtone.control.core.core import Core
from roomtone.control.core.effects import Restored, ShutdownBegan
from roomtone.control.io.address_guard import AddressGuard
from roomtone.control.io.audio_socket import AudioSockets
from roomtone.control.io.auth import TokenFileError, Tokens
from roomtone.control.io.capacity import capacity
from roomtone.control.io.clock import NS_PER_US, now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.dispatcher_link import DispatcherLink
from roomtone.control.io.fetch import Fetcher
from roomtone.control.io.http import JSON, Document, Port, State
from roomtone.control.io.ids import random_uuid
from roomtone.control.io.lag import Lag
from roomtone.control.io.log import Log, forward_libraries
from roomtone.control.io.metrics import Metrics
from roomtone.control.io.recordings import Recordings
from roomtone.control.io.rest import Rest
from roomtone.control.io.runtime import Runtime
from roomtone.control.io.store import Store
from roomtone.control.io.store_answers import StoreAnswers
from roomtone.control.io.store_file import StoreError
from roomtone.control.io.store_reader import StoreReader
from roomtone.control.io.supervisor_link import Supervisor
from roomtone.control.io.timers import Timers
from roomtone.control.io.webhook_metrics import WebhookMetrics
from roomtone.control.io.workers import Workers
from roomtone.control.io.ws import PONG_WAIT_US, STALL_WAIT_US, Connections
from roomtone.engine.limits import raise_descriptor_limit
from roomtone.engine.process_messages import EXIT_CONFIG, ControlStart

NICE = 5  # design.md 1: behind the media threads, before side work
GC_THRESHOLDS = (200_000, 50, 1000)  # dependencies.md 2.1: halves the cost of a message at 10,000 connections
SWITCH_S = 0.0005  # the store's thread gets the interpreter back ten times sooner beside a busy loop
CLOSE_GOING_AWAY = 1001  # RFC 6455 §7.4.1
CLOSE_WAIT_S = 3.0  # for connections to end after the last session has
DISPATCH_WAIT_S = 3.0  # for webhooks of what happened last
US_PER_S = 1_000_000
KB = 1024
HTML = "text/html"
EXIT_OK, EXIT_FAILED = 0, 1


class App:
    """One control process.  supervisor_fd -1: there is no supervisor (tests).

    Units of the waits: microseconds.
    """

    def __init__(
        self,
        config: Config,
        *,
        runtime_dir: str,
        workers: int,
        supervisor_fd: int = -1,
        log: Log | None = None,
        pong_wait_us: int = PONG_WAIT_US,
        stall_wait_us: int = STALL_WAIT_US,
    ) -> None:
        self.config = config
        self.port = 0
        self.log = log if log is not None else Log(config.log_level, process="control")
        self.counters = Counters()
        self.timers = Timers()
        self.state = State()
        self.ended = asyncio.Event()
        self._runtime_dir = runtime_dir
        self._worker_count = workers
        self._supervisor: Supervisor | None = None
        self._supervisor_fd = supervisor_fd
        self._signals = 0
        self._exit_code = EXIT_OK
        epoch_offset_us = time.time_ns() // NS_PER_US - now_us()
        self.core = Core(
            config, _random_ids(), epoch_offset_us, socket.gethostname(), installed("roomtone"), workers
        )
        self.runtime = Runtime(self.core, self.timers, self.log, self._drained)
        self.workers = Workers(
            count=workers,
            submit=self.runtime.submit,
            known_session=self.core.knows,
            timers=self.timers,
            counters=self.counters,
            log=self.log,
        )
        self.connections = Connections(
            submit=self.runtime.submit,
            next_outgoing=self.core.next_message,
            keep=partial(polling.keep, self.core),
            max_message_bytes=config.ws_max_message_size_kb * KB,
            max_connections=config.max_connections,
            ping_interval_us=config.ws_ping_interval_secs * US_PER_S,
            timers=self.timers,
            counters=self.counters,
            log=self.log,
            pong_wait_us=pong_wait_us,
            stall_wait_us=stall_wait_us,
        )
        self.audio = AudioSockets(
            submit=self.runtime.submit,
            ping_interval_us=config.ws_ping_interval_secs * US_PER_S,
            timers=self.timers,
            counters=self.counters,
            log=self.log,
            pong_wait_us=pong_wait_us,
        )
        self.fetcher = Fetcher(
            media_dir=config.media_dir,
            cache_dir=config.cache_dir or os.path.join(runtime_dir, "cache"),
            max_bytes=config.max_file_download_bytes,
            guard=AddressGuard(config.file_download_networks, config.file_download_origins),
            user_agent=f"roomtone/{self.core.version}",
            submit=self.runtime.submit,
            log=self.log,
        )
        self.rest = Rest(
            submit=self.runtime.submit,
            app=lambda app_id: self.core.apps.get(app_id),
            admin_key=os.environ.get(ADMIN_KEY) or None,
            counters=self.counters,
        )
        self.store = Store(
            state_dir(config, runtime_dir),
            node=self.core.node,
            max_events=config.outbox_max_events,
            max_bytes=config.outbox_max_bytes,
            retention_s=config.webhooks.retention_secs,
            submit=self.runtime.submit,
            broken=self._failed,
            log=self.log,
        )
        self.dispatcher = DispatcherLink(self.store, submit=self.runtime.submit, log=self.log)
        self.answers = StoreAnswers(
            StoreReader(self.store.state_dir, self.core.node), self.store, self.runtime.submit, self.log
        )
        self.runtime.attach(
            self.workers,
            self.connections,
            self.audio,
            self.fetcher,
            self.rest,
            self.store,
            self.answers,
        )
        self.lag = Lag(self.timers)
        self.http = self._make_port()

    async def run(self, started: Callable[[], None] = lambda: None) -> int:
        """Start, call `started`, serve until drained, stop; returns the exit code."""
        try:
            await self.start()
        except (OSError, TokenFileError, StoreError) as error:
            self.log.error("cannot_start", listen=self.config.listen, error=str(error))
            self._let_go()
            return EXIT_CONFIG
        started()
        await self.ended.wait()
        await self.stop()
        return self._exit_code

    # -- start ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind everything and accept connections.  Raises OSError, TokenFileError, StoreError."""
        loop = asyncio.get_running_loop()
        config = self.config
        if config.auth_token_file is not None:
            self.state.tokens = Tokens.read(config.auth_token_file)
        self.timers.start(loop)
        self.runtime.submit(Restored(self.store.open()))
        self.dispatcher.open(loop, self._runtime_dir)
        self.fetcher.start()
        self.workers.open(loop, self._runtime_dir)
        self.connections.start()
        self.lag.start()
        if self._supervisor_fd >= 0:
            self._supervisor = Supervisor(
                self._supervisor_fd, exited=self.workers.exited, gone=self._supervisor_gone, log=self.log
            )
            self._supervisor.start(loop)
        host, port = config.listen_address
        self.port = await self.http.listen(host, port, self._tls())
        self._tell_start(host)

    def _make_port(self) -> Port:
        metrics = Metrics(
            workers=self.workers,
            counters=self.counters,
            counts=self.core.counts,
            lag=self.lag.worst_seconds,
            webhooks=WebhookMetrics(self.store, self.dispatcher),
            version=self.core.version,
            commit=os.environ.get("ROOMTONE_COMMIT", "unknown"),
        )
        return Port(
            state=self.state,
            connections=self.connections,
            audio=self.audio,
            rest=self.rest,
            counters=self.counters,
            metrics=metrics.render,
            sessions=self.core.session_list,
            session_details=self.core.session,
            stored=Recordings(
                self.config.recording_dir,
                self.config.max_recording_download_bytes,
                partial(recordings.in_use, self.core),
            ),
            documents=documents(self.core.version),
            unready=self._unready,
            alive=self.lag.alive,
        )

    def _tls(self) -> ssl.SSLContext | None:
        if self.config.tls is None:
            return None
        from roomtone.control.io.tls import server_context

        return server_context(self.config.tls.cert_path, self.config.tls.key_path)

    def _tell_start(self, host: str) -> None:
        config = self.config
        room = capacity(
            rtp_port_range=config.rtp_port_range,
            media_addresses=len(config.media_ip),
            descriptor_limit=raise_descriptor_limit(),
            workers=self._worker_count,
            worker_endpoints=config.worker_endpoints,
        )
        name, endpoints = room.smallest
        self.log.warning("capacity", endpoints=endpoints, limited_by=name, **msgspec.structs.asdict(room))
        if config.state_dir is None:
            lost = "" if config.runtime_dir else ", which is removed at the end"
            message = f"state_dir is not set: rooms are kept below runtime_dir{lost}"
            self.log.warning("configuration", message=message)
        for warning in config.warnings:
            self.log.warning("configuration", message=warning)
        self.log.info("listening", host=host, port=self.port, workers=self._worker_count, pid=os.getpid())

    # -- life ----------------------------------------------------------------------------------------------

    def catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.signal)
        loop.add_signal_handler(signal.SIGHUP, self.reload_tokens)

    def signal(self) -> None:
        """SIGTERM or SIGINT: the first begins the drain, the third ends it at once (websocket.md 4)."""
        self._signals += 1
        if self._signals == 1:
            self.shut_down()
        elif self._signals >= 3:
            self._exit_code = EXIT_FAILED
            self.ended.set()

    def shut_down(self) -> None:
        """Refuse what is new, wait for what runs; core says when nothing is left."""
        if not self.state.draining:
            self.state.draining = True
            self.runtime.submit(ShutdownBegan())

    def reload_tokens(self) -> None:
        """SIGHUP.  A file with a fault leaves the old tokens in force."""
        path = self.config.auth_token_file
        if path is None:
            return
        try:
            self.state.tokens = Tokens.read(path)
            self.log.info("tokens_read", tokens=len(self.state.tokens))
        except TokenFileError as error:
            self.log.error("tokens_not_read", faults=error.faults)

    def _unready(self) -> list[str]:
        return [*(["draining"] if self.state.draining else []), *self.workers.faults()]

    def _drained(self) -> None:
        self.log.info("drained")
        self.ended.set()

    def _supervisor_gone(self) -> None:
        self.log.error("supervisor_gone")
        self._failed()

    def _failed(self) -> None:
        self._exit_code = EXIT_FAILED
        self.ended.set()

    async def stop(self) -> None:
        """Close connections, tell the supervisor, let go of everything."""
        self.state.draining = True
        self.connections.close_all(CLOSE_GOING_AWAY, "shutting down")
        await self.http.close(CLOSE_WAIT_S)
        await self.fetcher.close()
        await self.dispatcher.finish(DISPATCH_WAIT_S)
        if self._supervisor is not None:
            self._supervisor.drained()
        self._let_go()
        self.log.info("stopped", exit_code=self._exit_code)

    def _let_go(self) -> None:
        """Close every socket and timer that was opened, and the store."""
        self.dispatcher.close()
        self.answers.close()
        self.store.close()
        if self._supervisor is not None:
            self._supervisor.close()
        self.workers.close()
        self.timers.close()


def documents(version: str) -> dict[str, Document]:
    """The pages that tell what this server can, by their paths."""
    return {
        "/asyncapi.json": lambda: (spec.encoded(version), JSON, {}),
        "/openapi.json": lambda: (spec_rest.encoded(version), JSON, {}),
        "/docs": lambda: (spec_page.page(version), HTML, {"Content-Security-Policy": spec_page.POLICY}),
    }


def _random_ids() -> Iterator[str]:
    """Random UUIDs: 122 random bits each."""
    while True:
        yield random_uuid()


async def _serve(app: App) -> int:
    app.catch_signals()
    return await app.run(started=_settle_collector)


def _settle_collector() -> None:
    """What lives from start to end is not looked at again by the cyclic collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def main() -> int:
    """Read ROOMTONE_CONTROL, serve, return the exit code."""
    text = os.environ.get("ROOMTONE_CONTROL")
    if text is None:
        print("roomtone: the control process is started by roomtone serve", file=sys.stderr)
        return EXIT_CONFIG
    start = msgspec.json.decode(text, type=ControlStart)
    config = msgspec.json.decode(start.config, type=Config)
    setproctitle("roomtone: control")
    os.nice(NICE)
    sys.setswitchinterval(SWITCH_S)
    app = App(config, runtime_dir=start.runtime_dir, workers=start.workers, supervisor_fd=start.supervisor_fd)
    forward_libraries(app.log)
    return uvloop.run(_serve(app))
