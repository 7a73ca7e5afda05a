"""A bot's WebSocket and the RTP it becomes, with a worker that is only a loopback socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_process import Control, running, until
from raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, RawPeer

from roomtone.client import Client
from roomtone.control.io.audio_pace import QUEUE_SECONDS, bytes_of
from roomtone.control.io.audio_socket import BACKLOG_MS, MAX_FRAME_BYTES
from roomtone.engine.messages import UpdateRtp

HEADER = struct.Struct(">BBHII")


@dataclass
class Bot:
    """A bot with the worker's end of its pair."""

    endpoint: str
    token: str
    peer: RawPeer
    engine: socket.socket

    def say(self, pcm: np.ndarray) -> None:
        self.peer.frame(BINARY, pcm.astype("<i2").tobytes())

    def tell(self, **words: Any) -> None:
        self.peer.frame(TEXT, json.dumps(words).encode())

    async def packets(self, count: int) -> list[tuple[int, int, bytes, bool]]:
        """(sequence number, timestamp, payload, marker) of so many RTP packets from the bot."""
        out = []
        loop = asyncio.get_running_loop()
        while len(out) < count:
            data = await loop.sock_recv(self.engine, 2048)
            first, second, seq, timestamp, _ = HEADER.unpack_from(data)
            assert (first, second & 0x7F) == (0x80, 96)
            out.append((seq, timestamp, data[HEADER.size :], bool(second & 0x80)))
        return out

    def hear(self, pcm: np.ndarray, seq: int = 0) -> None:
        """One packet of the mix for the bot."""
        header = HEADER.pack(0x80, 96, seq & 0xFFFF, seq * len(pcm), 1)
        self.engine.send(header + pcm.astype(">i2").tobytes())

    async def frame(self, kind: int) -> bytes:
        """The next frame of that opcode."""
        while True:
            opcode, payload = await self.peer.read()
            if opcode == kind:
                return payload

    async def told(self) -> dict[str, Any]:
        return json.loads(await self.frame(TEXT))


async def dialled(control: Control, client: Client, **params: Any) -> Bot:
    made = await client.call("endpoint.create_websocket", **params)
    peer = await RawPeer.open(control.app.port, f"/audio/{made['connect_token']}")
    engine = control.workers[0].audio[made["endpoint_id"]]
    await client.event("endpoint.ws.connected")
    return Bot(made["endpoint_id"], made["connect_token"], peer, engine)


@asynccontextmanager
async def session(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[Control, Client]]:
    async with running(tmp_path, **options) as control:
        client = await control.client()
        await client.call("session.create")
        yield control, client


def noise(samples: int) -> np.ndarray:
    return np.frombuffer(os.urandom(2 * samples), "<i2")


