"""Independent programs as telephones: ffmpeg and GStreamer, and how to measure what they recorded."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from demo_parts.machine import Machine
from demo_parts.server import Server
from demo_parts.sound import FULL_SCALE, read_wav

from roomtone.client import Client, connect

HOST = "127.0.0.1"
# Below the media ports and what the kernel hands out; test runs beside each other begin at different ones.
PEER_PORTS = range(10000 + 2 * (os.getpid() % 4000), 20000, 2)
PRESENT_AT_LEAST = 0.9  # packets of a peer that gets no CPU for a while come too late; the level stays exact
SINE_DBOV = -21.07  # ffmpeg's `sine`: amplitude 1/8 of full scale, so 20 log10(1/8 / sqrt 2)
FRAME_MS = 20
PRESENT_DB = 3.0  # a frame this far below the tone is a gap


@dataclass(frozen=True)
class Format:
    """A codec in the words of the three programs."""

    encoding: str  # SDP
    payload_type: int
    rate_hz: int
    ffmpeg: str
    gst_encoder: str  # encoder and payloader
    gst_decoder: str  # depayloader and decoder


PCMU = Format("PCMU", 0, 8000, "pcm_mulaw", "mulawenc ! rtppcmupay", "rtppcmudepay ! mulawdec")
PCMA = Format("PCMA", 8, 8000, "pcm_alaw", "alawenc ! rtppcmapay", "rtppcmadepay ! alawdec")
L16 = Format("L16", 97, 16000, "pcm_s16be", "rtpL16pay pt=97", "rtpL16depay")
L16_8K = Format("L16", 98, 8000, "pcm_s16be", "rtpL16pay pt=98", "rtpL16depay")


def offer(form: Format, port: int, direction: str, host: str = HOST) -> str:
    family = "IP6" if ":" in host else "IP4"
    lines = [
        "v=0",
        f"o=- 1 1 IN {family} {host}",
        "s=peer",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {form.payload_type}",
        f"a=rtpmap:{form.payload_type} {form.encoding}/{form.rate_hz}",
        f"a={direction}",
    ]
    return "\r\n".join([*lines, ""])


def answered_port(sdp: str) -> int:
    """Where the engine receives."""
    match = re.search(r"^m=audio (\d+)", sdp, re.M)
    assert match, sdp
    return int(match[1])


def as_receiver(answer: str, port: int) -> str:
    """The engine's answer turned round: what the peer on `port` is about to receive."""
    return re.sub(r"^m=audio \d+", f"m=audio {port}", answer, flags=re.M)


_next_pair = iter(PEER_PORTS)


@asynccontextmanager
async def session(server: Server) -> AsyncIterator[Client]:
    """A connection with a session of its own, destroyed at the end."""
    async with await connect(server.url) as client:
        await client.call("session.create")
        try:
            yield client
        finally:
            await client.call("session.destroy")


