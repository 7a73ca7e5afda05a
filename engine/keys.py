"""Key presses towards a peer, one at a time an endpoint.

    idle --press--> sending --FACT_INJECT_DONE--> pausing --40 ms--> idle, or sending the next

The media thread sends one RFC 4733 event at a time; what comes in meanwhile waits here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from roomtone.engine.errors import CommandError

if TYPE_CHECKING:
    from roomtone.engine.plan import RtpEndpoint
    from roomtone.engine.timers import Timers
    from roomtone.ext.flow.media import Media

DIGITS = "0123456789*#ABCD"  # RFC 4733 section 3.2, table 3: event codes 0 to 15
PAUSE_US = 40_000  # ITU-T Q.24: shortest pause between digits a receiver must accept
DONE_GRACE_US = 1_000_000  # the fact may be lost with a full ring: then the press is taken as done
MAX_WAITING = 256  # key presses that may wait at one endpoint


class KeyQueue:
    """State of one endpoint.  busy: sending or pausing; serial tells a stale timer from the present one."""

    __slots__ = ("busy", "serial", "waiting")

    def __init__(self) -> None:
        self.busy = False
        self.serial = 0
        self.waiting: deque[tuple[int, int, int]] = deque()  # (event code, duration_ms, volume)


class Keys:
    """Starts presses and waits for their ends."""

    __slots__ = ("_media", "_timers")

    def __init__(self, media: Media, timers: Timers) -> None:
        self._media = media
        self._timers = timers

    def press(self, endpoint: RtpEndpoint, digit: str, duration_ms: int, volume: int, now_us: int) -> None:
        """Queue one press; it starts now when nothing is under way."""
        event = DIGITS.find(digit.upper()) if len(digit) == 1 else -1
        if event < 0:
            raise CommandError("INVALID_PARAMS", f"no such key: {digit!r}")
        if endpoint.profile is None or endpoint.profile.event_send is None:
            raise CommandError("ENDPOINT_ERROR", "the peer negotiated no telephone-event")
        queue = endpoint.keys
        if queue is None:
            queue = endpoint.keys = KeyQueue()
        if len(queue.waiting) >= MAX_WAITING:
            raise CommandError("ENDPOINT_ERROR", f"{MAX_WAITING} keys wait already")
        queue.waiting.append((event, duration_ms, volume))
        if not queue.busy:
            self._start(endpoint, queue, now_us)

    def done(self, endpoint: RtpEndpoint, now_us: int) -> None:
        """The media thread sent the last end packet."""
        queue = endpoint.keys
        if queue is not None and queue.busy:
            queue.serial += 1
            self._timers.at(now_us + PAUSE_US, self._pause_over, (endpoint, queue.serial))

    def _start(self, endpoint: RtpEndpoint, queue: KeyQueue, now_us: int) -> None:
        event, duration_ms, volume = queue.waiting.popleft()
        queue.busy = True
        queue.serial += 1
        self._media.inject(endpoint.handle, event=event, duration_ms=duration_ms, volume=volume)
        due_us = now_us + duration_ms * 1000 + DONE_GRACE_US
        self._timers.at(due_us, self._pause_over, (endpoint, queue.serial))

    def _pause_over(self, key: tuple[RtpEndpoint, int], now_us: int) -> None:
        endpoint, serial = key
        queue = endpoint.keys
        if endpoint.gone or queue is None or queue.serial != serial:
            return
        queue.busy = False
        if queue.waiting:
            self._start(endpoint, queue, now_us)
