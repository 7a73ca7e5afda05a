"""Calls in virtual time: peers, a seeded lossy network and one media thread that never sleeps.

    lab = Lab()
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    ben = lab.peer(bus)
    lab.run(2000)                       # two seconds of call, milliseconds of test
    ben.heard, ben.audio()

Time is `lab.now_us`; it only goes forward.  Every millisecond the peers speak, the network delivers, and
the media thread takes one turn.  Nothing here opens a socket.
"""

from __future__ import annotations

import heapq
import itertools
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from network import MS, Network

from roomtone.ext.codec import codec as codecs
from roomtone.ext.flow.arena import layout as arena_layout
from roomtone.ext.flow.lab import LabMedia
from roomtone.ext.flow.media import Arena

PCMU, PCMA, L16_8K, L16_16K = codecs.PCMU, codecs.PCMA, codecs.L16_8K, codecs.L16_16K
PAYLOAD_TYPE = {PCMU: 0, PCMA: 8, L16_8K: 96, L16_16K: 97}
RATE_HZ = {PCMU: 8000, PCMA: 8000, L16_8K: 8000, L16_16K: 16000}
EVENT_TYPE = 101
NOISE_TYPE = 13
TICK_US = 20 * MS
START_US = 1_000_000
COLLECT_EVERY_MS = 20
HEADER = struct.Struct("!BBHII")
LOCAL = "127.0.0.1"
PAGE_BYTES = 4096

Signal = Callable[[int, int, int], np.ndarray]  # (first sample, count, rate) -> int16[count]


