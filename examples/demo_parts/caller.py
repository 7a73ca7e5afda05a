"""A telephone: sends one RTP packet every 20 ms, keeps what it receives.  It knows SDP and RTP, not roomtone.

The packet is RFC 3550 section 5.1, keys are RFC 4733 section 2.3.  Everything happens on one asyncio loop.
"""

from __future__ import annotations

import asyncio
import random
import re
import struct
from dataclasses import dataclass, field

import numpy as np

from demo_parts.sound import FRAME_MS, FRAME_SAMPLES, FRAMES_A_SECOND, PCMA, PCMU, RATE_HZ, level_dbov

RTP_HEADER_BYTES = 12
RTP_VERSION_2 = 0x80
MARKER = 0x80
RTCP_TYPES = range(200, 205)  # RFC 3550 section 12.1: SR, RR, SDES, BYE, APP
SENDER_REPORT = 200
BYE = 203
SSRC_VALUES = 1 << 32
KEYS = "0123456789*#ABCD"  # RFC 4733 section 3.2, in the order of their codes
KEY_PAYLOAD_TYPE = 101
KEY_FRAMES = 6  # 120 ms, then three packets with the end bit
KEY_END_FRAMES = 3  # RFC 4733 section 2.5.1.4
KEY_END_BIT = 0x80
KEY_VOLUME = 10  # dB below full scale
CODECS = {"PCMU": (0, PCMU), "PCMA": (8, PCMA)}  # static payload types, RFC 3551


@dataclass
class Script:
    """What a caller does, in frames of 20 ms from the beginning.

    track: int16[frames · FRAME_SAMPLES], what it says.  keys: frame of the press -> key.
    silent: frames in which it sends nothing at all.  lost: share of its packets that never leave, except in
    the first and the last second, so that nobody has to guess whether a packet is lost or was never sent.
    """

    track: np.ndarray
    keys: dict[int, str] = field(default_factory=dict)
    silent: range = range(0)
    lost: float = 0.0


@dataclass
class Totals:
    sent: int = 0
    withheld: int = 0  # packets that were "lost on the way"
    received: int = 0
    missing: int = 0  # holes in the numbers of what we received
    reports: int = 0
    byes: int = 0


