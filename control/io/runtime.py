"""The input loop: everything that happens becomes an input for core, and what core answers is done, in order.

One thread, no await: an effect that produces another input (a `Ready` hands over the next frame) queues it
behind the ones that are being worked on, so core is never entered twice.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from roomtone.control.core.core import Core
from roomtone.control.core.effects import (
    AskStore,
    CancelTimer,
    CloseAudio,
    CloseConnection,
    ConnectionMessage,
    DeleteCopy,
    Drained,
    Effect,
    Input,
    LocateFile,
    OpenAudio,
    Persist,
    Ready,
    RestReply,
    RestRequest,
    ScheduleAt,
    SendToWorker,
    StartAudio,
    StartDownload,
    StopDownload,
    Tell,
    TimerFired,
    Wake,
)
from roomtone.control.core.effects import Log as LogEffect
from roomtone.control.core.rest.refusal import refuse
from roomtone.control.io.audio_socket import AudioSockets
from roomtone.control.io.clock import now_us
from roomtone.control.io.fetch import Fetcher
from roomtone.control.io.log import Log
from roomtone.control.io.rest import Rest
from roomtone.control.io.store import Store
from roomtone.control.io.store_answers import StoreAnswers
from roomtone.control.io.timers import Timers
from roomtone.control.io.workers import Workers
from roomtone.control.io.ws import Connections

INTERNAL_ERROR_CLOSE = 1011  # RFC 6455 §7.4.1: an unexpected condition


class Runtime:
    """Feeds core and performs its effects.  `attach` completes it: sockets need `submit`, it needs them."""

    def __init__(self, core: Core, timers: Timers, log: Log, drained: Callable[[], None]) -> None:
        self._core = core
        self._timers = timers
        self._log = log
        self._drained = drained
        self._inputs: deque[Input] = deque()
        self._running = False
        self._perform: dict[type, Callable[[Any], None]] = {}

    def attach(
        self,
        workers: Workers,
        connections: Connections,
        audio: AudioSockets,
        fetcher: Fetcher,
        rest: Rest,
        store: Store,
        answers: StoreAnswers,
    ) -> None:
        self._connections = connections
        self._rest = rest
        self._perform = {
            SendToWorker: workers.send,
            LocateFile: fetcher.locate,
            StartDownload: fetcher.download,
            StopDownload: fetcher.stop,
            DeleteCopy: fetcher.delete,
            Wake: lambda effect: connections.wake(effect.connection),
            Tell: lambda effect: connections.tell(effect.connections, effect.texts),
            Ready: lambda effect: connections.ready(effect.connection),
            CloseConnection: lambda effect: connections.close(effect.connection, effect.code, effect.reason),
            OpenAudio: audio.open,
            StartAudio: audio.start,
            CloseAudio: audio.close,
            RestReply: rest.reply,
            Persist: store.persist,
            AskStore: answers.ask,
            ScheduleAt: self._schedule,
            CancelTimer: lambda effect: self._timers.cancel(effect.key),
            LogEffect: self._write_log,
            Drained: lambda effect: self._drained(),
        }

    def submit(self, input: Input) -> None:
        """Hand an input to core, or queue it behind the one core is at work on."""
        self._inputs.append(input)
        if self._running:
            return
        self._running = True
        inputs, handle, perform = self._inputs, self._core.handle, self._perform
        try:
            while inputs:
                current = inputs.popleft()
                effects: list[Effect] = []
                try:
                    effects = handle(current, now_us())
                except Exception as error:
                    self._failed(current, error)
                for effect in effects:
                    perform[type(effect)](effect)
        finally:
            self._running = False

    def _failed(self, input: Input, error: Exception) -> None:
        """Core must not raise.  When it does, one connection pays, not the process."""
        trace = "".join(traceback.format_exception(error))
        self._log.error("core_failed", input=type(input).__name__, traceback=trace)
        if isinstance(input, ConnectionMessage):
            self._connections.close(input.connection, INTERNAL_ERROR_CLOSE, "internal error")
        elif isinstance(input, RestRequest):
            self._rest.reply(RestReply(input.n, 500, refusal=refuse("internal_error")))

    def _schedule(self, effect: ScheduleAt) -> None:
        self._timers.set(effect.when_us, effect.key, partial(self.submit, TimerFired(effect.key)))

    def _write_log(self, effect: LogEffect) -> None:
        write = getattr(self._log, effect.level)
        write(effect.event, **effect.fields)