def port_pair(host: str = "127.0.0.1") -> int:
    """An even UDP port that is free together with the next, not given out before in this run."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _next_pair:
        try:
            with (
                socket.socket(family, socket.SOCK_DGRAM) as rtp,
                socket.socket(family, socket.SOCK_DGRAM) as rtcp,
            ):
                rtp.bind((host, port))
                rtcp.bind((host, port + 1))
        except OSError:
            continue
        return port
    raise AssertionError("no free port pair")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the test's own limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.005)


def loopbacks() -> tuple[str, ...]:
    """The loopback addresses this machine has."""
    out = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
        except OSError:
            continue
        out.append(host)
    return tuple(out)


@asynccontextmanager
async def program(*words: object) -> AsyncIterator[Process]:
    """A child process, ended with the block; had it ended before, with an error, that is printed."""
    process = await asyncio.create_subprocess_exec(*map(str, words), stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        early = process.returncode
        with suppress(ProcessLookupError):
            process.kill()
        if early:
            print(f"{words[0]} had ended with {early}: {(await process.communicate())[0].decode()}")
        await process.wait()


async def finished(process: Process) -> str:
    """Wait for its end; what it printed.  Fails when it ended with an error."""
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text
    return text


async def heard_by_engine(client: Client, speakers: int) -> None:
    """Until so many endpoints have received something."""
    while True:
        endpoints = (await client.call("stats.snapshot"))["endpoints"]
        if sum(endpoint["inbound"]["packets"] > 0 for endpoint in endpoints) >= speakers:
            return
        await asyncio.sleep(FRAME_MS / 1000)


# -- ffmpeg --------------------------------------------------------------------------------------------------


def ffmpeg_sender(form: Format, tone_hz: int, frame_samples: int, destination: str) -> list[str]:
    """A sine in real time, one frame a packet; it goes on for much longer than any test."""
    source = (
        f"sine=frequency={tone_hz}:sample_rate={form.rate_hz}:samples_per_frame={frame_samples}:duration=120"
    )
    return [
        *("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", source),
        *("-c:a", form.ffmpeg, "-payload_type", str(form.payload_type), "-f", "rtp", destination),
    ]


def ffmpeg_receiver(sdp: Path, wav: Path, seconds: float) -> list[str]:
    return [
        *("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file,udp,rtp"),
        *("-i", str(sdp), "-t", str(seconds), "-c:a", "pcm_s16le", "-y", str(wav)),
    ]


# -- GStreamer -----------------------------------------------------------------------------------------------


def gst_sender(form: Format, tone_hz: int, own_port: int, port: int) -> list[str]:
    """amplitude 0.125: the same level as ffmpeg's sine."""
    frame_samples = form.rate_hz * FRAME_MS // 1000
    pipeline = (
        f"audiotestsrc is-live=true freq={tone_hz} volume=0.125 samplesperbuffer={frame_samples} "
        f"! audioconvert ! audio/x-raw,rate={form.rate_hz},channels=1 ! {form.gst_encoder} "
        f"! udpsink host={HOST} port={port} bind-port={own_port}"
    )
    return ["gst-launch-1.0", "-q", *pipeline.split()]


def gst_receiver(form: Format, port: int, packets: int, wav: Path) -> list[str]:
    caps = (
        f"application/x-rtp,media=audio,clock-rate={form.rate_hz},encoding-name={form.encoding},"
        f"payload={form.payload_type},channels=1"
    )
    pipeline = (
        f"udpsrc port={port} num-buffers={packets} caps={caps} ! rtpjitterbuffer ! {form.gst_decoder} "
        f"! audioconvert ! audio/x-raw,format=S16LE ! wavenc ! filesink location={wav}"
    )
    return ["gst-launch-1.0", "-q", *pipeline.split()]


# -- what was recorded ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """A tone in a recording.  present: share of its 20 ms frames that hold it; level_dbov: of those."""

    seconds: float
    present: float
    level_dbov: float


def enough(machine: Machine, seconds: float) -> float:
    """The share of a tone that a peer has to have heard: less if the machine was away."""
    return PRESENT_AT_LEAST - machine.away_s() / seconds


def recorded(wav: Path, tone_hz: float) -> Recorded:
    """The tone's own power, frame by frame, by correlation with its sine and cosine over 20 ms (tones must be
    multiples of 50 Hz, so that one does not show up as another)."""
    pcm, rate_hz = read_wav(wav)
    size = rate_hz * FRAME_MS // 1000
    frames = pcm[: len(pcm) // size * size].reshape(-1, size) / FULL_SCALE
    phase = np.exp(-2j * np.pi * tone_hz * np.arange(size) / rate_hz)
    power = 2 * np.abs(frames @ phase / size) ** 2
    levels = 10 * np.log10(power + 1e-12)
    usual = float(np.median(levels))
    here = levels > usual - PRESENT_DB
    return Recorded(len(pcm) / rate_hz, float(np.mean(here)), usual)
