"""One control connection, seen from the client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

CONNECTION_LOST = "CONNECTION_LOST"
MAX_MESSAGE_BYTES = (
    16 * 1024 * 1024
)  # what we accept of the server: its list of ten thousand sessions is 2 MB


class RoomtoneError(Exception):
    """The server refused a request.  code: as in the protocol; message: a sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Event(msgspec.Struct, frozen=True):
    """Something the server told unasked."""

    name: str
    data: dict[str, Any]


class _ErrorBody(msgspec.Struct):
    code: str
    message: str


class _Frame(msgspec.Struct):
    """Any text frame of the server: a reply has an id, an event has a name."""

    id: str | None = None
    result: Any = None
    error: _ErrorBody | None = None
    event: str | None = None
    data: dict[str, Any] = {}


async def connect(
    url: str, *, token: str | None = None, session: aiohttp.ClientSession | None = None
) -> Client:
    """Open a control connection.  Raises aiohttp's errors when the server refuses it (401, 503).

    token: bearer token, where the server wants one.  session: an HTTP session to share; it stays open.
    """
    own = session is None
    http = aiohttp.ClientSession() if session is None else session
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        socket = await http.ws_connect(
            url, headers=headers, max_msg_size=MAX_MESSAGE_BYTES, compress=0, decode_text=False
        )
    except BaseException:
        if own:
            await http.close()
        raise
    return Client(socket, http if own else None)


class Client:
    """Requests are answered in order; several may be under way at once.  Make it with `connect`."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[Any], http: aiohttp.ClientSession | None
    ) -> None:
        self._socket = socket
        self._http = http
        self._serial = 0
        self._calls: dict[str, asyncio.Future[Any]] = {}
        self._outgoing: deque[bytes] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Frame).decode
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def call(self, method: str, /, **params: Any) -> Any:
        """Send a request and wait for its result.  Raises RoomtoneError."""
        return await self.start(method, **params)

    def start(self, method: str, /, **params: Any) -> asyncio.Future[Any]:
        """Send a request; its result comes with the future, or RoomtoneError does.

        Requests go out in the order they were started.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(RoomtoneError(CONNECTION_LOST, "the connection is closed"))
            return answer
        self._serial += 1
        id = str(self._serial)
        request: dict[str, Any] = {"id": id, "method": method}
        if params:
            request["params"] = params
        self._calls[id] = answer
        answer.add_done_callback(lambda _: self._calls.pop(id, None))
        self._outgoing.append(self._encode(request))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())
        return answer

    async def _send(self) -> None:
        """Write what was started, in order; a lost connection is the reader's to tell."""
        try:
            while self._outgoing:
                await self._socket.send_str(self._outgoing.popleft().decode())
        except (ConnectionError, aiohttp.ClientError):
            self._outgoing.clear()

    async def events(self) -> AsyncIterator[Event]:
        """Events in the order they came, until the connection ends."""
        while (event := await self._next()) is not None:
            yield event

    async def event(self, name: str, where: Callable[[dict[str, Any]], bool] = lambda data: True) -> Event:
        """The next event of that name for which `where(data)` holds; events before it are passed over.

        Raises RoomtoneError when the connection ends first.  Bound it with ``asyncio.timeout``.
        """
        while (event := await self._next()) is not None:
            if event.name == name and where(event.data):
                return event
        raise RoomtoneError(CONNECTION_LOST, f"the connection ended before {name}")

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code, once the connection is closed."""
        return self._socket.close_code

    async def close(self) -> None:
        """Close the connection; the server keeps its session for a while (orphaned)."""
        await self._socket.close()
        await self._reader
        if self._http is not None:
            await self._http.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _next(self) -> Event | None:
        while not self._events:
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._frame(self._decode(message.data))
        finally:
            self._closed = True
            self._news.set()
            for answer in self._calls.values():
                if not answer.done():
                    answer.set_exception(
                        RoomtoneError(CONNECTION_LOST, "the connection ended before the reply")
                    )

    def _frame(self, frame: _Frame) -> None:
        if frame.event is not None:
            self._events.append(Event(frame.event, frame.data))
            self._news.set()
            return
        answer = self._calls.get(frame.id or "")
        if answer is None or answer.done():
            return
        if frame.error is not None:
            answer.set_exception(RoomtoneError(frame.error.code, frame.error.message))
        else:
            answer.set_result(frame.result)
