"""A caller hears files: from a web server, through the death of control, and not from where he may not."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from file_server import LIMIT_S, FileServer, Stalled, whole
from product import Phone, Product, wait_for

from roomtone.client import Client, connect

pytestmark = [pytest.mark.process, pytest.mark.real_time]

RATE_HZ = 8000
TONE_HZ = 1000
LOOPBACK = ["127.0.0.0/8"]


def tone(seconds: float) -> bytes:
    """A WAV file."""
    time_s = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    file = io.BytesIO()
    soundfile.write(
        file, 0.25 * np.sin(2 * np.pi * TONE_HZ * time_s), RATE_HZ, format="WAV", subtype="PCM_16"
    )
    return file.getvalue()


def pcm(ulaw: bytes) -> np.ndarray:
    """ITU-T G.711 mu-law as int16."""
    code = ~np.frombuffer(ulaw, np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude)


def share_of_tone(packets: list[bytes]) -> float:
    """How much of what was heard is the file's tone, by power."""
    heard = pcm(b"".join(packet[12:] for packet in packets)).astype(float)
    power = np.abs(np.fft.rfft(heard)) ** 2
    center = round(TONE_HZ * len(heard) / RATE_HZ)
    return float(power[center - 20 : center + 21].sum() / max(power.sum(), 1))


@pytest.fixture
def web() -> Iterator[FileServer]:
    with FileServer() as server:
        server.routes["/tone.wav"] = whole(tone(30))
        server.routes["/short.wav"] = whole(tone(2))
        yield server


async def call(client: Client, one: Phone) -> str:
    """The phone in a new session; the session's id."""
    session = (await client.call("session.create"))["session_id"]
    one.answered((await client.call("endpoint.create_from_offer", sdp=one.offer()))["sdp_answer"])
    one.call()
    return str(session)


async def play(client: Client, source: str, **params: Any) -> str:
    return str((await client.call("endpoint.create_with_file", source=source, **params))["endpoint_id"])