class Caller(asyncio.DatagramProtocol):
    """Order of use: open, offer_sdp, connect, then frame(n) every 20 ms, close."""

    def __init__(self, name: str, codec: str, script: Script, seed: int, host: str = "127.0.0.1") -> None:
        self.name = name
        self.host = host
        self.codec = codec
        self.script = script
        self.totals = Totals()
        self.keys_heard: list[str] = []
        self.sent_payloads: list[bytes] = []  # audio only, as sent
        self.received_payloads: list[bytes] = []  # audio only, as received
        self.said_dbov = self.heard_dbov = level_dbov(np.zeros(0))
        self.state = "quiet"
        self._payload_type, self._law = CODECS[codec]
        self._random = random.Random(seed)
        self.ssrc = self._random.randrange(SSRC_VALUES)
        self._seq = self._random.randrange(1 << 15)
        self._first_ts = self._random.randrange(1 << 31)
        self._key: tuple[str, int] | None = None  # what is pressed, and since which frame
        self._marker = True
        self._lossy = False
        self._port = 0
        self._remote: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._begun_s = 0.0
        self._line: list[tuple[int, bytes]] = []  # (sample offset, payload) of received audio
        self._first_received: tuple[int, int] | None = None  # (RTP timestamp, sample offset) of the first
        self._last_seq: int | None = None
        self._last_key_ts: int | None = None

    # -- signalling ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(self.host, 0)
        )
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]

    def offer_sdp(self) -> str:
        address = f"IN {'IP6' if ':' in self.host else 'IP4'} {self.host}"
        lines = [
            "v=0",
            f"o={self.name} {self.ssrc} 1 {address}",
            "s=-",
            f"c={address}",
            "t=0 0",
            f"m=audio {self._port} RTP/AVP {self._payload_type} {KEY_PAYLOAD_TYPE}",
            f"a=rtpmap:{self._payload_type} {self.codec}/8000",
            f"a=rtpmap:{KEY_PAYLOAD_TYPE} telephone-event/8000",
            f"a=fmtp:{KEY_PAYLOAD_TYPE} 0-15",
            "a=rtcp-mux",
        ]
        return "\r\n".join([*lines, ""])

    def connect(self, answer_sdp: str) -> None:
        """Where to send, out of the engine's answer."""
        address = re.search(r"^c=IN IP[46] (\S+)", answer_sdp, re.M)
        port = re.search(r"^m=audio (\d+)", answer_sdp, re.M)
        if address is None or port is None:
            raise ValueError(f"an answer without address or port: {answer_sdp!r}")
        self._remote = (address[1], int(port[1]))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- sending ---------------------------------------------------------------------------------------------

    def begin(self, now_s: float) -> None:
        """Frame 0 is now.  now_s: the loop's clock."""
        self._begun_s = now_s

    def frame(self, number: int) -> None:
        """Send what belongs to this frame of the script."""
        script = self.script
        pcm = script.track[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES]
        timestamp = self._first_ts + number * FRAME_SAMPLES
        self._lossy = FRAMES_A_SECOND <= number < len(script.track) // FRAME_SAMPLES - FRAMES_A_SECOND
        if number in script.keys:
            self._key = (script.keys[number], number)
        if number in script.silent:
            self.state = "gone"
            self._marker = True  # the first packet after the silence
            self.said_dbov = level_dbov(np.zeros(0))
        elif self._key is not None:
            self._send_key(number)
        else:
            payload = self._law.encode(pcm)
            self.sent_payloads.append(payload)
            self._send(self._payload_type, timestamp, payload, self._marker)
            self._marker = False
            self.said_dbov = level_dbov(pcm)
            self.state = "speaks" if pcm.any() else "quiet"

    def _send_key(self, number: int) -> None:
        """One update of the key that is pressed; all carry the timestamp of its beginning."""
        assert self._key is not None
        key, first = self._key
        step = number - first
        end = step >= KEY_FRAMES
        duration = min(step + 1, KEY_FRAMES) * FRAME_SAMPLES
        event = struct.pack("!BBH", KEYS.index(key), KEY_VOLUME | (KEY_END_BIT if end else 0), duration)
        self._send(KEY_PAYLOAD_TYPE, self._first_ts + first * FRAME_SAMPLES, event, step == 0)
        self.state = f"presses {key}"
        if step == KEY_FRAMES + KEY_END_FRAMES - 1:
            self._key = None
            self._marker = True

    def _send(self, payload_type: int, timestamp: int, payload: bytes, marker: bool) -> None:
        seq = self._seq
        self._seq = seq + 1 & 0xFFFF
        if self._lossy and self._random.random() < self.script.lost:
            self.totals.withheld += 1
            return
        second = payload_type | (MARKER if marker else 0)
        header = struct.pack("!BBHII", RTP_VERSION_2, second, seq, timestamp & 0xFFFFFFFF, self.ssrc)
        self.send_raw(header + payload)
        self.totals.sent += 1

    def send_raw(self, datagram: bytes) -> None:
        """Anything else, from the same port."""
        assert self._transport is not None
        self._transport.sendto(datagram, self._remote)

    # -- receiving -------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < RTP_HEADER_BYTES:
            return
        if data[1] in RTCP_TYPES:
            self._rtcp(data)
            return
        _, second, seq, timestamp, _ = struct.unpack_from("!BBHII", data)
        self.totals.received += 1
        if self._last_seq is not None:
            self.totals.missing += (seq - self._last_seq - 1) & 0xFFFF
        self._last_seq = seq
        payload = data[RTP_HEADER_BYTES:]
        if second & 0x7F == KEY_PAYLOAD_TYPE:
            if timestamp != self._last_key_ts:
                self.keys_heard.append(KEYS[payload[0]])
            self._last_key_ts = timestamp
            return
        if second & 0x7F != self._payload_type:
            return
        if self._first_received is None:
            elapsed_s = asyncio.get_running_loop().time() - self._begun_s
            self._first_received = (timestamp, round(elapsed_s * RATE_HZ))
        first_ts, first_offset = self._first_received
        self._line.append(((timestamp - first_ts & 0xFFFFFFFF) + first_offset, payload))
        self.received_payloads.append(payload)
        self.heard_dbov = level_dbov(self._law.decode(payload))

    def _rtcp(self, data: bytes) -> None:
        """Count the sender reports and the goodbyes of a compound."""
        while len(data) >= 8:
            self.totals.reports += data[1] == SENDER_REPORT
            self.totals.byes += data[1] == BYE
            data = data[(int.from_bytes(data[2:4], "big") + 1) * 4 :]

    def heard(self) -> np.ndarray:
        """int16[n]: what came, placed by its timestamps on the line that begins with frame 0."""
        length = len(self.script.track) + RATE_HZ
        out = np.zeros(length, dtype=np.int16)
        for offset, payload in self._line:
            pcm = self._law.decode(payload)[: max(0, length - offset)]
            if 0 <= offset < length:
                out[offset : offset + len(pcm)] = pcm
        return out


async def every_frame(frames: int, do: list[Caller], begun_s: float) -> None:
    """Let all callers send, frame after frame, on the loop's clock; late frames are sent at once."""
    loop = asyncio.get_running_loop()
    for number in range(frames):
        await asyncio.sleep(max(0.0, begun_s + number * FRAME_MS / 1000 - loop.time()))
        for caller in do:
            caller.frame(number)