@pytest.mark.parametrize("rate", [8000, 16000])
def test_what_a_bot_says_leaves_as_rtp_on_a_line_without_gaps(
    tmp_path: Path, run: Callable, rate: int
) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client, sample_rate=rate)
            said = noise(rate * 2 // 5)
            for piece in np.array_split(said, 7):
                bot.say(piece)
            sent = await bot.packets(20)
            heard = np.concatenate([np.frombuffer(payload, ">i2") for _, _, payload, _ in sent])
            np.testing.assert_array_equal(heard, said)
            assert {(b[0] - a[0]) & 0xFFFF for a, b in pairwise(sent)} == {1}
            assert sent[0][3]
            assert not any(marker for _, _, _, marker in sent[1:])
            steps = {(b[1] - a[1]) & 0xFFFFFFFF for a, b in pairwise(sent)}
            assert all(step % (rate // 50) == 0 for step in steps)
            bot.peer.close()

    run(body())


@pytest.mark.parametrize("rate, flush_ms, samples", [(8000, 0, 160), (16000, 60, 960), (48000, 20, 960)])
def test_what_a_bot_is_to_hear_comes_as_raw_pcm(
    tmp_path: Path, run: Callable, rate: int, flush_ms: int, samples: int
) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client, sample_rate=rate, flush_ms=flush_ms)
            engine_rate = min(rate, 16_000)
            tone = 9000 * np.sin(2 * np.pi * 500 * np.arange(engine_rate) / engine_rate)
            for seq, pcm in enumerate(np.array_split(tone, 50)):
                bot.hear(np.rint(pcm), seq)
            count = 50 * rate // 50 // samples
            frames = [np.frombuffer(await bot.frame(BINARY), "<i2") for _ in range(count)]
            assert {len(frame) for frame in frames} == {samples}
            heard = np.concatenate(frames).astype(float)
            if rate < 48_000:
                np.testing.assert_array_equal(heard, np.rint(tone)[: len(heard)])
            else:
                level = np.sqrt(np.mean(np.square(heard[4800:])))
                assert level == pytest.approx(9000 / np.sqrt(2), rel=0.01)
            bot.peer.close()

    run(body())


def test_what_was_gathered_goes_out_when_the_others_fall_silent(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client, flush_ms=200)
            pcm = noise(160)
            bot.hear(pcm)
            np.testing.assert_array_equal(np.frombuffer(await bot.frame(BINARY), "<i2"), pcm)
            bot.peer.close()

    run(body())


@pytest.mark.parametrize("word", ["flush", "clear"])
def test_a_flush_throws_away_what_waits_and_says_how_much(tmp_path: Path, run: Callable, word: str) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            bot.say(noise(8000 * 20))
            bot.tell(event="mark", name="end of the sentence")
            await bot.packets(5)
            bot.tell(event=word)
            assert await bot.told() == {"event": "mark", "name": "end of the sentence", "played": False}
            flushed = await bot.told()
            assert flushed["event"] == "flushed"
            assert 19_000 < flushed["discarded_ms"] <= 19_900
            again = noise(800)
            bot.say(again)
            first = again[:160].astype(">i2").tobytes()
            on_its_way = 0
            while (await bot.packets(1))[0][2] != first:
                on_its_way += 1
            discarded = flushed["discarded_ms"] // 20
            assert 5 + on_its_way + discarded == 1000, "every frame was sent or counted"
            bot.peer.close()

    run(body())


def test_marks_come_back_in_order_when_they_have_been_played(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            for name in ("one", "two"):
                bot.say(noise(800))
                bot.tell(event="mark", name=name)
            assert await bot.told() == {"event": "mark", "name": "one", "played": True}
            assert await bot.told() == {"event": "mark", "name": "two", "played": True}
            bot.engine.setblocking(False)
            assert len(await bot.packets(10)) == 10
            bot.peer.close()

    run(body())


def test_text_that_means_nothing_is_counted_and_passed_over(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            rubbish = [b"", b"hello", b"[]", b'{"event": 5}', b'{"event": "media"}', b"\xff\xfe", b"[" * 5000]
            for text in [*rubbish, json.dumps({"event": "mark", "name": "x" * 5000}).encode()]:
                bot.peer.frame(TEXT, text)
            bot.tell(event="mark", name="still here")
            assert (await bot.told())["name"] == "still here"
            assert control.app.counters.audio_texts_ignored == len(rubbish) + 1
            bot.peer.close()

    run(body())


def test_a_token_opens_one_socket_and_no_second(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            for path in (f"/audio/{bot.token}", "/audio/", "/audio/guessed", "/audio/" + "x" * 3000):
                other = await RawPeer.open(control.app.port, path)
                assert await other.ended() == 1008
                other.close()
            bot.say(noise(1600))
            assert len(await bot.packets(10)) == 10
            bot.peer.close()

    run(body())


def test_the_token_is_all_that_is_asked_for_and_no_log_tells_it(tmp_path: Path, run: Callable) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("app:secret\n")

    async def body() -> None:
        async with running(tmp_path, auth_token_file=str(tokens)) as control:
            client = await control.client(token="secret")
            await client.call("session.create")
            bot = await dialled(control, client)
            bot.peer.frame(PING, b"are you there")
            assert await bot.frame(PONG) == b"are you there"
            bot.peer.close()
            assert bot.token not in (tmp_path / "control.log").read_text()

    run(body())


def test_bots_count_against_max_connections(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path, max_connections=2) as (control, client):
            bot = await dialled(control, client)
            _, status, _ = await RawPeer.request(control.app.port, "/audio/whatever")
            assert status == 503
            bot.peer.close()

    run(body())


def test_removing_the_endpoint_closes_the_socket_and_nothing_is_left(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            bot.say(noise(8000))
            await client.call("endpoint.remove", endpoint_id=bot.endpoint)
            assert await bot.peer.ended() == 1000
            bot.peer.close()
            await until(lambda: control.app.counters.audio_sockets == 0)
            assert not control.app.audio._speaking
            assert not control.app.core.audio.sockets

    run(body())


def test_a_bot_that_hangs_up_is_told_to_the_client(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            gone, polite = await dialled(control, client), await dialled(control, client)
            gone.peer.writer.transport.abort()
            assert (await client.event("endpoint.ws.disconnected")).data == {"endpoint_id": gone.endpoint}
            polite.peer.frame(CLOSE, (1000).to_bytes(2, "big"))
            assert (await client.event("endpoint.ws.disconnected")).data == {"endpoint_id": polite.endpoint}
            assert await polite.peer.ended() == 1000
            left = (await client.call("session.info"))["endpoints"]
            assert [endpoint["state"] for endpoint in left] == ["disconnected"] * 2
            await until(
                lambda: (
                    {
                        body.endpoint
                        for body in control.workers[0].commands
                        if type(body) is UpdateRtp and (body.is_source, body.is_destination) == (False, False)
                    }
                    == {gone.endpoint, polite.endpoint}
                )
            )
            polite.peer.close()

    run(body())


def test_a_frame_beyond_any_queue_ends_the_connection(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            bot.peer.frame(BINARY, bytes(MAX_FRAME_BYTES + 2))
            assert await bot.peer.ended() in (1009, None)
            await client.event("endpoint.ws.disconnected")
            bot.peer.close()

    run(body())


def test_a_bot_too_far_ahead_is_not_read_and_loses_nothing(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            control.workers[0].hold = False
            made = await client.call("endpoint.create_websocket")
            control.workers[0].hold = True  # the bus is not joined: nothing is sent yet
            peer = await RawPeer.open(control.app.port, f"/audio/{made['connect_token']}")
            bot = Bot(made["endpoint_id"], "", peer, control.workers[0].audio[made["endpoint_id"]])
            said = noise(bytes_of(QUEUE_SECONDS * 1000, 8000) // 2 + 160)
            bot.say(said)
            bot.say(said[:160])
            bot.tell(event="mark", name="after all")
            (held,) = control.app.audio._open.values()
            await until(lambda: not held.reading)
            control.workers[0].release()
            await client.event("endpoint.ws.connected")
            sent = await bot.packets(20)
            heard = np.concatenate([np.frombuffer(payload, ">i2") for _, _, payload, _ in sent])
            np.testing.assert_array_equal(heard, said[:3200])
            await until(lambda: held.reading)
            bot.tell(event="flush")
            assert (await bot.told())["name"] == "after all"
            peer.close()

    run(body())


def test_a_bot_that_does_not_read_loses_the_oldest_and_harms_nobody(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            slow = await dialled(control, client, sample_rate=48_000)
            other = await dialled(control, client)
            counters = control.app.counters
            pcm, seq = noise(320), 0
            while counters.audio_dropped["slow_reader"] < 100:
                for _ in range(20):
                    slow.hear(pcm, seq)
                    seq += 1
                await asyncio.sleep(0)
            (held, _) = control.app.audio._open.values()
            assert held._backlog_bytes <= bytes_of(BACKLOG_MS, 48_000)
            last = noise(160)
            other.hear(last)
            np.testing.assert_array_equal(np.frombuffer(await other.frame(BINARY), "<i2"), last)
            carried = counters.audio_frames["tx"] - 1
            dropped = counters.audio_dropped["slow_reader"]
            got = 0
            while got < carried - dropped:
                got += len(await slow.frame(BINARY)) == 1920
            slow.peer.close()
            other.peer.close()

    run(body())


def test_a_bot_that_asks_and_never_reads_is_not_read(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            (held,) = control.app.audio._open.values()
            while held.reading:
                for _ in range(100):
                    bot.tell(event="flush")
                await asyncio.sleep(0)
            assert held.transport.get_write_buffer_size() < 1_000_000
            bot.peer.writer.transport.abort()
            await client.event("endpoint.ws.disconnected")

    run(body())


def test_a_bot_that_answers_no_ping_is_dropped(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path, ws_ping_interval_secs=1, waits=(10_000, 5_000_000)) as (control, client):
            bot = await dialled(control, client)
            assert (await client.event("endpoint.ws.disconnected")).data == {"endpoint_id": bot.endpoint}
            assert control.app.counters.connections_dropped["audio_ping_unanswered"] == 1
            bot.peer.close()

    run(body())


def test_a_stranger_who_finds_the_port_is_not_heard(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            bot = await dialled(control, client)
            (held,) = control.app.audio._open.values()
            assert held._udp is not None
            port = held._udp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for _ in range(10):
                    stranger.sendto(
                        HEADER.pack(0x80, 96, 1, 1, 1) + noise(160).tobytes(), ("127.0.0.1", port)
                    )
            pcm = noise(160)
            bot.hear(pcm)
            np.testing.assert_array_equal(np.frombuffer(await bot.frame(BINARY), "<i2"), pcm)
            assert control.app.counters.audio_frames["tx"] == 1
            bot.peer.close()

    run(body())


def test_every_socket_of_a_bot_that_left_is_closed(tmp_path: Path, run: Callable) -> None:
    async def body() -> None:
        async with session(tmp_path) as (control, client):
            await (await dialled(control, client)).peer.writer.drain()
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                bot = await dialled(control, client)
                bot.peer.writer.transport.abort()
                await client.event("endpoint.ws.disconnected")
                await client.call("endpoint.remove", endpoint_id=bot.endpoint)
                control.workers[0].audio.pop(bot.endpoint).close()
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(body())
