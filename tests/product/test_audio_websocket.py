"""Bots on audio WebSockets and telephones on RTP hear each other: the whole product, measured by ear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from demo_parts.machine import Machine
from product import Product, wait_for
from telephone import ULAW, WIDE, Codec, Telephone

from roomtone.client import Client, ConnectionLost, connect

pytestmark = [pytest.mark.process, pytest.mark.real_time]
LIMIT_S = 60.0
AMPLITUDE = 8000
LOUD = AMPLITUDE / 4
FRAME_MS = 20
SAMPLE_BYTES = 2


class Bot:
    """One bot: an endpoint, its audio WebSocket, what it has heard and been told."""

    def __init__(self, endpoint: str, rate: int, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        self.endpoint = endpoint
        self.rate = rate
        self.socket = socket
        self.frames: list[bytes] = []
        self.texts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.frames.append(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.texts.put_nowait(json.loads(message.data))
        self.ended.set()

    async def say(self, pcm: np.ndarray) -> None:
        await self.socket.send_bytes(pcm.astype("<i2").tobytes())

    async def tell(self, **words: Any) -> None:
        await self.socket.send_str(json.dumps(words))

    def heard(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.frames), "<i2")

    async def until_heard(self, seconds: float) -> None:
        while sum(map(len, self.frames)) < seconds * self.rate * SAMPLE_BYTES:
            await asyncio.sleep(FRAME_MS / 1000)


class Scene:
    """A client's session in a running product, and who takes part."""

    def __init__(self, product: Product, client: Client, http: aiohttp.ClientSession) -> None:
        self.product = product
        self.client = client
        self.http = http
        self._parts: list[Telephone] = []

    async def telephone(self, codec: Codec = ULAW) -> Telephone:
        made = Telephone(codec)
        self._parts.append(made)
        await made.call(self.client)
        return made

    async def bot(self, rate: int = 8000, client: Client | None = None, **params: Any) -> Bot:
        client = client or self.client
        made = await client.call("endpoint.create_websocket", sample_rate=rate, **params)
        socket = await self.http.ws_connect(f"{self.product.url}audio/{made['connect_token']}")
        await client.event("endpoint.ws.connected")
        return Bot(made["endpoint_id"], rate, socket)

    def close(self) -> None:
        for part in self._parts:
            part.hang_up()


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """One for all whose sessions end with them."""
    running = Product(workers=1)
    yield running
    running.stop()


@asynccontextmanager
async def scene(product: Product) -> AsyncIterator[Scene]:
    async with aiohttp.ClientSession() as http, await connect(product.url) as client:
        await client.call("session.create")
        playing = Scene(product, client, http)
        try:
            async with asyncio.timeout(LIMIT_S):
                yield playing
                with suppress(ConnectionLost):  # control may have died
                    await client.call("session.destroy")
        finally:
            playing.close()


def tone(hz: float, rate: int, seconds: float) -> np.ndarray:
    at = 2 * np.pi * hz * np.arange(int(rate * seconds)) / rate
    return np.rint(AMPLITUDE * np.sin(at)).astype(np.int16)


