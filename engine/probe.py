"""The self-probe: once a second a datagram through a real socket pair into the media thread.

It proves that the thread still receives, whatever else is green.  The receiving socket belongs to a hidden
endpoint (cname "probe"), which is in no bus.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from roomtone.engine.messages import Probe

if TYPE_CHECKING:
    from roomtone.engine.events import Outbox
    from roomtone.engine.timers import Timers
    from roomtone.ext.flow.media import Media

PERIOD_US = 1_000_000  # websocket.md section 7: a packet every second
PROBE_CNAME = "probe"
_LOOPBACK = "127.0.0.1"
_DATAGRAM = b"roomtone probe"


class SelfProbe:
    """Owns both sockets.  A missing answer is reported when the next datagram is due."""

    __slots__ = ("_awaited", "_media", "_outbox", "_receiver", "_sender", "_timers")

    def __init__(self, media: Media, outbox: Outbox, timers: Timers) -> None:
        self._media = media
        self._outbox = outbox
        self._timers = timers
        self._awaited = False
        self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._receiver.bind((_LOOPBACK, 0))
        self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sender.connect(self._receiver.getsockname())

    def start(self, now_us: int) -> None:
        """Open the hidden endpoint and begin."""
        port = self._receiver.getsockname()[1]
        self._media.endpoint_open(
            self._media.endpoint_take(),
            rtp_fd=self._receiver.fileno(),
            rtcp_fd=-1,
            local=(_LOOPBACK, port),
            local_rtcp_port=port,
            ssrc=1,
            cname=PROBE_CNAME,
            seq=0,
            timestamp=0,
        )
        self._timers.at(now_us, self._due)

    def answered(self) -> None:
        """FACT_PROBE: the datagram reached the media thread."""
        if self._awaited:
            self._awaited = False
            self._outbox.put_droppable(Probe(True))

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()

    def _due(self, _: None, now_us: int) -> None:
        if self._awaited:
            self._outbox.put_droppable(Probe(False))
        self._awaited = True
        with contextlib.suppress(OSError):  # a full or refused socket is what the missing answer says
            self._sender.send(_DATAGRAM)
        self._timers.at(now_us + PERIOD_US, self._due)
