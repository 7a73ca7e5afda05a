"""Recordings of real calls: what other programs find in them, and what a bad disk does to a call: nothing."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.error
import urllib.request
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from product import Phone, Product, call, gaps, wait_for

from roomtone.client import Client, connect
from roomtone.ext.codec import codec

pytestmark = [pytest.mark.process, pytest.mark.real_time]

PIECE_PACKETS = 16384 // 160  # at most, of a pcap
STREAM = re.compile(r"^ *\S+ +\S+ +(\S+) +(\d+) +\S+ +(\d+) +0x\w+ .*? (\d+) +(-?\d+) \(", re.M)


def spoken(hz: int) -> bytes:
    """20 ms of a tone that fits into them, as PCMU."""
    pcm = np.round(8000 * np.sin(2 * np.pi * hz * np.arange(160) / 8000)).astype(np.int16)
    out = np.zeros(160, np.uint8)
    codec.encode(codec.PCMU, pcm, out)
    return out.tobytes()


async def talk(client: Client, phones: list[Phone]) -> list[str]:
    """All phones in the client's session, talking."""
    await client.call("session.create")
    ids = await call(client, phones)
    await heard(phones, 20)
    return ids


async def said(one: Phone, packets: int) -> None:
    mark = one.sent + packets
    await asyncio.to_thread(wait_for, lambda: one.sent >= mark, what="a phone")


async def heard(phones: list[Phone], packets: int) -> None:
    marks = [len(one.heard) + packets for one in phones]
    await asyncio.to_thread(
        wait_for,
        lambda: all(len(one.heard) > mark for one, mark in zip(phones, marks, strict=True)),
        what="audio",
    )


async def stopped(client: Client, recording: str) -> dict[str, Any]:
    """The recording.stopped of that recording."""
    async with asyncio.timeout(20):
        async for event in client.events():
            if event.name == "recording.stopped" and event.data["recording_id"] == recording:
                return event.data
    raise AssertionError("the connection ended")


