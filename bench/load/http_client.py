"""HTTP/1.1 kept alive, as little of it as a load needs: a library would cost more than the server."""

import asyncio
import time
from collections import deque
from typing import Self, cast

LENGTH = b"content-length:"


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time.  Bodies come with Content-Length; headers are given as bytes."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = bytearray()
        self.answered: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, ip: str, port: int) -> Self:
        _, protocol = await asyncio.get_running_loop().create_connection(cls, ip, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionResetError("the server closed"))

    async def ask(self, method: str, path: str, headers: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body.  Raises ConnectionResetError."""
        assert self.transport is not None
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(
            b"%s %s HTTP/1.1\r\nHost: bench\r\n%sContent-Length: %d\r\n\r\n%s"
            % (method.encode(), path.encode(), headers, len(body), body)
        )
        return await self.answered

    def data_received(self, data: bytes) -> None:
        self.received += data
        head = self.received.find(b"\r\n\r\n")
        if head < 0 or self.answered is None:
            return
        top = bytes(self.received[:head])
        at = top.lower().find(LENGTH)
        length = int(top[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.received) < head + 4 + length:
            return
        body = bytes(self.received[head + 4 : head + 4 + length])
        self.received.clear()
        answered, self.answered = self.answered, None
        if not answered.done():
            answered.set_result((int(top.split(b" ", 2)[1]), body))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class HttpPool:
    """Connections taken in turn; who finds none free waits."""

    def __init__(self) -> None:
        self.free: deque[HttpConnection] = deque()
        self.all: list[HttpConnection] = []
        self.gate = asyncio.Semaphore(0)

    @classmethod
    async def open(cls, ip: str, port: int, count: int) -> Self:
        pool = cls()
        pool.all = [await HttpConnection.open(ip, port) for _ in range(count)]
        pool.free.extend(pool.all)
        pool.gate = asyncio.Semaphore(count)
        return pool

    async def ask(self, method: str, path: str, headers: bytes, body: bytes = b"") -> tuple[int, bytes, int]:
        """Status, body, and the ns from asking to the answer."""
        async with self.gate:
            connection = self.free.popleft()
            began = time.monotonic_ns()
            try:
                status, answer = await connection.ask(method, path, headers, body)
            finally:
                self.free.append(connection)
            return status, answer, time.monotonic_ns() - began

    def close(self) -> None:
        for connection in self.all:
            connection.close()
