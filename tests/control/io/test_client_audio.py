"""The client's end of an audio WebSocket: PCM both ways, marks, flushes, and a token that is not good."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from control_process import running

from roomtone.client import Flushed, Mark, api, connect

HEADER = struct.Struct(">BBHII")
FRAME = 160  # samples of 20 ms at 8 kHz


async def said(engine: socket.socket, frames: int) -> np.ndarray:
    """What the worker gets of the bot."""
    loop = asyncio.get_running_loop()
    packets = [(await loop.sock_recv(engine, 2048))[HEADER.size :] for _ in range(frames)]
    return np.frombuffer(b"".join(packets), ">i2")


def test_what_a_bot_says_and_hears_is_pcm(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, connect(control.url) as client:
            await client.session_create()
            made = await client.endpoint_create_websocket(sample_rate=8000)
            async with client.audio(made.connect_token) as audio:
                connected = await client.wait_for(api.WsConnected)
                assert connected.endpoint_id == made.endpoint_id
                engine = control.workers[0].audio[made.endpoint_id]
                speech = np.arange(3 * FRAME, dtype="<i2")
                await audio.send(speech.tobytes())
                await audio.mark("said")
                assert np.array_equal(await said(engine, 3), speech)
                mix = np.arange(FRAME, dtype=">i2")
                engine.send(HEADER.pack(0x80, 96, 1, FRAME, 1) + mix.tobytes())
                came = [await anext(aiter(audio)) for _ in range(2)]
                assert Mark("said", played=True) in came
                (heard,) = [block for block in came if isinstance(block, bytes)]
                assert np.array_equal(np.frombuffer(heard, "<i2"), mix)
            gone = await client.wait_for(api.WsDisconnected)
            assert gone.endpoint_id == made.endpoint_id

    run(body())


def test_a_flush_tells_what_was_not_played(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with running(tmp_path) as control, connect(control.url) as client:
            await client.session_create()
            made = await client.endpoint_create_websocket(sample_rate=8000)
            async with client.audio(made.connect_token) as audio:
                await audio.send(bytes(2 * FRAME * 50 * 60))  # a minute: it is not over before the flush
                await audio.mark("the end")
                await audio.flush()
                assert await anext(aiter(audio)) == Mark("the end", played=False)
                flushed = await anext(aiter(audio))
                assert isinstance(flushed, Flushed)
                assert 0 < flushed.discarded_ms <= 60_000

    run(body())


def test_a_token_that_is_not_good_ends_the_audio(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with (
            running(tmp_path) as control,
            connect(control.url) as client,
            client.audio("guessed") as audio,
        ):
            assert [block async for block in audio] == []
            assert audio.close_code == 1008

    run(body())