def tshark(path: Path, *words: str) -> str:
    done = subprocess.run(
        ["tshark", "-r", str(path), *words], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def rtp_at(ports: list[int]) -> list[str]:
    """That these ports are RTP, for tshark."""
    return [word for port in ports for word in ("-d", f"udp.port=={port},rtp")]


def streams_of(path: Path, ports: list[int]) -> list[tuple[str, ...]]:
    """RTP streams of a pcap: source port, destination port, packets, lost."""
    return STREAM.findall(tshark(path, *rtp_at(ports), "-q", "-z", "rtp,streams"))


def probe(path: Path) -> dict[str, Any]:
    words = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    (stream,) = json.loads(done.stdout)["streams"]
    return stream


def channels(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return pcm.reshape(-1, file.getnchannels()).T


def level_at(pcm: np.ndarray, hz: float) -> float:
    t = np.arange(len(pcm)) / 8000
    return float(2 * abs(np.mean(pcm * np.exp(-2j * np.pi * hz * t))))


def test_wireshark_and_ffmpeg_find_the_call_in_its_recordings(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=1, recording_dir=str(tmp_path))
    phones = [phone(payload=spoken(hz)) for hz in (400, 1000)]

    async def scenario() -> tuple[float, float, dict[str, Any], list[int]]:
        async with await connect(product.url) as client:
            await talk(client, phones)
            pcap = await client.call("recording.start", file_path=f"{tmp_path}/a/call.pcap")
            legs = await client.call("recording.start", file_path=f"{tmp_path}/a/legs.wav")
            mixed = await client.call("recording.start", file_path=f"{tmp_path}/mixed.wav?mix")
            await heard(phones, 100)
            for each in (legs, mixed):
                await client.call("recording.stop", recording_id=each["recording_id"])
            done = await client.call("recording.stop", recording_id=pcap["recording_id"])
            ports = [one.to[1] for one in phones if one.to]
            return pcap["started_at_epoch_ms"] / 1000, done["stopped_at_epoch_ms"] / 1000, done, ports

    began, ended, done, ports = asyncio.run(scenario())
    file = tmp_path / "a" / "call.pcap"
    decode = rtp_at(ports)
    times = [float(t) for t in tshark(file, "-T", "fields", "-e", "frame.time_epoch").split()]
    assert len(times) == done["packets"] and done["dropped_packets"] == 0
    assert began - 0.05 <= min(times) and max(times) <= ended + 0.05
    assert tshark(file, *decode, "-Y", "_ws.malformed or ip.checksum.status == 0") == ""
    streams = streams_of(file, ports)
    assert len(streams) == 4
    assert all(int(packets) >= 100 and lost == "0" for *_, packets, lost in streams)
    shown = probe(tmp_path / "a" / "legs.wav")
    assert (shown["channels"], shown["sample_rate"], shown["codec_name"]) == (2, "8000", "pcm_s16le")
    assert float(shown["duration"]) == pytest.approx(done["duration_ms"] / 1000, abs=0.3)
    for channel, hz, other in zip(
        channels(tmp_path / "a" / "legs.wav"), (400, 1000), (1000, 400), strict=True
    ):
        assert level_at(channel[1600:14400], hz) == pytest.approx(8000, rel=0.05)
        assert level_at(channel[1600:14400], other) < 100
    (both,) = channels(tmp_path / "mixed.wav")
    assert min(level_at(both[1600:14400], hz) for hz in (400, 1000)) > 7000


def test_a_session_on_several_workers_is_one_recording(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=2, session_spread_at=1, recording_dir=str(tmp_path))
    tones = (400, 1000, 1700)
    phones = [phone(payload=spoken(hz)) for hz in tones]

    async def scenario() -> tuple[list[dict[str, Any]], list[int]]:
        async with await connect(product.url) as client:
            await talk(client, phones)
            names = ("legs.wav", "mixed.wav?mix", "call.pcap")
            begun = [await client.call("recording.start", file_path=f"{tmp_path}/{name}") for name in names]
            await heard(phones, 100)
            done = [await client.call("recording.stop", recording_id=each["recording_id"]) for each in begun]
            return done, [one.to[1] for one in phones if one.to]

    done, ports = asyncio.run(scenario())
    assert [each["dropped_packets"] for each in done] == [0, 0, 0]
    legs = channels(tmp_path / "legs.wav")
    (mixed,) = channels(tmp_path / "mixed.wav")
    assert len(legs) == 3
    for channel, hz in zip(legs, tones, strict=True):
        for each in tones:
            level = level_at(channel[1600:14400], each)
            assert level == pytest.approx(8000, rel=0.05) if each == hz else level < 100
        assert level_at(mixed[1600:14400], hz) > 5000
    streams = streams_of(tmp_path / "call.pcap", ports)
    assert len(streams) == 6
    assert all(int(packets) >= 95 and lost == "0" for *_, packets, lost in streams)
    assert len(tshark(tmp_path / "call.pcap").splitlines()) == done[2]["packets"]
    assert not list(Path(product.folder.name, "run").glob("feed-*"))


def test_what_another_session_says_over_a_bridge_is_in_the_recording(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=2, recording_dir=str(tmp_path))
    anna, ben = phone(payload=spoken(400)), phone(payload=spoken(1000))

    async def scenario() -> None:
        async with await connect(product.url) as here, await connect(product.url) as there:
            _, theirs = [(await client.call("session.create"))["session_id"] for client in (here, there)]
            await call(here, [anna])
            await call(there, [ben])
            await here.call("session.bridge", target_session_id=theirs)
            await heard([anna, ben], 20)
            begun = await here.call("recording.start", file_path=f"{tmp_path}/call.wav")
            await heard([anna, ben], 100)
            await here.call("recording.stop", recording_id=begun["recording_id"])

    asyncio.run(scenario())
    own, brought = channels(tmp_path / "call.wav")
    for channel, hz, other in ((own, 400, 1000), (brought, 1000, 400)):
        assert level_at(channel[1600:14400], hz) == pytest.approx(8000, rel=0.1)
        assert level_at(channel[1600:14400], other) < 100


def test_transfers_end_the_recording_of_an_endpoint_and_not_that_of_a_session(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=2, recording_dir=str(tmp_path))
    anna, ben = phone(payload=spoken(400)), phone(payload=spoken(1000))

    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        async with await connect(product.url) as here, await connect(product.url) as there:
            ours, theirs = [(await client.call("session.create"))["session_id"] for client in (here, there)]
            (anna_id,), (ben_id,) = await call(here, [anna]), await call(there, [ben])
            whole = await here.call("recording.start", file_path=f"{tmp_path}/whole.wav")
            leg = await here.call("recording.start", file_path=f"{tmp_path}/leg.wav", endpoint_id=anna_id)
            await said(anna, 50)
            await here.call("endpoint.transfer", endpoint_id=anna_id, target_session_id=theirs)
            told = await stopped(here, leg["recording_id"])
            info = await here.call("session.info")
            assert info["endpoints"] == []
            assert [r["recording_id"] for r in info["recordings"]] == [whole["recording_id"]]
            await there.call("endpoint.transfer", endpoint_id=ben_id, target_session_id=ours)
            await said(ben, 50)
            return told, await here.call("recording.stop", recording_id=whole["recording_id"])

    told, done = asyncio.run(scenario())
    assert told["reason"] == "endpoint_transferred" and told["packets"] > 40
    (leg,) = channels(tmp_path / "leg.wav")
    assert len(leg) / 8000 == pytest.approx(told["duration_ms"] / 1000, abs=0.1)
    assert level_at(leg[1600:6400], 400) == pytest.approx(8000, rel=0.05)
    first, second = channels(tmp_path / "whole.wav")
    assert done["dropped_packets"] == 0
    assert len(first) / 8000 == pytest.approx(done["duration_ms"] / 1000, abs=0.1)
    assert level_at(first[1600:6400], 400) == pytest.approx(8000, rel=0.05)
    assert not first[-6400:].any() and not second[:6400].any()
    assert level_at(second[-6400:-800], 1000) == pytest.approx(8000, rel=0.05)


def test_files_are_listed_read_in_parts_and_removed_over_http(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=1, recording_dir=str(tmp_path), max_recording_download_bytes=100_000)
    (tmp_path / "outside.txt").write_text("no recording")
    (tmp_path / "link.wav").symlink_to("/etc/passwd")
    (tmp_path / "large.wav").write_bytes(bytes(100_001))

    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        url = f"http://127.0.0.1:{product.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers)) as reply:
                return reply.status, reply.read(), reply.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    async def scenario() -> None:
        async with await connect(product.url) as client:
            await talk(client, [phone(), phone()])
            one = await client.call("recording.start", file_path=f"{tmp_path}/2026/a b.wav")
            await client.call("recording.start", file_path=f"{tmp_path}/z.pcap")
            await asyncio.to_thread(wait_for, lambda: ask("/recordings/z.pcap")[0] == 200, what="a file")
            assert (await asyncio.to_thread(ask, "/recordings/z.pcap", "DELETE"))[0] == 409
            await client.call("recording.stop", recording_id=one["recording_id"])

    asyncio.run(scenario())
    page = json.loads(ask("/recordings")[1])
    assert page == {
        "recordings": ["2026/a b.wav", "large.wav", "z.pcap"], "total": 3, "skip": 0, "limit": 100
    }  # fmt: skip
    assert json.loads(ask("/recordings?startsWith=2026/")[1])["recordings"] == ["2026/a b.wav"]
    last = json.loads(ask("/recordings?skip=2&limit=5000")[1])
    assert last == {**page, "recordings": ["z.pcap"], "skip": 2, "limit": 1000}
    whole = (tmp_path / "2026" / "a b.wav").read_bytes()
    status, body, headers = ask("/recordings/2026/a%20b.wav")
    assert (status, body, headers["Content-Type"]) == (200, whole, "audio/wav")
    status, body, headers = ask("/recordings/2026/a%20b.wav", Range="bytes=4-11")
    assert (status, body, headers["Content-Range"]) == (206, whole[4:12], f"bytes 4-11/{len(whole)}")
    assert ask("/recordings/2026/a%20b.wav", Range="bytes=-8")[1] == whole[-8:]
    assert ask("/recordings/2026/a%20b.wav", Range=f"bytes={len(whole)}-")[0] == 416
    assert ask("/recordings/large.wav")[0] == 413
    for path, expected in {
        "/recordings/%2e%2e/passwd.wav": 403,
        "/recordings/2026/%2e%2e/%2e%2e/x.wav": 403,
        "/recordings/link.wav": 403,
        "/recordings/nothing.wav": 404,
        "/recordings/outside.txt": 404,
        "/recordings/2026": 404,
    }.items():
        assert ask(path)[0] == expected, path
        assert ask(path, "DELETE")[0] == expected, path
    assert ask("/recordings/2026/a%20b.wav", "DELETE")[:2] == (200, b'{"deleted":true}')
    assert ask("/recordings/2026/a%20b.wav")[0] == 404
    assert ask("/recordings", "DELETE")[0] == 405


def test_what_a_dead_worker_recorded_can_be_played(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=1, recording_dir=str(tmp_path))

    async def scenario() -> list[tuple[str, dict[str, Any]]]:
        async with await connect(product.url) as client:
            phones = [phone(payload=spoken(400)), phone(payload=spoken(1000))]
            await talk(client, phones)
            for name in ("call.wav", "call.pcap"):
                await client.call("recording.start", file_path=f"{tmp_path}/{name}")
            await heard(phones, 150)
            product.kill("roomtone: worker 0")
            seen = []
            async with asyncio.timeout(20):
                async for event in client.events():
                    seen.append((event.name, event.data))
                    if event.name == "session.lost":
                        break
            await asyncio.to_thread(wait_for, product.ready, what="a new worker")
            return seen

    seen = asyncio.run(scenario())
    ends = [data for name, data in seen if name == "recording.stopped"]
    assert sorted(Path(end["file_path"]).name for end in ends) == ["call.pcap", "call.wav"]
    assert {end["reason"] for end in ends} == {"worker_lost"}
    assert float(probe(tmp_path / "call.wav")["duration"]) > 1.0
    first, second = channels(tmp_path / "call.wav")
    assert level_at(first[1600:8000], 400) == pytest.approx(8000, rel=0.05)
    assert level_at(second[1600:8000], 1000) == pytest.approx(8000, rel=0.05)
    told = {Path(end["file_path"]).name: end for end in ends}
    there = len(tshark(tmp_path / "call.pcap").splitlines())
    assert there > 400
    # It may have died between a piece and the note about it.
    assert there - PIECE_PACKETS <= told["call.pcap"]["packets"] <= there
    assert told["call.wav"]["packets"] > 150 and told["call.wav"]["dropped_packets"] == 0
    for name in ("call.wav", "call.pcap"):
        assert told[name]["duration_ms"] == pytest.approx(
            1000 * float(probe(tmp_path / "call.wav")["duration"]), abs=1500
        )


def test_at_the_end_of_the_server_recordings_are_told_and_complete(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    product = serve(workers=1, recording_dir=str(tmp_path), shutdown_max_wait_secs=1)

    async def scenario() -> dict[str, Any]:
        async with await connect(product.url) as client:
            phones = [phone(payload=spoken(400)), phone()]
            await talk(client, phones)
            made = await client.call("recording.start", file_path=f"{tmp_path}/call.wav")
            await heard(phones, 50)
            product.process.terminate()
            return await stopped(client, made["recording_id"])

    told = asyncio.run(scenario())
    assert product.process.wait(20) == 0
    assert told["reason"] == "shutdown" and told["dropped_packets"] == 0
    assert float(probe(tmp_path / "call.wav")["duration"]) == pytest.approx(
        told["duration_ms"] / 1000, abs=0.1
    )


def mounted(command: str) -> tuple[str, ...]:
    """A launcher that has a mount namespace of its own and does something in it first."""
    return ("unshare", "--mount", "sh", "-ec", f'{command}; exec "$@"', "sh")


def test_a_full_disk_ends_its_recording_once_and_neither_the_call_nor_another_recording(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    (tmp_path / "small").mkdir()
    launcher = mounted(f"mount -t tmpfs -o size=64k tmpfs {tmp_path}/small")
    product = serve(workers=1, recording_dir=str(tmp_path), launcher=launcher)
    phones = [phone(payload=spoken(400)), phone(payload=spoken(1000))]

    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        async with await connect(product.url) as client:
            await talk(client, phones)
            small = await client.call("recording.start", file_path=f"{tmp_path}/small/call.pcap")
            other = await client.call("recording.start", file_path=f"{tmp_path}/call.pcap")
            told = await stopped(client, small["recording_id"])
            await heard(phones, 50)
            info = await client.call("session.info")
            assert [r["recording_id"] for r in info["recordings"]] == [other["recording_id"]]
            return told, await client.call("recording.stop", recording_id=other["recording_id"])

    told, done = asyncio.run(scenario())
    assert told["reason"] == "write_error" and told["packets"] > 0 and told["dropped_packets"] > 0
    assert done["dropped_packets"] == 0 and done["packets"] > told["packets"]
    kept = Path(f"/proc/{product.process.pid}/root{tmp_path}/small/call.pcap")
    assert len(tshark(kept).splitlines()) == told["packets"]
    assert all(gaps(one.sequence_numbers()) == 0 for one in phones)


@contextmanager
def frozen(product: Product, folder: Path) -> Iterator[None]:
    """The file system accepts no write; its namespace is the product's."""
    inside = ["nsenter", "-t", str(product.process.pid), "-m", "fsfreeze"]
    subprocess.run([*inside, "-f", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "-u", str(folder)], check=True)


def test_a_frozen_disk_costs_packets_of_the_recording_and_none_of_the_call(
    serve: Callable[..., Product], phone: Callable[..., Phone], tmp_path: Path
) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "mounted"
    folder.mkdir()
    with disk.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    product = serve(
        workers=1,
        launcher=mounted(f"mount -o loop {disk} {folder}"),
        recording_dir=str(tmp_path),
        recording_channel_size=50,
        recording_flush_timeout_secs=1,
    )
    phones = [phone(payload=spoken(400)), phone(payload=spoken(1000))]

    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        async with await connect(product.url) as client:
            await talk(client, phones)
            slow = await client.call("recording.start", file_path=f"{folder}/call.pcap")
            other = await client.call("recording.start", file_path=f"{tmp_path}/call.wav")
            await heard(phones, 50)
            with frozen(product, folder):
                await heard(phones, 150)
                done = await client.call("recording.stop", recording_id=slow["recording_id"])
                fine = await client.call("recording.stop", recording_id=other["recording_id"])
            await heard(phones, 20)
            return done, fine

    done, fine = asyncio.run(scenario())
    assert done["dropped_packets"] > 300 and done["packets"] > 100
    assert fine["dropped_packets"] == 0 and fine["packets"] > 350
    assert all(gaps(one.sequence_numbers()) == 0 for one in phones)
