"""The engine's control WebSocket, as far as the load needs it."""

import asyncio
import itertools
from typing import Any, Self

import aiohttp

from roomtone.bench.load.payload import FRAME_MS, Format

EVENT_PAYLOAD_TYPE = 101
EVENT_LINES = (
    f"a=rtpmap:{EVENT_PAYLOAD_TYPE} telephone-event/8000",
    f"a=fmtp:{EVENT_PAYLOAD_TYPE} 0-15",
)
CONCURRENT_CONNECTIONS = 8
REPLY_WAIT_S = 30.0


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


class Steering:
    """One control connection.  Events are counted by name and thrown away."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.events: dict[str, int] = {}
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self.socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = frame.json()
            if "event" in message:
                self.events[message["event"]] = self.events.get(message["event"], 0) + 1
            elif (future := self.waiting.pop(message["id"], None)) and not future.done():
                future.set_result(message)
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(SteerError("the engine closed the connection"))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its result.  SteerError: the engine refused."""
        number = str(next(self.numbers))
        future = asyncio.get_running_loop().create_future()
        self.waiting[number] = future
        await self.socket.send_json({"id": number, "method": method, "params": params})
        reply = await asyncio.wait_for(future, REPLY_WAIT_S)
        if "error" in reply:
            raise SteerError(f"{method}: {reply['error']['code']}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def close(self) -> None:
        await self.socket.close()
        await self.reader


class Switchboard:
    """All control connections of a run: one a session."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.sessions: list[Steering] = []

    async def connect(self) -> Steering:
        return Steering(await self.http.ws_connect(self.url, max_msg_size=0))

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