def tone(frequency_hz: float, amplitude: int = 8000) -> Signal:
    def signal(first: int, count: int, rate: int) -> np.ndarray:
        t = np.arange(first, first + count) / rate
        return np.round(amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype(np.int16)

    return signal


def silence(first: int, count: int, rate: int) -> np.ndarray:
    return np.zeros(count, np.int16)


def encode(codec: int, pcm: np.ndarray) -> bytes:
    out = np.zeros(len(pcm) * 2, np.uint8)
    return out[: codecs.encode(codec, np.ascontiguousarray(pcm, np.int16), out)].tobytes()


def decode(codec: int, payload: bytes) -> np.ndarray:
    out = np.zeros(len(payload), np.int16)
    return out[: codecs.decode(codec, np.frombuffer(payload, np.uint8), out)].copy()


def rtp(
    payload_type: int, seq: int, timestamp: int, ssrc: int, payload: bytes, marker: bool = False
) -> bytes:
    return HEADER.pack(0x80, payload_type | marker << 7, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


class Packet(NamedTuple):
    """One RTP packet as it left the media thread."""

    at_us: int
    payload_type: int
    marker: bool
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, at_us: int, data: bytes) -> Packet:
        first, second, seq, timestamp, ssrc = HEADER.unpack_from(data)
        assert first == 0x80, "we write no CSRC, extension or padding"
        return cls(at_us, second & 0x7F, bool(second >> 7), seq, timestamp, ssrc, data[HEADER.size :])


class Peer:
    """A telephone: sends its signal in packets of ptime_ms by its own clock, keeps what it was sent."""

    def __init__(
        self, lab: Lab, index: int, *, codec: int, signal: Signal | None, network: Network | None
    ) -> None:
        self.lab = lab
        self.codec = codec
        self.signal = signal
        self.network = network or Network()
        self.address = (LOCAL, 20000 + index)
        self.handle = 0
        self.ptime_ms = 20.0
        self.clock_ppm = 0.0
        self.ssrc = 0x1000 + index
        self.seq = 100 * index
        self.timestamp = 1000 * index
        self.position = 0  # samples of the signal sent
        self.frames = 0
        self.since_us = 0
        self.marker = False
        self.noise: int | None = None  # -dBov: hushed, with that level told; None: without
        self.hushed_frames: int | None = None  # since it is; None: it is not
        self.noise_every = 0
        self.heard: list[Packet] = []
        self.reports: list[tuple[int, bytes]] = []
        self.spoken: list[np.ndarray] = []  # what the other side can decode at best, a frame each

    # -- sending ----------------------------------------------------------------------------------------

    def talk(self, signal: Signal | None) -> None:
        """Change what is said; None: nothing is sent (and the timestamp stands still)."""
        if signal is not None and self.signal is None:
            self.frames, self.since_us = 0, self.lab.now_us
        self.signal = signal

    def hush(self, noise: int | None, *, every: int = 0) -> None:
        """Say nothing and send nothing (DTX) while the clock goes on, until `talk_again`.

        noise: its level, -dBov, is told by a packet of comfort noise, again every so many frames; None: no.
        """
        self.noise, self.noise_every, self.hushed_frames = noise, every, 0

    def talk_again(self) -> None:
        self.hushed_frames, self.marker = None, True

    def skip_frame(self, at_us: int, count: int) -> None:
        frame = self.hushed_frames or 0
        if self.noise is not None and (frame % self.noise_every == 0 if self.noise_every else frame == 0):
            self.send(bytes([self.noise]), payload_type=NOISE_TYPE, at_us=at_us)
        self.hushed_frames = frame + 1
        self.timestamp += count

    def pause(self, ms: int) -> None:
        """The timestamp goes on as if ms of signal had been sent."""
        self.timestamp += ms * RATE_HZ[self.codec] // 1000

    def speak(self, now_us: int) -> None:
        """Send what is due until now."""
        if self.signal is None:
            return
        interval = self.ptime_ms * MS * (1 - self.clock_ppm * 1e-6)
        while self.since_us + self.frames * interval <= now_us:
            at = int(self.since_us + self.frames * interval)
            self.frames += 1
            count = int(RATE_HZ[self.codec] * self.ptime_ms / 1000)
            if self.hushed_frames is not None:
                self.skip_frame(at, count)
            else:
                self.say(self.signal(self.position, count, RATE_HZ[self.codec]), at)
            self.position += count

    def say(self, pcm: np.ndarray, at_us: int | None = None) -> None:
        """One packet with these samples."""
        payload = encode(self.codec, pcm)
        self.spoken.append(decode(self.codec, payload))
        self.send(payload, at_us=at_us, marker=self.marker)
        self.marker = False
        self.timestamp += len(pcm)

    def send(
        self,
        payload: bytes,
        *,
        payload_type: int | None = None,
        timestamp: int | None = None,
        marker: bool = False,
        at_us: int | None = None,
    ) -> None:
        """One packet into the network; the sequence number goes on."""
        data = rtp(
            PAYLOAD_TYPE[self.codec] if payload_type is None else payload_type,
            self.seq,
            self.timestamp if timestamp is None else timestamp,
            self.ssrc,
            payload,
            marker,
        )
        self.seq += 1
        self.post(data, at_us)

    def post(self, data: bytes, at_us: int | None = None) -> None:
        for arrival in self.network.arrivals(self.lab.now_us if at_us is None else at_us):
            self.lab.deliver_at(arrival, self, data)

    def feed(self, data: bytes, source: tuple[str, int] | None = None, *, rtcp: bool = False) -> None:
        """A datagram that arrives now, past the network."""
        self.lab.media.feed(self.handle, data, source or self.address, self.lab.now_us, rtcp)
        self.lab.collect()

    def press(
        self,
        event: int,
        ms: int = 100,
        *,
        timestamp: int | None = None,
        payload_type: int = EVENT_TYPE,
        rate: int = 8000,
    ) -> None:
        """Queue one key press: updates every 20 ms, the end three times; speech does not pause by itself."""
        start_us = self.lab.now_us
        stamp = self.timestamp if timestamp is None else timestamp
        updates = ms // 20
        for i in range(updates + 2):
            told = min(i + 1, updates)
            body = struct.pack("!BBH", event, (0x80 if told == updates else 0) | 10, told * rate // 50)
            at = start_us + i * TICK_US
            self.lab.call_at(
                at,
                lambda body=body, i=i, at=at: self.send(
                    body, payload_type=payload_type, timestamp=stamp, marker=i == 0, at_us=at
                ),
            )

    # -- hearing ----------------------------------------------------------------------------------------

    @property
    def stats(self) -> dict[str, Any]:
        return self.lab.media.stats(self.handle)

    def clear(self) -> None:
        self.heard.clear()
        self.reports.clear()

    def voice(self) -> list[Packet]:
        return [p for p in self.heard if p.payload_type not in (EVENT_TYPE, NOISE_TYPE)]

    def comfort(self) -> list[Packet]:
        return [p for p in self.heard if p.payload_type == NOISE_TYPE]

    def presses(self) -> list[Packet]:
        return [p for p in self.heard if p.payload_type == EVENT_TYPE]

    def audio(self, *, codec: int | None = None, last_ms: int | None = None) -> np.ndarray:
        """What was heard, packet after packet, decoded: int16[n]."""
        codec = self.codec if codec is None else codec
        frames = [decode(codec, p.payload) for p in self.voice()]
        pcm = np.concatenate(frames) if frames else np.zeros(0, np.int16)
        return pcm if last_ms is None else pcm[-last_ms * RATE_HZ[codec] // 1000 :]


class Lab:
    """One media thread with its arena, and everybody who talks to it."""

    def __init__(self, endpoints: int = 64, worker: int = 0, now_us: int = START_US) -> None:
        fd = os.memfd_create("lab")
        Arena.format(fd, endpoints=endpoints, worker=worker, epoch=1)
        self.arena = Arena(fd, writable=True)
        self.arena_fd = fd
        self.media = LabMedia(self.arena, fact_fd=-1, lab=True)
        self.now_us = now_us
        self.peers: dict[int, Peer] = {}
        self.indices = itertools.count(1 + 1000 * worker)
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.arrivals = itertools.count(1)
        self.told: list[tuple[Any, ...]] = []
        self.media.step(now_us)

    # -- building ---------------------------------------------------------------------------------------

    def bus(self, *, phase: int = 3, key_relay_limit: int = 20) -> int:
        bus = self.media.bus_take()
        self.media.bus_open(bus, phase=phase, key_relay_limit=key_relay_limit)
        return bus

    def room(self, *, phase: int = 3, roles: bool = False) -> int:
        """A bus that is a room's."""
        bus = self.bus(phase=phase)
        self.media.bus_room(bus, roles=[] if roles else None)
        return bus

    def sit(self, peer: Peer, room: int, **seat: Any) -> int:
        """Take a seat there, or another one.  Returns the number that `facts(FACT_SEATED)` tells with it."""
        arrival = next(self.arrivals)
        self.media.seat(room, peer.handle, arrival=arrival, **seat)
        return arrival

    def member(
        self, room: int, *, codec: int = L16_8K, seat: dict[str, Any] | None = None, **more: Any
    ) -> Peer:
        """A telephone that is made in a room, with that seat."""
        return self.peer(room, codec=codec, seat=seat or {}, **more)

    def tone(
        self,
        bus: int,
        frequency_hz: float,
        *,
        ms: int = -1,
        seat: dict[str, Any] | None = None,
    ) -> int:
        """A sine made here, its handle."""
        handle: int = self.media.endpoint_take()
        self.media.tone_open(handle, kind=4, frequency_hz=frequency_hz, duration_ms=ms)
        if seat is not None:
            self.media.seat(bus, handle, arrival=next(self.arrivals), **seat)
        self.media.source_add(bus, handle)
        return handle

    def peer(
        self,
        bus: int | None = None,
        *,
        codec: int = PCMU,
        signal: Signal | None = None,
        network: Network | None = None,
        source: bool = True,
        destination: bool = True,
        remote: tuple[str, int] | None = None,
        send_at_once: bool = False,
        seat: dict[str, Any] | None = None,
        **negotiated: Any,
    ) -> Peer:
        """An endpoint with its telephone.  remote: the SDP's address when it is not the peer's own."""
        peer = Peer(self, next(self.indices), codec=codec, signal=signal, network=network)
        index = peer.address[1]
        peer.since_us = self.now_us
        peer.handle = handle = self.media.endpoint_take()
        self.peers[handle] = peer
        self.media.endpoint_open(
            handle,
            rtp_fd=-1,
            rtcp_fd=-1,
            local=(LOCAL, 10000 + index % 10000 * 2),
            local_rtcp_port=10001 + index % 10000 * 2,
            ssrc=0xA0000000 + index,
            cname=f"c{index}",
            seq=65500,  # so that every second test crosses a wrap
            timestamp=0xFFFFF000,
        )
        if bus is not None and seat is not None:
            self.sit(peer, bus, **seat)
        self.negotiate(peer, **negotiated)
        address = remote or peer.address
        self.media.endpoint_remote(
            handle, remote=address, rtcp_port=address[1], learn=not send_at_once, send_at_once=send_at_once
        )
        if bus is not None:
            self.join(peer, bus, source=source, destination=destination)
        self.media.step(self.now_us)
        return peer

    def negotiate(
        self,
        peer: Peer,
        *,
        receive: Sequence[int] | None = None,
        send_codec: int | None = None,
        events: Sequence[tuple[int, int]] = ((EVENT_TYPE, 8000),),
        event_send: tuple[int, int] | None = (EVENT_TYPE, 8000),
        noise: int | None = None,
        may_receive: bool = True,
        may_send: bool = True,
    ) -> None:
        send_codec = peer.codec if send_codec is None else send_codec
        self.media.endpoint_media(
            peer.handle,
            receive=[(PAYLOAD_TYPE[c], c) for c in receive or (peer.codec,)],
            send_payload_type=PAYLOAD_TYPE[send_codec],
            send_codec=send_codec,
            event_receive=list(events),
            event_send=event_send,
            may_receive=may_receive,
            may_send=may_send,
            noise_receive=noise,
            noise_send=noise,
        )

    def join(self, peer: Peer, bus: int, *, source: bool = True, destination: bool = True) -> None:
        if source:
            self.media.source_add(bus, peer.handle)
        if destination:
            self.media.destination_add(bus, peer.handle)

    def leave(self, peer: Peer, bus: int) -> None:
        self.media.source_remove(bus, peer.handle)
        self.media.destination_remove(bus, peer.handle)

    def close(self, peer: Peer) -> None:
        peer.signal = None
        self.media.endpoint_close(peer.handle)

    def free(self, peer: Peer) -> None:
        self.media.endpoint_free(peer.handle)
        del self.peers[peer.handle]

    # -- time -------------------------------------------------------------------------------------------

    def call_at(self, at_us: int, action: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (at_us, next(self.order), action))

    def deliver_at(self, at_us: int, peer: Peer, data: bytes) -> None:
        self.call_at(at_us, lambda: self.media.feed(peer.handle, data, peer.address, at_us))

    def run(self, ms: int) -> None:
        """Let ms of virtual time pass, a loop turn each."""
        for turn in range(ms):
            self.now_us += MS
            for peer in self.peers.values():
                peer.speak(self.now_us)
            while self.queue and self.queue[0][0] <= self.now_us:
                heapq.heappop(self.queue)[2]()
            self.media.step(self.now_us)
            if turn % COLLECT_EVERY_MS == COLLECT_EVERY_MS - 1:
                self.collect()
        self.collect()

    def skip(self, ms: int) -> None:
        """The media thread is held up: time passes, no turn is taken until its end."""
        self.now_us += ms * MS
        self.media.step(self.now_us)
        for peer in self.peers.values():
            interval = peer.ptime_ms * MS
            peer.frames = max(peer.frames, int((self.now_us - peer.since_us) // interval) + 1)
        self.collect()

    def collect(self) -> None:
        for at_us, handle, data, is_rtcp in self.media.sent():
            peer = self.peers.get(handle)
            if peer is None:
                continue
            if is_rtcp:
                peer.reports.append((at_us, data))
            else:
                peer.heard.append(Packet.parse(at_us, data))
        self.take_facts()

    def take_facts(self) -> None:
        self.told += self.media.facts()

    def facts(self, kind: int) -> list[tuple[Any, ...]]:
        self.collect()
        return [fact[1:] for fact in self.told if fact[0] == kind]

    # -- reading ----------------------------------------------------------------------------------------

    def __del__(self) -> None:
        os.close(self.arena_fd)

    def endpoint_slots(self) -> np.ndarray:
        """The endpoint slots of the arena as they are now: uint8[slots, bytes of a slot]."""
        structs = arena_layout()
        first = -(-structs["arena_header_t"][0] // PAGE_BYTES) * PAGE_BYTES
        size = structs["endpoint_t"][0]
        data = os.pread(self.arena_fd, self.arena.endpoints * size, first)
        return np.frombuffer(data, np.uint8).reshape(-1, size)

    @property
    def counters(self) -> dict[str, int]:
        return self.media.metrics()["counters"]

    @property
    def drops(self) -> dict[str, int]:
        """Named drops that happened."""
        return {name: n for name, n in self.media.metrics()["drops"].items() if n}


# -- what tests ask of packets and samples -------------------------------------------------------------


def gap_free(packets: Iterable[Packet]) -> bool:
    return all((b.seq - a.seq) & 0xFFFF == 1 for a, b in itertools.pairwise(packets))


def timestamp_steps(packets: Iterable[Packet]) -> list[int]:
    """Signed differences."""
    return [
        ((b.timestamp - a.timestamp + 2**31) & 0xFFFFFFFF) - 2**31 for a, b in itertools.pairwise(packets)
    ]


def level_at(pcm: np.ndarray, frequency_hz: float, rate: int = 8000) -> float:
    """Amplitude of one frequency, by correlation over the whole of pcm."""
    t = np.arange(len(pcm)) / rate
    return 2 * abs(np.mean(pcm.astype(float) * np.exp(-2j * np.pi * frequency_hz * t)))


def snr_db(pcm: np.ndarray, reference: np.ndarray) -> float:
    noise = float(np.mean((pcm.astype(float) - reference.astype(float)) ** 2))
    return 10 * float(np.log10(max(float(np.mean(reference.astype(float) ** 2)), 1e-9) / max(noise, 1e-9)))
