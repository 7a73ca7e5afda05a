"""Control's end of the link to the dispatcher: what is new goes there, what came of it to the store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial

from roomtone.control.core.effects import Input, WebhookDisabled
from roomtone.control.dispatcher.messages import (
    KEYS_A_MESSAGE,
    SOCKET,
    Disabled,
    Figures,
    Finish,
    Finished,
    Look,
    Noted,
    Report,
    ToControl,
    WebhookFigures,
)
from roomtone.control.io.log import Log
from roomtone.control.io.loop_link import LoopLink
from roomtone.control.io.store import Store


class DispatcherLink:
    """One dispatcher at a time; a new one takes the place of the last.

    webhooks, figures: what the dispatcher said last of each endpoint, and of all together.
    """

    def __init__(self, store: Store, *, submit: Callable[[Input], None], log: Log) -> None:
        self._store = store
        self._submit = submit
        self._log = log
        self._listener: socket.socket | None = None
        self._link: LoopLink | None = None
        self._over = asyncio.Event()
        self.webhooks: dict[str, WebhookFigures] = {}
        self._coming: dict[str, WebhookFigures] = {}  # of what it says now
        self.figures: Figures | None = None
        store.grown = self.look

    def open(self, loop: asyncio.AbstractEventLoop, runtime_dir: str) -> None:
        """Listen.  Raises OSError."""
        self._loop = loop
        self._path = SOCKET.format(runtime_dir=runtime_dir)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._listener.bind(self._path)
        self._listener.listen(1)
        loop.add_reader(self._listener.fileno(), self._accept)

    def look(self, webhooks: set[str]) -> None:
        """These endpoints have something new."""
        keys = list(webhooks)
        for start in range(0, len(keys), KEYS_A_MESSAGE):
            self._send(Look(keys[start : start + KEYS_A_MESSAGE]))

    async def finish(self, within_s: float) -> None:
        """Until the dispatcher has delivered what it can and told what came of it; for so long at most."""
        if self._link is None:
            return
        self._over.clear()
        self._send(Finish(round(within_s * 1000)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), 2 * within_s)

    def close(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._drop()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            end, _ = self._listener.accept()
        except OSError:
            return
        self._drop()
        self._link = LoopLink(end, ToControl, received=self._received, lost=self._lost)

    def _received(self, message: ToControl) -> None:
        match message:
            case Report():
                assert self._link is not None
                self._store.report(message, partial(self._noted, self._link, message.n))
            case Figures():
                self.figures = message
                self._coming.update((each.webhook, each) for each in message.webhooks)
                if message.last:  # an endpoint that is gone has no figures
                    self.webhooks, self._coming = self._coming, {}
            case Disabled():
                self._submit(WebhookDisabled(message.webhook, message.reason))
            case Finished():
                self._over.set()

    def _lost(self) -> None:
        self._log.warning("dispatcher_gone")
        self._drop()

    def _noted(self, link: LoopLink, n: int) -> None:
        if link is self._link:
            link.send(Noted(n))

    def _send(self, message: object) -> None:
        if self._link is not None:
            self._link.send(message)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._over.set()
        self.webhooks, self._coming, self.figures = {}, {}, None
