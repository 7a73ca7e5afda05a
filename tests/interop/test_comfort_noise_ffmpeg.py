"""Comfort noise against ffmpeg's RFC 3389 coder (by PyAV), over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import av
import numpy as np
import pytest
from aiortc.rtp import RtpPacket
from demo_parts.server import Server
from peers import HOST, L16_8K, PCMU, Format, answered_port, offer, session, until

from roomtone.client import Client

pytestmark = pytest.mark.interop

NOISE = 13
FRAME_S = 0.02
FRAME = 160
FFMPEG_FRAME = 640
CALM = b"\xff" * FRAME  # PCMU
FLOOR_DBOV = -65 - 6.18  # -65 dBm0, RFC 3389 section 3
FRAMES = 50


def dbov(pcm: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(pcm.astype(float) ** 2)) / 32768))


def described_by_ffmpeg(pcm: np.ndarray) -> bytes:
    """The packet with which ffmpeg describes these 8 kHz samples: level and reflection coefficients."""
    coder = av.CodecContext.create("comfortnoise", "w")
    coder.sample_rate, coder.layout, coder.format = 8000, "mono", "s16"
    packets = []
    for first in range(0, len(pcm) - FFMPEG_FRAME + 1, FFMPEG_FRAME):
        part = np.ascontiguousarray(pcm[None, first : first + FFMPEG_FRAME], np.int16)
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, first
        packets += [bytes(packet) for packet in coder.encode(frame)]
    return packets[-1]


def made_by_ffmpeg(payload: bytes) -> np.ndarray:
    """What ffmpeg plays for this packet, once it has faded to it."""
    coder = av.CodecContext.create("comfortnoise", "r")
    coder.sample_rate, coder.layout = 8000, "mono"
    frames = [frame.to_ndarray().ravel() for _ in range(100) for frame in coder.decode(av.Packet(payload))]
    return np.concatenate(frames[50:])


class Telephone(asyncio.DatagramProtocol):
    """Sends audio or comfort noise on one line, keeps what comes."""

    def __init__(self) -> None:
        self.heard: list[RtpPacket] = []
        self.frames = 0
        self.transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not 200 <= data[1] <= 204:
            self.heard.append(RtpPacket.parse(data))

    def send(self, payload: bytes, payload_type: int) -> None:
        packet = RtpPacket(payload_type, 0, self.frames, self.frames * FRAME, ssrc=0x1234567, payload=payload)
        self.transport.sendto(packet.serialize(), self.remote)
        self.frames += 1

    async def join(self, client: Client, form: Format, direction: str) -> None:
        port = self.transport.get_extra_info("sockname")[1]
        profile = f"RTP/AVP {form.payload_type}"
        text = offer(form, port, direction).replace(profile, f"{profile} {NOISE}")
        made = await client.call("endpoint.create_from_offer", sdp=text + "a=rtcp-mux\r\n")
        assert "a=rtpmap:13 CN/8000" in made["sdp_answer"]
        self.remote = (HOST, answered_port(made["sdp_answer"]))


@asynccontextmanager
async def telephone(client: Client, form: Format, direction: str = "sendrecv") -> AsyncIterator[Telephone]:
    phone = Telephone()
    phone.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: phone, local_addr=(HOST, 0)
    )
    try:
        await phone.join(client, form, direction)
        yield phone
    finally:
        phone.transport.close()


@pytest.mark.parametrize("level", [30, 45, 55])
def test_noise_that_ffmpeg_describes_is_heard_within_2_db_of_what_it_was(
    server: Server, run: Callable, level: int
) -> None:
    original = np.random.default_rng(level).normal(0, 32768 * 10 ** (-level / 20), 4 * FFMPEG_FRAME)
    packet = described_by_ffmpeg(np.round(original))

    async def body() -> None:
        async with (
            session(server) as client,
            telephone(client, PCMU, "sendonly") as anna,
            telephone(client, L16_8K, "recvonly") as ben,
        ):
            while not ben.heard:
                anna.send(CALM, PCMU.payload_type)
                await asyncio.sleep(FRAME_S)
            heard: list[np.ndarray] = []
            while len(heard) < FRAMES:
                anna.send(packet, NOISE)
                await asyncio.sleep(FRAME_S)
                frames = [np.frombuffer(p.payload, ">i2") for p in ben.heard if p.payload_type == 98]
                heard = [pcm for pcm in frames if pcm.any()][5:]
        pcm = np.concatenate(heard)
        assert dbov(pcm) == pytest.approx(dbov(original), abs=2)
        assert described_by_ffmpeg(pcm)[0] == pytest.approx(packet[0], abs=1)

    run(body())


def test_ffmpeg_makes_of_our_packets_noise_that_a_room_does_not_add_up(server: Server, run: Callable) -> None:
    async def body() -> None:
        async with (
            session(server) as client,
            telephone(client, PCMU) as anna,
            telephone(client, PCMU) as ben,
            telephone(client, PCMU) as carl,
        ):
            while sum(p.payload_type == NOISE for p in anna.heard) < FRAMES:
                for phone in (anna, ben, carl):
                    phone.send(CALM, PCMU.payload_type)
                await asyncio.sleep(FRAME_S)
            await until(lambda: bool(ben.heard))
        comfort = [p for p in anna.heard if p.payload_type == NOISE]
        assert {p.marker for p in comfort} == {0}
        (payload,) = {p.payload for p in comfort}
        pcm = made_by_ffmpeg(payload)
        assert pcm.any() and FLOOR_DBOV - 10 < dbov(pcm) <= FLOOR_DBOV

    run(body())
