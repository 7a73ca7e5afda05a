"""A WebSocket peer that does exactly what a test says: it may refuse to read, answer pings, or close."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any

import msgspec

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10  # RFC 6455 section 5.2
READ_LIMIT_BYTES = 1024  # what asyncio buffers before it stops reading the socket (twice this)
SMALL_RECEIVE_BUFFER_BYTES = 4096


class RawPeer:
    """One connection.  Nothing is read before a method asks for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.serial = 0

    @classmethod
    async def open(cls, port: int, path: str = "/", headers: dict[str, str] | None = None) -> RawPeer:
        """Connect and upgrade; fails unless the server answers 101."""
        peer, status, _ = await cls.request(port, path, headers)
        assert status == 101, status
        return peer

    @classmethod
    async def request(
        cls, port: int, path: str = "/", headers: dict[str, str] | None = None
    ) -> tuple[RawPeer, int, dict[str, str]]:
        """Ask for an upgrade; headers beat the usual ones.  Returns the peer, the
        status and the answer's headers."""
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_RECEIVE_BUFFER_BYTES)
        tcp.setblocking(False)
        await asyncio.get_running_loop().sock_connect(tcp, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=tcp, limit=READ_LIMIT_BYTES)
        asked = {
            "Host": "test",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **(headers or {}),
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = int((await reader.readline()).split()[1])
        answer: dict[str, str] = {}
        while (line := (await reader.readline()).decode().strip()) != "":
            name, _, value = line.partition(":")
            answer[name.lower()] = value.strip()
        return cls(reader, writer), status, answer

    def frame(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Send one masked frame."""
        first = opcode | (0x80 if final else 0)
        length = len(payload)
        if length < 126:
            header = struct.pack(">BB", first, 0x80 | length)
        elif length < 65536:
            header = struct.pack(">BBH", first, 0x80 | 126, length)
        else:
            header = struct.pack(">BBQ", first, 0x80 | 127, length)
        mask = os.urandom(4)
        repeated = (mask * (length // 4 + 1))[:length]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big")
        self.writer.write(header + mask + masked)

    def send(self, method: str, **params: Any) -> str:
        """Send a request without waiting; returns its id."""
        self.serial += 1
        self.frame(TEXT, msgspec.json.encode({"id": str(self.serial), "method": method, "params": params}))
        return str(self.serial)

    async def read(self) -> tuple[int, bytes]:
        """The next frame; raises IncompleteReadError or ConnectionError at the end."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def json(self) -> dict[str, Any]:
        """The next text frame; other frames are passed over."""
        while True:
            opcode, payload = await self.read()
            if opcode == TEXT:
                return msgspec.json.decode(payload)

    async def call(self, method: str, **params: Any) -> Any:
        """Send a request and return its result; events before it are passed over."""
        id = self.send(method, **params)
        while True:
            message = await self.json()
            if message.get("id") == id:
                return message["result"]

    async def ended(self) -> int | None:
        """Read until the connection ends; the code of the close frame, None: it ended without one."""
        try:
            while True:
                opcode, payload = await self.read()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        self.writer.close()
