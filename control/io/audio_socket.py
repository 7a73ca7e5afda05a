"""Audio WebSockets of bots: binary frames of raw s16le on one side, RTP over loopback on the other.

For the media thread a bot is an RTP peer, and that peer is this file: one UDP socket a bot, connected to the
port of the bot's endpoint.  What the bot says goes through its `Pace` and leaves on one wheel for all bots,
50 ticks a second while anybody has something to say.  What it is to hear is carried on as it comes.

Nobody waits for a bot: one that does not read loses the oldest of what waits for it (counted), one that says
more than the queue holds is not read for the time being.  Core decides everything else; see core/audio.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec
from aiohttp import WSMsgType, web

from roomtone.control.core.effects import (
    AudioBound,
    AudioDialled,
    AudioEnded,
    CloseAudio,
    Input,
    OpenAudio,
    StartAudio,
)
from roomtone.control.io.audio_pace import QUEUE_SECONDS, TICK_MS, Gather, Pace, bytes_of
from roomtone.control.io.clock import now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.log import Log
from roomtone.control.io.timers import Timers
from roomtone.control.io.ws import (
    CLOSE_WAIT_S,
    FIN_PING,
    FIN_PONG,
    FIN_TEXT,
    PONG_WAIT_US,
    SEND_BUFFER_BYTES,
    Protocol,
    frame_header,
    plain_descriptor,
)

LOOPBACK = "127.0.0.1"
PAYLOAD_TYPE, MARKER = 96, 0x80  # core/audio.py; RFC 3550 section 5.1
RTP_VERSION_2 = 0x80
RTP_HEADER = struct.Struct(">BBHII")
RTP_BYTES = 1500
ENGINE_FRAME = {8000: 160, 16000: 320, 48000: 320}  # samples a packet holds, by the bot's sample rate
TICK_US = TICK_MS * 1000
CATCH_UP_TICKS = 2  # slept through: made up for, within the engine's playout delay; more are passed over
MAX_FRAME_BYTES = bytes_of(QUEUE_SECONDS * 1000, 48_000)  # of one frame of a bot
FIN_BINARY = 0x82  # RFC 6455 section 5.2
ROOM_BYTES = 16 * 1024  # of the transport's buffer that audio may fill
BACKLOG_MS = 2000  # that wait for a bot that does not read
NAME_BYTES = 1024  # of a mark
SWEEP_US = 500_000
REST_US = 100_000  # without a packet: what was gathered so far goes out


class Said(msgspec.Struct):
    """A text frame of a bot."""

    event: str
    name: str = ""


_said = msgspec.json.Decoder(Said).decode
_text = msgspec.json.Encoder().encode


class AudioSocket:
    """One bot."""

    __slots__ = (
        "_backlog", "_backlog_bytes", "_backlog_max", "_fd", "_frame_samples", "_gather", "_heard_us",
        "_room", "_seq", "_ssrc", "_ts", "_udp", "number", "owner", "pace", "ping_us", "pinged_us",
        "response", "started", "transport",
    )  # fmt: skip

    def __init__(
        self, owner: AudioSockets, number: int, response: web.WebSocketResponse, transport: asyncio.Transport
    ) -> None:
        self.owner = owner
        self.number = number
        self.response = response
        self.transport = transport
        self._fd = plain_descriptor(transport)
        self.pace = Pace(8000)
        self.started = False  # the worker listens
        self.pinged_us = now_us()  # the newest ping
        self.ping_us = 0  # the unanswered one; 0: none is out
        self._udp: socket.socket | None = None
        self._gather = Gather(8000, 0)
        self._frame_samples = 0
        self._seq, self._ssrc, self._ts = struct.unpack(">HII", os.urandom(10))
        self._ssrc = self._ssrc or 1
        self._heard_us = 0
        self._backlog: deque[bytes] = deque()  # frames the transport has no room for
        self._backlog_bytes = 0
        self._backlog_max = 0
        self._room: asyncio.Future[None] | None = None

    def open(self, effect: OpenAudio) -> int:
        """Our end of the loopback pair; its port.  Raises OSError."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._udp = udp
        udp.connect((LOOPBACK, effect.port))
        while _receive(udp):
            pass  # of somebody who found the port before it was connected
        self.pace = Pace(effect.sample_rate)
        self._gather = Gather(effect.sample_rate, effect.flush_ms)
        self._frame_samples = ENGINE_FRAME[effect.sample_rate]
        self._backlog_max = bytes_of(BACKLOG_MS, effect.sample_rate)
        return int(udp.getsockname()[1])

    def start(self) -> None:
        assert self._udp is not None
        self.started = True
        asyncio.get_running_loop().add_reader(self._udp.fileno(), self._readable)
        self.owner.wake(self)

    def end(self) -> None:
        self.started = False
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp.fileno())
            self._udp.close()
            self._udp = None

    # -- the bot speaks --------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Receive until the connection ends."""
        receive = self.response.receive
        while True:
            message = await receive()
            kind = message.type
            if kind is WSMsgType.BINARY:
                self.pace.put(message.data)
                self.owner.wake(self)
            elif kind is WSMsgType.TEXT:
                self._told(message.data)
            elif kind is WSMsgType.PING:
                self._write(FIN_PONG, bytes(message.data))
            elif kind is WSMsgType.PONG:
                self.ping_us = 0
            else:
                return
            if self.crowded:
                await self._wait_for_room()

    def _told(self, data: bytes) -> None:
        """A text frame; what is none of ours is left alone."""
        try:
            said = _said(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said = Said("")
        if said.event in ("flush", "clear"):
            self.owner.counters.audio_flushes += 1
            discarded_ms, names = self.pace.flush()
            for name in names:
                self._passed(name, played=False)
            self._write(FIN_TEXT, _text({"event": "flushed", "discarded_ms": discarded_ms}))
        elif said.event == "mark" and len(said.name.encode()) <= NAME_BYTES:
            self.pace.mark(said.name)
            self.owner.wake(self)
        else:
            self.owner.counters.audio_texts_ignored += 1

    def tick(self, number: int) -> None:
        """Send what this tick is for, and tell of the marks that have been passed."""
        frame = self.pace.frame(number)
        if frame is not None:
            payload, begins = frame
            self._seq = self._seq + 1 & 0xFFFF
            header = RTP_HEADER.pack(
                RTP_VERSION_2,
                PAYLOAD_TYPE | (MARKER if begins else 0),
                self._seq,
                self._ts + number * self._frame_samples & 0xFFFFFFFF,
                self._ssrc,
            )
            self._send(header + payload)
        for name in self.pace.passed(number):
            self._passed(name, played=True)
        self._give_room()

    def _send(self, packet: bytes) -> None:
        assert self._udp is not None
        try:
            self._udp.send(packet)
            self.owner.counters.audio_frames["rx"] += 1
        except OSError:  # the worker is gone, or very late
            self.owner.counters.audio_dropped["send"] += 1

    def _passed(self, name: str, *, played: bool) -> None:
        self._write(FIN_TEXT, _text({"event": "mark", "name": name, "played": played}))

    # -- the bot hears ---------------------------------------------------------------------------------------

    def _readable(self) -> None:
        assert self._udp is not None
        packet = _receive(self._udp)
        # Everything else that the worker sends is RTCP, which tells nothing new here.
        if packet is None or len(packet) < RTP_HEADER.size or packet[1] & ~MARKER != PAYLOAD_TYPE:
            return
        self._heard_us = now_us()
        frame = self._gather.put(packet[RTP_HEADER.size :])
        if frame is not None:
            self._deliver(frame)

    def _deliver(self, frame: bytes) -> None:
        self.owner.counters.audio_frames["tx"] += 1
        self._backlog.append(frame)
        self._backlog_bytes += len(frame)
        self.pump()
        while self._backlog_bytes > self._backlog_max and len(self._backlog) > 1:
            self._backlog_bytes -= len(self._backlog.popleft())
            self.owner.counters.audio_dropped["slow_reader"] += 1

    def deliver_rest(self, now: int) -> None:
        """What was gathered goes out although no more has come."""
        if now - self._heard_us > REST_US and (rest := self._gather.rest()):
            self._deliver(rest)

    def pump(self) -> None:
        """Move what waits to the transport, as far as there is room."""
        transport, backlog = self.transport, self._backlog
        while backlog and transport.get_write_buffer_size() < ROOM_BYTES:
            frame = backlog.popleft()
            self._backlog_bytes -= len(frame)
            self._write(FIN_BINARY, frame)
        self._give_room()

    def _write(self, first: int, data: bytes) -> None:
        """Straight to the kernel; the transport gets what that does not take."""
        transport = self.transport
        if transport.is_closing():
            return
        frame = frame_header(first, len(data)) + data
        if self._fd >= 0 and not transport.get_write_buffer_size():
            with suppress(OSError):  # it is full, or the peer is gone: the transport finds out
                frame = frame[os.write(self._fd, frame) :]
        if frame:
            transport.write(frame)

    def ping(self, now: int) -> None:
        self.ping_us = self.pinged_us = now
        self._write(FIN_PING, b"")

    # -- not reading -----------------------------------------------------------------------------------------

    @property
    def crowded(self) -> bool:
        """It has said more than is taken, or does not read what it asked for."""
        return self.pace.full or self.transport.get_write_buffer_size() >= SEND_BUFFER_BYTES

    @property
    def reading(self) -> bool:
        """False while the socket is left alone: a pong could not be seen then."""
        return self._room is None

    async def _wait_for_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _give_room(self) -> None:
        if self._room is not None and not self._room.done() and not self.crowded:
            self._room.set_result(None)

    def lost(self) -> None:
        """The connection is gone."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


def _receive(udp: socket.socket) -> bytes | None:
    """A datagram; None: there is none, or a refusal of one of ours was."""
    try:
        return udp.recv(RTP_BYTES)
    except OSError:
        return None


class AudioSockets:
    """All bots, and the wheel they speak on."""

    def __init__(
        self,
        *,
        submit: Callable[[Input], None],
        ping_interval_us: int,
        timers: Timers,
        counters: Counters,
        log: Log,
        pong_wait_us: int = PONG_WAIT_US,
    ) -> None:
        self.counters = counters
        self._submit = submit
        self._ping_interval_us = ping_interval_us
        self._pong_wait_us = pong_wait_us
        self._timers = timers
        self._log = log
        self._open: dict[int, AudioSocket] = {}
        self._last_number = 0
        self._closing: set[asyncio.Task[bool]] = set()
        self._speaking: dict[AudioSocket, None] = {}  # those for whom ticks matter
        self._next_tick = 0  # 0: the wheel stands still

    async def serve(self, request: web.BaseRequest, token: str) -> web.WebSocketResponse:
        """Upgrade the request and serve the bot to its end."""
        response = web.WebSocketResponse(
            autoclose=False,
            autoping=False,
            compress=False,
            decode_text=False,
            max_msg_size=MAX_FRAME_BYTES + 1,  # the library refuses from this size on
            timeout=CLOSE_WAIT_S,
        )
        await response.prepare(request)
        protocol, transport = request.protocol, request.transport
        if transport is None:
            return response
        transport.set_write_buffer_limits(high=ROOM_BYTES - 1, low=ROOM_BYTES // 4)
        self._last_number += 1
        bot = AudioSocket(self, self._last_number, response, transport)
        assert isinstance(protocol, Protocol)
        protocol.connection = bot
        self._open[bot.number] = bot
        self.counters.audio_sockets += 1
        if len(self._open) == 1:
            self._timers.set(now_us() + SWEEP_US, ("audio_sweep",), self._sweep)
        try:
            self._submit(AudioDialled(bot.number, token))
            await bot.serve()
        finally:
            bot.end()
            del self._open[bot.number]
            self._speaking.pop(bot, None)
            self.counters.audio_sockets -= 1
            self._submit(AudioEnded(bot.number))
        return response

    # -- effects ---------------------------------------------------------------------------------------------

    def open(self, effect: OpenAudio) -> None:
        bot = self._open.get(effect.socket)
        if bot is None:
            return
        try:
            port = bot.open(effect)
        except OSError as error:
            self._log.error("audio_socket_not_opened", error=str(error))
            self.close(CloseAudio(effect.socket, 1011, "no socket towards the media worker"))
            return
        self._submit(AudioBound(effect.socket, port))

    def start(self, effect: StartAudio) -> None:
        bot = self._open.get(effect.socket)
        if bot is not None:
            bot.start()

    def close(self, effect: CloseAudio) -> None:
        """Send a close frame; the peer has CLOSE_WAIT_S to answer it."""
        bot = self._open.get(effect.socket)
        if bot is not None:
            bot.end()
            self._speaking.pop(bot, None)
            closing = asyncio.ensure_future(
                bot.response.close(code=effect.code, message=effect.reason.encode())
            )
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    # -- the wheel -------------------------------------------------------------------------------------------

    def wake(self, bot: AudioSocket) -> None:
        """The bot has something for the next ticks."""
        if bot.started and bot.pace.busy:
            self._speaking[bot] = None
            if not self._next_tick:
                self._next_tick = now_us() // TICK_US + 1
                self._arm()

    def _arm(self) -> None:
        self._timers.set(self._next_tick * TICK_US, ("audio_wheel",), self._turn)

    def _turn(self) -> None:
        tick = now_us() // TICK_US
        if tick - self._next_tick > CATCH_UP_TICKS:
            self.counters.audio_ticks_skipped += tick - self._next_tick
            self._next_tick = tick
        for number in range(self._next_tick, tick + 1):
            for bot in self._speaking:
                bot.tick(number)
        for bot in [bot for bot in self._speaking if not bot.pace.busy]:
            del self._speaking[bot]
        self._next_tick = tick + 1 if self._speaking else 0
        if self._speaking:
            self._arm()

    # -- pings -----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        now = now_us()
        for bot in self._open.values():
            bot.deliver_rest(now)
            if not self._ping_interval_us:
                continue
            if bot.ping_us and not bot.reading:
                bot.ping_us = now
            elif bot.ping_us and now - bot.ping_us >= self._pong_wait_us:
                self.counters.connections_dropped["audio_ping_unanswered"] += 1
                self._log.info("audio_socket_dropped", reason="ping_unanswered")
                bot.transport.abort()
            elif not bot.ping_us and now - bot.pinged_us >= self._ping_interval_us:
                bot.ping(now)
        if self._open:
            self._timers.set(now + SWEEP_US, ("audio_sweep",), self._sweep)
