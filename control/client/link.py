"""One WebSocket, seen from the client: requests go out, replies find them, events are handed on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import aiohttp
import msgspec

from .events import Waiting
from .problem import ConnectionLost, RoomtoneError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # of the server: its list of ten thousand sessions is 2 MB


class _ErrorBody(msgspec.Struct):
    code: str
    message: str


class _Frame(msgspec.Struct):
    """Any text frame of the server: a reply has an id, an event has a name."""

    id: str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _ErrorBody | None = None
    event: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Request(msgspec.Struct):
    id: str
    method: str
    params: object


class Link:
    """A connection from its opening to its end.  `ended` is done at the end; events wait for `listen`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._socket = socket
        self._serial = 0
        self._calls: dict[str, asyncio.Future[msgspec.Raw]] = {}
        self._outgoing: deque[bytes] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._early: list[Waiting] = []
        self._hear: Callable[[Waiting], None] = self._early.append
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Frame).decode
        self._reader = loop.create_task(self._read())

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code, once the connection has ended."""
        return self._socket.close_code

    def start(self, method: str, params: object) -> asyncio.Future[msgspec.Raw]:
        """Send a request behind those started before; the future brings its JSON or RoomtoneError."""
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        if self.ended.done():
            answer.set_exception(ConnectionLost("the connection is closed"))
            return answer
        self._serial += 1
        id = str(self._serial)
        self._calls[id] = answer
        answer.add_done_callback(lambda _: self._calls.pop(id, None))
        self._outgoing.append(self._encode(_Request(id, method, params)))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())
        return answer

    def listen(self, hear: Callable[[Waiting], None]) -> None:
        """Hand over the events that came so far, and from now on each as it comes."""
        for item in self._early:
            hear(item)
        self._early = []
        self._hear = hear

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def _send(self) -> None:
        """Write what was started, in order; a lost connection is the reader's to tell."""
        try:
            while self._outgoing:
                await self._socket.send_str(self._outgoing.popleft().decode())
        except (ConnectionError, aiohttp.ClientError):
            self._outgoing.clear()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._frame(self._decode(message.data))
        finally:
            self.ended.set_result(None)
            for answer in list(self._calls.values()):
                if not answer.done():
                    answer.set_exception(ConnectionLost("the connection ended before the reply"))

    def _frame(self, frame: _Frame) -> None:
        if frame.event is not None:
            self._hear((frame.event, frame.data))
            return
        answer = self._calls.get(frame.id or "")
        if answer is None or answer.done():
            return
        if frame.error is not None:
            answer.set_exception(RoomtoneError(frame.error.code, frame.error.message))
        else:
            answer.set_result(frame.result)