def loud_frames(pcm: np.ndarray, rate: int) -> np.ndarray:
    """Which frames of 20 ms are loud."""
    frame = rate * FRAME_MS // 1000
    pcm = pcm[: len(pcm) // frame * frame].reshape(-1, frame).astype(float)
    return np.sqrt(np.mean(np.square(pcm), axis=1)) > LOUD


def longest_ms(pcm: np.ndarray, rate: int) -> int:
    """The longest time that was loud throughout."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud_frames(pcm, rate), [False]]).astype(int)))
    return int(max(edges[1::2] - edges[::2], default=0)) * FRAME_MS


def measured(pcm: np.ndarray, hz: float, rate: int) -> tuple[float, float]:
    """(level against AMPLITUDE, distortion and noise against the tone) in dB, of its cleanest half second."""
    loud = np.flatnonzero(np.abs(pcm) > LOUD)
    assert len(loud) > rate, "there is no second of it"
    at = 2 * np.pi * hz * np.arange(rate // 2) / rate
    basis = np.stack([np.sin(at), np.cos(at)], axis=1)
    halves = []
    for begin in range(loud[0] + rate // 10, loud[-1] - len(at) - rate // 10, len(at) // 4):
        part = pcm[begin : begin + len(at)].astype(float)
        weights = np.linalg.lstsq(basis, part, rcond=None)[0]
        rest = float(np.mean(np.square(part - basis @ weights)))
        power = float(np.sum(np.square(weights)) / 2)
        halves.append((10 * np.log10(rest / power), 10 * np.log10(2 * power / AMPLITUDE**2)))
    noise, level = min(halves)
    return level, noise


@pytest.mark.parametrize("codec, noise_db", [(ULAW, -33), (WIDE, -60)], ids=["ulaw", "wide"])
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_bot_and_a_caller_hear_each_others_tone(
    product: Product, rate: int, codec: Codec, noise_db: float
) -> None:
    async def body() -> None:
        async with scene(product) as play:
            caller, bot = await play.telephone(codec), await play.bot(rate)
            caller.say(tone(700, codec.rate, 2.5))
            await bot.say(tone(1100, rate, 2.5))
            await caller.until_heard(2.4)
            await bot.until_heard(2.4)
            for name, heard, hz, at in (
                ("caller", caller.heard(), 1100, codec.rate),
                ("bot", bot.heard(), 700, rate),
            ):
                level, noise = measured(heard, hz, at)
                assert abs(level) < 0.5, f"{name}: {level:.2f} dB"
                assert noise < noise_db, f"{name}: {noise:.1f} dB"

    asyncio.run(body())


def test_five_seconds_sent_at_once_are_heard_in_their_own_time_without_a_gap(
    product: Product, machine: Machine
) -> None:
    async def body() -> None:
        async with scene(product) as play:
            caller, bot = await play.telephone(), await play.bot(16_000)
            await bot.say(tone(500, 16_000, 5))
            await bot.tell(event="mark", name="end")
            assert await bot.texts.get() == {"event": "mark", "name": "end", "played": True}
            heard_at_mark = loud_frames(caller.heard(), 8000).sum() * FRAME_MS
            await caller.until_heard(caller.length / 8000 + 0.5)
            away_ms = 1000 * machine.away_s()
            loud_ms = int(loud_frames(caller.heard(), 8000).sum()) * FRAME_MS
            assert 5_000 - away_ms <= loud_ms <= 5_040
            assert heard_at_mark >= loud_ms - 200 - away_ms, "the mark comes when the audio is over"
            if away_ms < FRAME_MS:
                assert longest_ms(caller.heard(), 8000) >= 4_980
            await bot.socket.close()

    asyncio.run(body())


def test_a_flush_cuts_what_the_caller_hears(product: Product, machine: Machine) -> None:
    async def body() -> None:
        async with scene(product) as play:
            caller, bot = await play.telephone(), await play.bot(16_000)
            await bot.say(tone(500, 16_000, 20))
            while loud_frames(caller.heard(), 8000).sum() < 50:
                await asyncio.sleep(0.02)
            before_ms = int(loud_frames(caller.heard(), 8000).sum()) * FRAME_MS
            await bot.tell(event="clear")
            flushed = await bot.texts.get()
            await caller.until_heard(caller.length / 8000 + 1)
            away_ms = 1000 * machine.away_s()
            heard_ms = int(loud_frames(caller.heard(), 8000).sum()) * FRAME_MS
            playout_ms = 60  # 40 as a rule, by the nearest tick, and the tick itself
            assert heard_ms - before_ms <= 60 + playout_ms + away_ms
            assert abs(heard_ms + flushed["discarded_ms"] - 20_000) <= 40 + away_ms, "nothing else was lost"
            await bot.say(tone(500, 16_000, 1))
            await caller.until_heard(caller.length / 8000 + 1.3)
            assert longest_ms(caller.heard()[-12_000:], 8000) >= 960 - away_ms
            await bot.socket.close()

    asyncio.run(body())


def test_nobody_hears_himself_among_two_callers_and_a_bot(product: Product) -> None:
    def levels(pcm: np.ndarray, rate: int, *hz: float) -> list[float]:
        part = pcm[rate : 2 * rate].astype(float)
        at = 2j * np.pi * np.arange(len(part)) / rate
        return [abs(np.mean(part * np.exp(-at * one))) * 2 / AMPLITUDE for one in hz]

    async def body() -> None:
        async with scene(product) as play:
            first, second = await play.telephone(), await play.telephone(WIDE)
            bot = await play.bot(48_000)
            await bot.until_heard(0.2)
            first.say(tone(400, 8000, 4))
            second.say(tone(900, 16_000, 4))
            await bot.say(tone(1500, 48_000, 4))
            await asyncio.gather(bot.until_heard(3), first.until_heard(3), second.until_heard(3))
            for heard, rate, mute in ((first, 8000, 0), (second, 16_000, 1), (bot, 48_000, 2)):
                found = levels(heard.heard(), rate, 400, 900, 1500)
                assert found.pop(mute) < 0.01
                assert found == pytest.approx([1, 1], abs=0.05)
            await bot.socket.close()

    asyncio.run(body())


def test_fifty_bots_each_hear_their_own_partner(serve: Callable[..., Product]) -> None:
    product = serve(workers=1)

    async def body() -> None:
        async with scene(product) as play:
            pairs = []
            for number in range(25):
                client = await connect(product.url, session=play.http)
                await client.call("session.create")
                rate = (8000, 16_000)[number % 2]
                pairs.append([await play.bot(rate, client), await play.bot(rate, client), number])
            for left, right, number in pairs:
                await left.say(tone(300 + 40 * number, left.rate, 2))
                await right.say(tone(320 + 40 * number, right.rate, 2))
            await asyncio.gather(*(bot.until_heard(1.9) for left, right, _ in pairs for bot in (left, right)))
            for left, right, number in pairs:
                for bot, hz in ((right, 300 + 40 * number), (left, 320 + 40 * number)):
                    spectrum = np.abs(np.fft.rfft(bot.heard()[: bot.rate].astype(float)))
                    assert abs(int(np.argmax(spectrum)) - hz) <= 1
            assert product.total("roomtone_audio_ws_connections") == 50
            assert product.total("roomtone_audio_ws_dropped_frames_total") == 0
            for left, right, _ in pairs:
                await left.socket.close()
                await right.socket.close()
            await asyncio.to_thread(
                wait_for, lambda: product.total("roomtone_audio_ws_connections") == 0, what="no bot"
            )

    asyncio.run(body())


def test_after_control_died_its_bots_are_told_as_gone(serve: Callable[..., Product]) -> None:
    product = serve(workers=1)

    async def body() -> None:
        async with scene(product) as play:
            session = (await play.client.call("session.info"))["session_id"]
            caller, bot = await play.telephone(), await play.bot()
            await bot.until_heard(0.2)
            old = product.kill("roomtone: control")
            await bot.ended.wait()
            await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
            async with await connect(product.url) as client:
                await client.call("session.attach", session_id=session)
                gone = await client.event("endpoint.ws.disconnected")
                assert gone.data == {"endpoint_id": bot.endpoint}
                listed = (await client.call("session.info"))["endpoints"]
                assert {e["endpoint_type"]: e["state"] for e in listed} == {
                    "rtp": "connected",
                    "websocket": "disconnected",
                }
                again = await play.bot(client=client)
                await again.say(tone(600, 8000, 3))
                heard = caller.length
                while longest_ms(caller.heard()[heard:], 8000) < 900:
                    await asyncio.sleep(0.02)
                await again.socket.close()

    asyncio.run(body())
