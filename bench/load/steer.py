"""The engine's control WebSocket, as far as the load needs it."""

import asyncio
import itertools
from typing import Any, Self, cast

import aiohttp
import msgspec

from roomtone.bench.load.payload import FRAME_MS, Format
from roomtone.bench.load.websocket import (
    CLOSE,
    FIN_TEXT,
    HEAD_END,
    PING,
    PONG,
    SWITCHED,
    frame,
    split,
    upgrade,
)

EVENT_PAYLOAD_TYPE = 101
EVENT_LINES = (
    f"a=rtpmap:{EVENT_PAYLOAD_TYPE} telephone-event/8000",
    f"a=fmtp:{EVENT_PAYLOAD_TYPE} 0-15",
)
CONCURRENT_CONNECTIONS = 8
REPLY_WAIT_S = 30.0
READ_BYTES = 65536
NORMAL_CLOSURE = (1000).to_bytes(2, "big")  # RFC 6455 section 7.4.1
CLOSED = "the engine closed the connection"


class SteerError(RuntimeError):
    """The engine answered with an error, or closed the connection."""


def offer(ip: str, port: int, fmt: Format, direction: str = "sendrecv", events: bool = True) -> str:
    """An offer as a telephone would make it: one codec, telephone-event unless told otherwise, rtcp-mux."""
    lines = [
        "v=0",
        f"o=- {port} 1 IN {family(ip)} {ip}",
        "s=-",
        f"c=IN {family(ip)} {ip}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {fmt.payload_type}" + (f" {EVENT_PAYLOAD_TYPE}" if events else ""),
        f"a=rtpmap:{fmt.payload_type} {fmt.encoding}/{fmt.rate_hz}",
        *(EVENT_LINES if events else ()),
        f"a=ptime:{FRAME_MS}",
        "a=rtcp-mux",
        f"a={direction}",
    ]
    return "\r\n".join(lines) + "\r\n"


def family(ip: str) -> str:
    return "IP6" if ":" in ip else "IP4"


def answered_address(sdp: str) -> tuple[str, int]:
    """Address and port of the first audio m-line; the media-level c= beats the session's."""
    ip, port = "", 0
    for line in sdp.splitlines():
        if line.startswith("m=audio"):
            port = int(line.split()[1])
        elif line.startswith("c=IN"):
            ip = line.split()[2].partition("/")[0]
    if not ip or not port:
        raise SteerError(f"no audio in the answer:\n{sdp}")
    return ip, port


class Steering(asyncio.BufferedProtocol):
    """One control connection.  Events are counted by name and thrown away.

    Frames are read and written here, without a library: the client shares the CPUs with what is measured.
    """

    def __init__(self, ip: str) -> None:
        self.events: dict[str, int] = {}
        self._ip = ip
        self._room = bytearray(READ_BYTES)
        self._part = b""  # a frame, or the head of the upgrade's answer, that is not all there yet
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(cls, ip: str, port: int) -> Self:
        """Connect and upgrade.  SteerError: the engine refused."""
        _, steering = await asyncio.get_running_loop().create_connection(lambda: cls(ip), ip, port)
        await asyncio.wait_for(steering._opened, REPLY_WAIT_S)
        return steering

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its result.  SteerError: the engine refused, or closed the connection."""
        if self._ended.done():
            raise SteerError(CLOSED)
        number = str(next(self._numbers))
        answered = self._waiting[number] = self._loop.create_future()
        asked = {"id": number, "method": method, "params": params}
        self._transport.write(frame(FIN_TEXT, msgspec.json.encode(asked)))
        late = self._loop.call_later(REPLY_WAIT_S, self._late, number)
        try:
            reply = await answered
        finally:
            late.cancel()
        if "error" in reply:
            raise SteerError(f"{method}: {reply['error']['code']}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def close(self) -> None:
        if not self._ended.done():
            self._transport.write(frame(CLOSE, NORMAL_CLOSURE))
            await asyncio.wait_for(self._ended, REPLY_WAIT_S)

    # -- what the loop calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(upgrade(self._ip))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set_result(None)
        waiting, self._waiting = self._waiting, {}
        if not self._opened.done():
            self._opened.set_exception(SteerError(CLOSED))
        for future in waiting.values():
            if not future.done():
                future.set_exception(SteerError(CLOSED))

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        data = self._part + self._room[:nbytes]
        self._part = b""
        if not self._opened.done():
            head, end, data = data.partition(HEAD_END)
            if not end:
                self._part = head
                return
            if not head.startswith(SWITCHED):
                self._opened.set_exception(SteerError(head.split(b"\r\n", 1)[0].decode()))
                self._transport.close()
                return
            self._opened.set_result(None)
        at = 0
        while found := split(data, at):
            first, begin, at = found
            self._frame(first, data[begin:at])
        self._part = data[at:]

    def _frame(self, first: int, payload: bytes) -> None:
        if first == FIN_TEXT:
            message = msgspec.json.decode(payload)
            if "event" in message:
                self.events[message["event"]] = self.events.get(message["event"], 0) + 1
            elif (future := self._waiting.pop(message["id"], None)) and not future.done():
                future.set_result(message)
        elif first == PING:
            self._transport.write(frame(PONG, payload))
        elif first == CLOSE:
            self._transport.close()

    def _late(self, number: str) -> None:
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_exception(SteerError(f"no answer within {REPLY_WAIT_S:.0f} s"))


class Switchboard:
    """All control connections of a run: one a session."""

    def __init__(self, ip: str, port: int) -> None:
        self.ip, self.port = ip, port
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.sessions: list[Steering] = []

    async def connect(self) -> Steering:
        return await Steering.open(self.ip, self.port)

    async def rooms(self, offers: list[str], size: int) -> list[tuple[str, int]]:
        """One session of `size` endpoints for each `size` offers; returns where each caller sends to."""
        gate = asyncio.Semaphore(CONCURRENT_CONNECTIONS)

        async def room(first: int) -> tuple[Steering, list[tuple[str, int]]]:
            async with gate:
                steering = await self.connect()
                await steering.call("session.create")
                out = []
                for sdp in offers[first : first + size]:
                    made = await steering.call("endpoint.create_from_offer", sdp=sdp)
                    out.append(answered_address(made["sdp_answer"]))
                return steering, out

        made = await asyncio.gather(*(room(first) for first in range(0, len(offers), size)))
        self.sessions = [steering for steering, _ in made]
        return [address for _, addresses in made for address in addresses]

    async def close(self) -> None:
        await asyncio.gather(*(s.close() for s in self.sessions), return_exceptions=True)
        await self.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
