"""Control connections: one WebSocket each, no task per request, and never an await on a slow client.

What goes out is pulled from the connection's EventQueue and offered to the kernel at once; of what it does
not take, the transport gets the rest of one frame, and what is behind it waits here.  A client that does not
read fills its own queue and nothing else, and when its connection ends, what the kernel had not taken goes
back to core.  (With TLS the transport takes up to `SEND_BUFFER_BYTES`, which are lost with the connection.)
What comes in is handed to core one request at a time: the next frame waits until core says `Ready`.

Frames are written directly (RFC 6455 §5.2: final, unmasked): the library's sender awaits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import typing
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError

from roomtone.control.core.effects import ConnectionClosed, ConnectionMessage, ConnectionOpened, Input
from roomtone.control.io.auth import bearer_subprotocol
from roomtone.control.io.clock import now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.log import Log
from roomtone.control.io.timers import Timers
from roomtone.ext.event.websocket import send_texts

SEND_BUFFER_BYTES = 64 * 1024  # websocket.md 3: a connection's send buffer is at most this
PONG_WAIT_US = 10_000_000  # websocket.md 4: dropped 10 s after an unanswered ping
STALL_WAIT_US = 5_000_000  # websocket.md 4: dropped 5 s after a stalled write
SWEEP_US = 500_000  # how often pings and stalls are looked at
UNREADABLE = (web.RequestPayloadError, HttpProcessingError)  # what a request is that is no HTTP
NOT_LOOKED = -1  # Connection.progress: nobody has looked yet
CLOSE_WAIT_S = 2.0  # for the peer's close frame
PENDING_FRAMES = 64  # frames that wait for core before the socket is no longer read
PENDING_BYTES = 1024 * 1024  # or this much text
US_PER_S = 1_000_000

# RFC 6455 §5.2, first byte: FIN and opcode
FIN_TEXT, FIN_PING, FIN_PONG = 0x81, 0x89, 0x8A
LENGTH_7_MAX, LENGTH_16, LENGTH_16_MAX, LENGTH_64 = 125, 126, 0xFFFF, 127
_pack_16 = struct.Struct(">BBH").pack
_pack_64 = struct.Struct(">BBQ").pack

NextOutgoing = Callable[[int], bytes | None]  # takes the next text for a connection; None: nothing waits


def frame_header(first: int, length: int) -> bytes:
    """Header of a final, unmasked frame (RFC 6455 §5.2)."""
    if length <= LENGTH_7_MAX:
        return bytes((first, length))
    if length <= LENGTH_16_MAX:
        return _pack_16(first, LENGTH_16, length)
    return _pack_64(first, LENGTH_64, length)


def plain_descriptor(transport: asyncio.Transport) -> int:
    """The socket's, to send beside the transport while that holds nothing; -1: there is TLS in between."""
    if transport.get_extra_info("sslcontext") is not None:
        return -1
    fd: int = transport.get_extra_info("socket").fileno()
    return fd


class Peer(typing.Protocol):
    """What a WebSocket is to its connection: told when the peer reads again, and when it is gone."""

    def pump(self) -> None: ...

    def lost(self) -> None: ...


class Protocol(web.RequestHandler):
    """The library's connection, which also tells its Peer when it reads again or is gone."""

    __slots__ = ("_counters", "connection")

    def __init__(self, manager: web.Server, counters: Counters, **kwargs: object) -> None:
        super().__init__(manager, **kwargs)  # type: ignore[arg-type]
        self._counters = counters
        self.connection: Peer | None = None

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """A request that cannot be read is counted: a log would quote it, and whoever likes would fill it."""
        if isinstance(kwargs.get("exc_info"), UNREADABLE):
            self._counters.http_malformed += 1
        else:
            super().log_exception(*args, **kwargs)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.connection is not None:
            self.connection.pump()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.connection is not None:
            self.connection.lost()
            self.connection = None  # no cycle: what has ended goes at once, the collector comes rarely
        super().connection_lost(exc)


