"""A web server on loopback that offers sound."""

from __future__ import annotations

import io
import wave
from typing import Self

import numpy as np
from aiohttp import web

from demo_parts.sound import RATE_HZ


class Web:
    """Order of use: as an async context manager; offer."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self.port = 0

    def offer(self, path: str, pcm: np.ndarray) -> str:
        """The URL at which it can be had from now on.  pcm: int16[n]."""
        body = io.BytesIO()
        with wave.open(body, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(pcm.astype("<i2").tobytes())
        self._files[path] = body.getvalue()
        return f"http://127.0.0.1:{self.port}{path}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = self._files.get(request.path)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, content_type="audio/wav")
