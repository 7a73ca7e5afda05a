"""The dispatcher's end of the link to control: reports until they are noted, over every reconnection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

from roomtone.control.dispatcher.messages import (
    ATTEMPTS_A_MESSAGE,
    MOVED_A_MESSAGE,
    SOCKET,
    Attempt,
    Disabled,
    Figures,
    Finished,
    Noted,
    Report,
    ToDispatcher,
)
from roomtone.control.io.loop_link import LoopLink

RECONNECT_S = 0.2
Moved = tuple[int, int, int, int]
T = TypeVar("T")


class ControlLink:
    """connected: called when control answers, again after each of its restarts.  told: with its messages."""

    def __init__(
        self, runtime_dir: str, *, connected: Callable[[], None], told: Callable[[ToDispatcher], None]
    ) -> None:
        self._path = SOCKET.format(runtime_dir=runtime_dir)
        self._connected = connected
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._link: LoopLink | None = None
        self._attempts: list[Attempt] = []  # of this turn of the loop
        self._moved: list[Moved] = []
        self._reports: dict[int, Report] = {}  # not noted, oldest first
        self._number = 0
        self._gathering = False
        self.unnoted: dict[int, str] = {}  # delivery -> endpoint: what the store says of them is old

    def connect(self) -> None:
        """Until it succeeds."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            end.connect(self._path)
        except OSError:
            end.close()
            self._loop.call_later(RECONNECT_S, self.connect)
            return
        self._link = LoopLink(end, ToDispatcher, received=self._received, lost=self._lost)
        for report in self._reports.values():
            self._send(report)
        self._connected()

    def report(self, webhook: str, attempt: Attempt) -> None:
        self.unnoted[attempt.delivery] = webhook
        self._attempts.append(attempt)
        self._gather()

    def moved(self, webhook: str, moved: list[Moved]) -> None:
        """Deliveries that changed without an attempt: (delivery, state, tries, due_us)."""
        self.unnoted.update((delivery, webhook) for delivery, *_ in moved)
        self._moved += moved
        self._gather()

    def disabled(self, webhook: str, reason: str) -> None:
        self._send(Disabled(webhook, reason))

    def figures(self, figures: Figures) -> None:
        self._send(figures)

    def finished(self) -> None:
        self._send(Finished())

    @property
    def idle(self) -> bool:
        """Everything is noted, or there is nobody to note it."""
        return self._link is None or not (self._reports or self._gathering)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _gather(self) -> None:
        """What comes within one turn of the loop is told together."""
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._gathering = False
        while self._attempts or self._moved:
            self._number += 1
            attempts, self._attempts = _split(self._attempts, ATTEMPTS_A_MESSAGE)
            moved: list[Moved] = []
            if not self._attempts:  # what was tried in this turn may have moved behind it, never before
                moved, self._moved = _split(self._moved, MOVED_A_MESSAGE)
            report = self._reports[self._number] = Report(self._number, attempts, moved)
            self._send(report)

    def _send(self, message: object) -> None:
        if self._link is not None:
            self._link.send(message)

    def _received(self, message: ToDispatcher) -> None:
        if isinstance(message, Noted):
            self._noted(message.n)
        self._told(message)

    def _lost(self) -> None:
        self._link = None
        self.connect()

    def _noted(self, n: int) -> None:
        for number in [each for each in self._reports if each <= n]:
            report = self._reports.pop(number)
            for delivery in (
                *(each.delivery for each in report.attempts),
                *(each[0] for each in report.moved),
            ):
                self.unnoted.pop(delivery, None)


def _split(given: list[T], at: int) -> tuple[list[T], list[T]]:
    return given[:at], given[at:]