class Connection:
    """One control connection."""

    __slots__ = (
        "_behind", "_next", "_partial", "_room", "_written", "busy", "fd", "id", "owner", "pending",
        "pending_bytes", "ping_us", "progress", "progress_us", "response", "slack", "transport",
        "withheld",
    )  # fmt: skip

    def __init__(
        self, owner: Connections, id: int, response: web.WebSocketResponse, transport: asyncio.Transport
    ) -> None:
        self.owner = owner
        self.id = id
        self.response = response
        self.transport = transport
        self.fd = plain_descriptor(transport)
        self.busy = False  # core is at work on a request
        self.pending: deque[bytes] = deque()
        self.pending_bytes = 0
        self.withheld = False  # core is ready for a frame, but the peer does not take its replies
        self.ping_us = 0  # when the unanswered ping was sent; 0: none is out
        self.progress = NOT_LOOKED  # bytes the kernel has taken, as of progress_us
        self.progress_us = 0
        self._written = 0
        self.slack = 0 if self.fd >= 0 else SEND_BUFFER_BYTES - 1  # what the transport may hold
        self._partial: bytes | None = None  # the text whose frame's rest the transport holds
        self._behind: list[bytes] = []  # texts that are next
        self._room: asyncio.Future[None] | None = None
        self._next = owner.next_outgoing

    # -- out -----------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """What is offered now may be taken."""
        transport = self.transport
        return transport.get_write_buffer_size() <= self.slack and not transport.is_closing()

    def advance(self) -> None:
        """Offer what waits to the kernel, as far as it takes it."""
        while self.writable and (texts := self._burst()):
            self.owner.counters.messages_sent += len(texts)
            self._offer(texts)
        if self.withheld and self.writable:
            self.withheld = False
            self._hand_over()

    def _burst(self) -> list[bytes]:
        """The next texts, together at most a send buffer and one text."""
        texts, self._behind = self._behind, []
        room = SEND_BUFFER_BYTES - sum(map(len, texts))
        id, following = self.id, self._next
        while room > 0 and (text := following(id)) is not None:
            texts.append(text)
            room -= len(text)
        return texts

    def _offer(self, texts: list[bytes]) -> None:
        frames = [frame_header(FIN_TEXT, len(text)) + text for text in texts]
        if self.fd < 0:
            self.write(b"".join(frames))
            return
        try:
            sent = os.write(self.fd, b"".join(frames))
        except OSError:  # it is full, or the peer is gone: the transport finds out
            sent = 0
        self._written += sent
        for place, frame in enumerate(frames):
            if sent < len(frame):
                self._keep_rest(texts[place], frame[sent:], texts[place + 1 :])
                return
            sent -= len(frame)

    def _keep_rest(self, text: bytes, rest: bytes, behind: list[bytes]) -> None:
        """The kernel took a text in part, or not at all."""
        self._partial = text
        self._behind = behind
        self.owner.counters.messages_sent -= len(behind)
        self.write(rest)
        if self.writable:
            self._partial = None

    def pump(self) -> None:
        """The kernel took what the transport held: go on."""
        self._partial = None
        self.advance()

    def told(self, text: bytes, sent: int) -> None:
        """`sent` bytes of a text's frame were taken by the kernel, not all."""
        self._keep_rest(text, (frame_header(FIN_TEXT, len(text)) + text)[sent:], [])

    def untaken(self) -> list[bytes]:
        """At the end of the connection: what the peer cannot have got, in order; nothing more is sent."""
        left, self._behind = self._behind, []
        if self._partial is not None:
            left = [self._partial, *left]
            self._partial = None
            self.transport.abort()
        return left

    def write(self, data: bytes) -> None:
        unsent = self.owner.unsent
        if self not in unsent:
            unsent[self] = None
            self.progress = NOT_LOOKED
        self._written += len(data)
        self.transport.write(data)

    def control_frame(self, first: int, data: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.write(frame_header(first, len(data)) + data)

    def stalled(self, now: int) -> int:
        """Microseconds since the kernel was last seen to take a byte; asked while some wait for it."""
        taken = self._written - self.transport.get_write_buffer_size()
        if taken != self.progress:
            self.progress = taken
            self.progress_us = now
        return now - self.progress_us

    # -- in ------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        self.owner.counters.messages_received += 1
        if self.busy:
            self.pending.append(data)
            self.pending_bytes += len(data)
        else:
            self.busy = True
            self.owner.submit(ConnectionMessage(self.id, data))

    def ready(self) -> None:
        """Core has answered: hand over the next frame, unless the peer leaves its replies unread."""
        if self.writable or self.transport.is_closing():
            self._hand_over()
        else:
            self.withheld = True

    def _hand_over(self) -> None:
        if self.pending:
            data = self.pending.popleft()
            self.pending_bytes -= len(data)
            self.owner.submit(ConnectionMessage(self.id, data))
        else:
            self.busy = False
        if self._room is not None and not self.crowded:
            self._release()

    @property
    def crowded(self) -> bool:
        return len(self.pending) > PENDING_FRAMES or self.pending_bytes > PENDING_BYTES

    @property
    def reading(self) -> bool:
        """False while the socket is left alone because core is behind: a pong could not be seen then."""
        return self._room is None

    async def room(self) -> None:
        """Wait until the frames that wait are few again, or the peer is gone."""
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def lost(self) -> None:
        """The peer is gone: frames it sent before are not carried out any more."""
        self.pending.clear()
        self.pending_bytes = 0
        self.withheld = False
        self._release()

    def _release(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def serve(self) -> None:
        """Receive until the connection ends."""
        receive = self.response.receive
        while True:
            message = await receive()
            kind = message.type
            if kind is WSMsgType.TEXT:
                self.received(message.data)
                if self.crowded:
                    await self.room()
            elif kind is WSMsgType.PING:
                self.control_frame(FIN_PONG, bytes(message.data))
            elif kind is WSMsgType.PONG:
                self.ping_us = 0
            elif kind is not WSMsgType.BINARY:  # binary frames are ignored (websocket.md 1)
                break
        if kind is WSMsgType.CLOSE:  # an orderly end: what was sent before it is still carried out
            while self.pending and not self.transport.is_closing():
                await self.room()


class Connections:
    """All control connections.  `submit` takes inputs for core, `next_outgoing` gives what a queue holds,
    `keep` puts there what a connection has no room for.
    """

    def __init__(
        self,
        *,
        submit: Callable[[Input], None],
        next_outgoing: NextOutgoing,
        keep: Callable[[int, bytes], None],
        max_message_bytes: int,
        max_connections: int,
        ping_interval_us: int,
        timers: Timers,
        counters: Counters,
        log: Log,
        pong_wait_us: int = PONG_WAIT_US,
        stall_wait_us: int = STALL_WAIT_US,
    ) -> None:
        self.submit = submit
        self.next_outgoing = next_outgoing
        self._keep = keep
        self.counters = counters
        self.unsent: dict[Connection, None] = {}  # those that had something in their send buffer
        self.open: dict[int, Connection] = {}
        self._max_message_bytes = max_message_bytes
        self._max_connections = max_connections
        self._ping_interval_us = ping_interval_us
        self._pong_wait_us = pong_wait_us
        self._stall_wait_us = stall_wait_us
        self._timers = timers
        self._log = log
        self._last_id = 0
        self._accepted = 0
        self._closing: set[asyncio.Task[bool]] = set()
        # Both waits are the same for all connections, so a queue in order of time does for a heap.
        # (due, number): a connection that has ended must not stay for that long.
        self._pings: deque[tuple[int, int]] = deque()
        self._pongs: deque[tuple[int, int]] = deque()

    @property
    def full(self) -> bool:
        return 0 < self._max_connections <= self._accepted

    def start(self) -> None:
        self._timers.set(now_us() + SWEEP_US, ("sweep",), self._sweep)

    async def serve(self, request: web.BaseRequest, app_id: str | None) -> web.WebSocketResponse:
        """Upgrade the request and serve the connection to its end."""
        subprotocol = bearer_subprotocol(request.headers)
        response = web.WebSocketResponse(
            autoclose=False,
            autoping=False,
            compress=False,
            decode_text=False,
            max_msg_size=self._max_message_bytes + 1,  # the library refuses from this size on
            protocols=(subprotocol,) if subprotocol else (),
            timeout=CLOSE_WAIT_S,
        )
        with self.place():
            await response.prepare(request)
            protocol = request.protocol
            transport = request.transport
            if transport is None:
                return response
            tcp = transport.get_extra_info("socket")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            self._last_id += 1
            connection = Connection(self, self._last_id, response, transport)
            transport.set_write_buffer_limits(high=connection.slack)
            assert isinstance(protocol, Protocol)
            protocol.connection = connection
            self.open[connection.id] = connection
            self.counters.connections += 1
            if self._ping_interval_us:
                self._pings.append((now_us() + self._ping_interval_us, connection.id))
            try:
                self.submit(ConnectionOpened(connection.id, app_id))
                await connection.serve()
            finally:
                self.submit(ConnectionClosed(connection.id, connection.untaken()))
                del self.open[connection.id]
                self.counters.connections -= 1
                self.unsent.pop(connection, None)
        return response

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of `max_connections`, a control or an audio connection."""
        self._accepted += 1
        try:
            yield
        finally:
            self._accepted -= 1

    # -- effects -------------------------------------------------------------------------------------------

    def wake(self, id: int) -> None:
        connection = self.open.get(id)
        if connection is not None:
            connection.advance()

    def tell(self, ids: list[int], texts: list[bytes]) -> None:
        """Send a text to each at once; where something waits already it goes behind that."""
        connections: list[Connection] = []
        fds: list[int] = []
        frames: list[bytes] = []
        open = self.open
        for id, text in zip(ids, texts, strict=True):
            connection = open.get(id)
            if connection is None:
                continue
            transport = connection.transport
            if connection.fd < 0 or transport.get_write_buffer_size() or transport.is_closing():
                self._keep(id, text)
                connection.advance()
            else:
                connections.append(connection)
                fds.append(connection.fd)
                frames.append(text)
        self.counters.messages_sent += len(frames)
        for place, sent in send_texts(fds, frames):
            connections[place].told(frames[place], sent)

    def ready(self, id: int) -> None:
        connection = self.open.get(id)
        if connection is not None:
            connection.ready()

    def close(self, id: int, code: int, reason: str) -> None:
        """Send a close frame; the peer has CLOSE_WAIT_S to answer it."""
        connection = self.open.get(id)
        if connection is not None:
            closing = asyncio.ensure_future(connection.response.close(code=code, message=reason.encode()))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def close_all(self, code: int, reason: str) -> None:
        for id in list(self.open):
            self.close(id, code, reason)

    # -- pings and stalls ----------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now = now_us()
        self._timers.set(now + SWEEP_US, ("sweep",), self._sweep)
        if self._ping_interval_us:
            self._sweep_pings(now)
        waiting = [c for c in self.unsent if c.transport.get_write_buffer_size()]
        self.unsent.clear()
        for connection in waiting:
            self.unsent[connection] = None
            if connection.stalled(now) >= self._stall_wait_us:
                self._drop(connection, "write_stalled")

    def _sweep_pings(self, now: int) -> None:
        pings, pongs = self._pings, self._pongs
        while pings and pings[0][0] <= now:
            _, id = pings.popleft()
            connection = self.open.get(id)
            if connection is None:
                continue
            if connection.ping_us == 0:
                connection.ping_us = now
                connection.control_frame(FIN_PING)
                pongs.append((now + self._pong_wait_us, id))
            pings.append((now + self._ping_interval_us, id))
        while pongs and pongs[0][0] <= now:
            due, id = pongs.popleft()
            connection = self.open.get(id)
            if connection is None or connection.ping_us != due - self._pong_wait_us:
                continue
            if connection.reading:
                self._drop(connection, "ping_unanswered")
            else:
                connection.ping_us = now
                pongs.append((now + self._pong_wait_us, id))

    def _drop(self, connection: Connection, reason: str) -> None:
        self.counters.connections_dropped[reason] += 1
        self._log.info("connection_dropped", connection=connection.id, reason=reason)
        connection.transport.abort()
