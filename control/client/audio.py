"""Raw audio over a WebSocket of its own: what the bot behind a ``websocket`` endpoint hears and says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

MAX_FRAME_BYTES = 16 * 1024 * 1024


class Mark(Struct, frozen=True):
    """What was sent before the mark of that name has been played; played False: a flush discarded it."""

    name: str
    played: bool


class Flushed(Struct, frozen=True):
    """A flush is done; so much that was sent had not been played."""

    discarded_ms: int


class _Said(Struct):
    event: str
    name: str = ""
    played: bool = True
    discarded_ms: int = 0


class Audio:
    """``async with client.audio(token) as audio``: PCM is s16le, mono, at the endpoint's `sample_rate`.

    ``async for`` gives what the session says as bytes, and `Mark` and `Flushed` where they happened, until
    the server closes.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None

    async def send(self, pcm: bytes) -> None:
        """Say this, of any length, behind what was sent before; waits while the server has enough."""
        await self._open.send_bytes(pcm)

    async def mark(self, name: str) -> None:
        """Ask to be told when everything sent so far has been played."""
        await self._open.send_str(msgspec.json.encode({"event": "mark", "name": name}).decode())

    async def flush(self) -> None:
        """Discard what was sent and not played."""
        await self._open.send_str('{"event":"flush"}')

    async def __aiter__(self) -> AsyncIterator[bytes | Mark | Flushed]:
        async for message in self._open:
            if message.type is aiohttp.WSMsgType.BINARY:
                yield message.data
            elif message.type is aiohttp.WSMsgType.TEXT:
                said = msgspec.json.decode(message.data, type=_Said)
                if said.event == "mark":
                    yield Mark(said.name, said.played)
                elif said.event == "flushed":
                    yield Flushed(said.discarded_ms)

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code, once the connection has ended; 1008: the token is not good."""
        return self._open.close_code

    @property
    def _open(self) -> aiohttp.ClientWebSocketResponse[bool]:
        assert self._socket is not None, "use it with async with"
        return self._socket

    async def __aenter__(self) -> Audio:
        self._socket = await self._http.ws_connect(
            self._url, max_msg_size=MAX_FRAME_BYTES, compress=0, decode_text=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.close()


def audio_url(control_url: str, connect_token: str) -> str:
    """On the port of the control connection."""
    return urlsplit(control_url)._replace(path=f"/audio/{connect_token}", query="", fragment="").geturl()