async def until(client: Client, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Events up to the first of that name."""
    seen = []
    async for event in client.events():
        seen.append((event.name, event.data))
        if event.name == name:
            break
    return seen


async def listen(one: Phone) -> float:
    """The share of the tone in the next second."""
    heard = len(one.heard)
    await asyncio.to_thread(wait_for, lambda: len(one.heard) > heard + 60, what="audio")
    return share_of_tone(one.heard[heard + 10 : heard + 60])


def test_a_caller_hears_a_file_from_a_url(
    serve: Callable[..., Product], phone: Callable[..., Phone], web: FileServer
) -> None:
    product = serve(workers=1, file_download_networks=LOOPBACK)
    alice = phone()

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await call(client, alice)
            endpoint = await play(client, web.url("/tone.wav"), headers={"Authorization": "Bearer hunter2"})
            assert [
                (name, data.get("new_state")) for name, data in await until(client, "endpoint.file.started")
            ] == [
                ("endpoint.state_changed", "playing"),
                ("endpoint.file.started", None),
            ]
            assert await listen(alice) > 0.95
            again = await play(client, web.url("/tone.wav"), headers={"Authorization": "Bearer hunter2"})
            await until(client, "endpoint.file.started")
            assert web.visits == {"/tone.wav": 1}
            for one in (endpoint, again):
                await client.call("endpoint.remove", endpoint_id=one)

    asyncio.run(scenario())
    assert web.seen["/tone.wav"].headers["authorization"] == "Bearer hunter2"
    assert "hunter2" not in product.log
    assert product.metrics()['roomtone_file_cache_lookups_total{outcome="hit"}'] == 1


def test_a_caller_hears_a_file_while_it_comes(
    serve: Callable[..., Product], phone: Callable[..., Phone], web: FileServer
) -> None:
    product = serve(workers=1, file_download_networks=LOOPBACK)
    alice = phone()
    web.routes["/slow.wav"] = slow = Stalled(tone(30), 100_000)  # six seconds of it
    web.routes["/never.wav"] = never = Stalled(tone(30), 100_000)

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await call(client, alice)
            endpoint = await play(client, web.url("/slow.wav"))
            await until(client, "endpoint.file.started")
            assert await listen(alice) > 0.95
            slow.go_on.set()
            await client.call("endpoint.file.seek", endpoint_id=endpoint, position_ms=20_000)
            assert await listen(alice) > 0.95
            await client.call("endpoint.remove", endpoint_id=endpoint)
            endpoint = await play(client, web.url("/never.wav"))
            await until(client, "endpoint.file.started")
            assert not never.left.is_set()
            await client.call("endpoint.remove", endpoint_id=endpoint)
            assert await asyncio.to_thread(never.left.wait, LIMIT_S)

    asyncio.run(scenario())


def test_a_url_on_the_servers_own_host_is_not_asked_unless_the_operator_allows_it(
    serve: Callable[..., Product], web: FileServer
) -> None:
    product = serve(workers=1)

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            endpoint = await play(client, web.url("/tone.wav"))
            (told,) = await until(client, "endpoint.file.finished")
            assert told[1] == {
                "endpoint_id": endpoint,
                "reason": "error",
                "error": "The host's address is not allowed",
            }
            assert (await client.call("session.info"))["endpoints"] == []

    asyncio.run(scenario())
    assert web.connections == 0
    assert product.metrics()['roomtone_file_downloads_total{outcome="not_allowed"}'] == 1


def test_files_play_on_while_control_is_replaced_and_end_once(
    serve: Callable[..., Product], phone: Callable[..., Phone], web: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "hold.wav").write_bytes(tone(30))
    product = serve(workers=1, file_download_networks=LOOPBACK, media_dir=str(tmp_path))
    alice = phone()

    async def scenario() -> None:
        async with await connect(product.url) as client:
            session = await call(client, alice)
            hold = await play(client, "hold.wav")
            short = await play(client, web.url("/short.wav"))
            paused = await play(client, "hold.wav", shared=True)
            await client.call("endpoint.file.pause", endpoint_id=paused)
            before = {e["endpoint_id"]: e for e in (await client.call("session.info"))["endpoints"]}
            old = product.kill("roomtone: control")
        await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
        async with await connect(product.url) as client:
            await client.call("session.attach", session_id=session)
            ended = [data for name, data in await until(client, "endpoint.file.finished")]
            assert ended[-1] == {"endpoint_id": short, "reason": "completed", "error": None}
            after = {e["endpoint_id"]: e for e in (await client.call("session.info"))["endpoints"]}
            assert (after[hold], after[paused]) == (before[hold], before[paused])
            assert after[short]["state"] == "finished"
            assert await listen(alice) > 0.95
            await client.call("endpoint.file.resume", endpoint_id=paused)
            (change,) = await until(client, "endpoint.state_changed")
            assert change[1]["endpoint_id"] == paused

    asyncio.run(scenario())


def test_what_was_still_coming_when_control_died_is_heard_as_far_as_it_came(
    serve: Callable[..., Product], web: FileServer
) -> None:
    product = serve(workers=1, file_download_networks=LOOPBACK)
    web.routes["/never.wav"] = Stalled(tone(30), 80_000)  # five seconds of it

    async def scenario() -> None:
        async with await connect(product.url) as client:
            session = (await client.call("session.create"))["session_id"]
            endpoint = await play(client, web.url("/never.wav"))
            await until(client, "endpoint.file.started")
            old = product.kill("roomtone: control")
        await asyncio.to_thread(product.wait_for_another, "roomtone: control", old)
        async with await connect(product.url) as client:
            await client.call("session.attach", session_id=session)
            _, told = (await until(client, "endpoint.file.finished"))[-1]
            assert (told["endpoint_id"], told["reason"]) == (endpoint, "error")
            assert "broke off after" in told["error"]

    asyncio.run(scenario())


def test_a_dead_worker_ends_its_files_with_an_error(serve: Callable[..., Product], tmp_path: Path) -> None:
    (tmp_path / "hold.wav").write_bytes(tone(30))
    product = serve(workers=1, media_dir=str(tmp_path))

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await client.call("session.create")
            endpoint = await play(client, "hold.wav")
            await until(client, "endpoint.file.started")
            product.kill("roomtone: worker 0")
            seen = await until(client, "session.lost")
            assert [data for name, data in seen if name == "endpoint.file.finished"] == [
                {"endpoint_id": endpoint, "reason": "error", "error": "The media worker died"}
            ]

    asyncio.run(scenario())
