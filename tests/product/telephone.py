"""A telephone on the test's event loop: says what it is given, keeps what it hears by its timestamps."""

from __future__ import annotations

import asyncio
import os
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from demo_parts.sound import PCMU

from roomtone.client import Client

FRAME_S = 0.02
HEADER = struct.Struct(">BBHII")


@dataclass(frozen=True)
class Codec:
    name: str
    payload_type: int
    rate: int

    @property
    def frame(self) -> int:
        return self.rate // 50

    def encode(self, pcm: np.ndarray) -> bytes:
        return PCMU.encode(pcm) if self.payload_type == 0 else pcm.astype(">i2").tobytes()

    def decode(self, payload: bytes) -> np.ndarray:
        return PCMU.decode(payload) if self.payload_type == 0 else np.frombuffer(payload, ">i2")


ULAW = Codec("PCMU", 0, 8000)
WIDE = Codec("L16", 97, 16000)


class Telephone(asyncio.DatagramProtocol):
    """Order of use: call (or offer and answered), say and heard as often as one likes, hang_up."""

    def __init__(self, codec: Codec = ULAW) -> None:
        self.codec = codec
        self._to: tuple[str, int] | None = None
        self._track: deque[np.ndarray] = deque()
        self._packets: list[tuple[int, bytes]] = []  # (place in the line, payload) as they came
        self._first: int | None = None  # timestamp
        self.length = 0  # samples of the line it has heard, from the first packet on
        self._number = 0
        self._ssrc = int.from_bytes(os.urandom(4), "big")
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.DatagramTransport | None = None

    async def call(self, client: Client) -> str:
        """Offer, and send from the answer on; the endpoint's id."""
        made: dict[str, Any] = await client.call("endpoint.create_from_offer", sdp=await self.offer())
        self.answered(made["sdp_answer"])
        return str(made["endpoint_id"])

    async def offer(self) -> str:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport
        port = transport.get_extra_info("sockname")[1]
        codec = self.codec
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {codec.payload_type}\r\n"
            f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.rate}\r\na=rtcp-mux\r\n"
        )

    def answered(self, sdp: str) -> None:
        self._to = ("127.0.0.1", int(sdp.split("m=audio ")[1].split()[0]))
        self._task = asyncio.create_task(self._send())

    def say(self, pcm: np.ndarray) -> None:
        """int16[n] at the codec's rate, behind what it still has to say; silence when it has nothing."""
        frame = self.codec.frame
        padded = np.concatenate([pcm, np.zeros(-len(pcm) % frame, pcm.dtype)])
        self._track.extend(padded.reshape(-1, frame))

    @property
    def talking(self) -> bool:
        return bool(self._track)

    def heard(self) -> np.ndarray:
        """int16[n] from the first packet on; what did not come is silence."""
        line = np.zeros(self.length, np.int16)
        for place, payload in self._packets:
            if place >= 0:
                line[place : place + self.codec.frame] = self.codec.decode(payload)[: self.codec.frame]
        return line

    async def until_heard(self, seconds: float) -> None:
        """Until the line it has heard is that long."""
        while self.length < seconds * self.codec.rate:
            await asyncio.sleep(FRAME_S)

    def hang_up(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[1] & 0x7F != self.codec.payload_type:
            return
        timestamp = HEADER.unpack_from(data)[3]
        self._first = timestamp if self._first is None else self._first
        place = (timestamp - self._first + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        self._packets.append((place, data[HEADER.size :]))
        self.length = max(self.length, place + self.codec.frame)

    async def _send(self) -> None:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        silence = np.zeros(self.codec.frame, np.int16)
        begun_s = loop.time()
        while True:
            pcm = self._track.popleft() if self._track else silence
            header = HEADER.pack(
                0x80, self.codec.payload_type, self._number & 0xFFFF, self._number * len(pcm), self._ssrc
            )
            self._transport.sendto(header + self.codec.encode(pcm), self._to)
            self._number += 1
            await asyncio.sleep(begun_s + self._number * FRAME_S - loop.time())
