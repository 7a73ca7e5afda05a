"""The lab with a recorder whose threads are steps: drain and writer look every 50 ms of virtual time."""

from __future__ import annotations

import os
import struct
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from lab import Lab, Peer
from workers import Workers

from roomtone.ext.record.drain import Drain
from roomtone.ext.record.writer import Writer

TURN_MS = 50
RING_BYTES = 1 << 24
WALL_OFFSET_US = 1_700_000_000_000_000 - 1_000_000  # the lab begins on 2023-11-14 at 22:13:20 UTC
HELLO = bytes(64)
ETHERNET, IPV4, IPV6, UDP = 14, 20, 40, 8


@dataclass
class Recording:
    path: Path
    id: int
    handles: list[int] = field(default_factory=list)


class Recorded:
    """start and stop recordings of peers; `run` lets time pass.  writing False: the disk does not answer."""

    def __init__(self, folder: Path, workers: Workers | None = None, index: int = 0) -> None:
        """workers: several, of which that one records."""
        self.folder = folder
        self.lab = Lab() if workers is None else workers.labs[index]
        self.clock = self.lab if workers is None else workers
        while not self.lab.media.capture_prepare(RING_BYTES):
            pass
        self.news_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.drain = Drain(self.lab.media.capture_ring_address(), 64)
        self.writer = Writer(self.news_fd)
        self.draining = self.writing = True
        self.captured: dict[int, int] = {}
        self.news: list[tuple[int, bool]] = []

    def close(self) -> None:
        os.close(self.news_fd)

    def start(
        self, name: str, peers: list[Peer], *, rate_hz: int = 0, mix: bool = False, limit: int = 1000
    ) -> Recording:
        """rate_hz 0: a pcap."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        fds = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL), os.open(path.parent, os.O_RDONLY)
        return self._begin(path, peers, *fds, rate_hz=rate_hz, mix=mix, limit=limit, channels=len(peers))

    def feed(
        self, keeper: Recorded, kept: Recording, peers: list[Peer], *, rate_hz: int = 0, limit: int = 1000
    ) -> Recording:
        """Send what these peers say and hear to another worker's recording."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        keeper.drain.feed(kept.id, reading, position=keeper.lab.media.capture_position())
        os.write(writing, HELLO)
        return self._begin(kept.path, peers, writing, -1, rate_hz=rate_hz, limit=limit, feeding=True)

    def _begin(
        self, path: Path, peers: list[Peer], fd: int, folder_fd: int, *, channels: int = 0, mix: bool = False,
        **more: Any,
    ) -> Recording:  # fmt: skip
        number = self.drain.begin(
            self.writer,
            fd=fd,
            folder_fd=folder_fd,
            name=path.name.encode(),
            channels=channels,
            mix=mix,
            started_us=self.lab.now_us,
            wall_offset_us=WALL_OFFSET_US,
            position=self.lab.media.capture_position(),
            **more,
        )
        recording = Recording(path, number)
        for channel, peer in enumerate(peers):
            self.join(recording, peer.handle, channel=channel if channels else -1)
        return recording

    def join(self, recording: Recording, handle: int, *, made_here: bool = False, channel: int = -1) -> None:
        recording.handles.append(handle)
        self.drain.leg(
            recording.id,
            handle,
            position=self.lab.media.capture_position(),
            at_us=self.lab.now_us,
            lost=self.lab.media.capture_lost(handle),
            made_here=made_here,
            channel=channel,
        )
        self.captured[handle] = self.captured.get(handle, 0) + 1
        self.lab.media.capture(handle, True)
        self.lab.media.step(self.lab.now_us)

    def leave(self, recording: Recording, handle: int) -> None:
        recording.handles.remove(handle)
        self.drain.leg_end(
            recording.id,
            handle,
            position=self.lab.media.capture_position(),
            lost=self.lab.media.capture_lost(handle),
        )
        self.captured[handle] -= 1
        if not self.captured[handle]:
            self.lab.media.capture(handle, False)

    def pause(self, recording: Recording, paused: bool) -> None:
        order = self.drain.pause if paused else self.drain.resume
        order(recording.id, position=self.lab.media.capture_position(), at_us=self.lab.now_us)

    def run(self, ms: int) -> None:
        for _ in range(ms // TURN_MS):
            self.clock.run(TURN_MS)
            self.turn()

    def turn(self) -> None:
        if self.draining:
            self.drain.step(self.lab.now_us)
        if self.writing:
            self.writer.step()
        self.news += self.writer.take_news()

    def stop(self, recording: Recording) -> dict[str, Any]:
        """End it and let it be written; returns its counts."""
        self.end(recording)
        self.turn()
        return self.ended(recording)

    def end(self, recording: Recording) -> None:
        for handle in list(recording.handles):
            self.leave(recording, handle)
        position = self.lab.media.capture_position()
        self.drain.end(recording.id, position=position, stopped_us=self.lab.now_us)

    def ended(self, recording: Recording) -> dict[str, Any]:
        assert (recording.id, False) in self.news
        counts = self.drain.counts(recording.id)
        self.drain.forget(recording.id)
        return counts


def sound(path: Path) -> tuple[int, np.ndarray]:
    """(rate, int16[channels, samples]) of a WAV, by Python's own reader."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return file.getframerate(), pcm.reshape(-1, file.getnchannels()).T


@dataclass
class Frame:
    """One packet of a pcap."""

    at_us: int
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    udp_checksum: int
    ip: bytes


def frames(path: Path) -> list[Frame]:
    """Packets of a pcap, parsed here."""
    data = path.read_bytes()
    magic, major, minor, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 1)
    out, at = [], 24
    while at < len(data):
        seconds, us, kept, whole = struct.unpack_from("<IIII", data, at)
        assert kept == whole
        out.append(frame(seconds * 1_000_000 + us, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return out


def frame(at_us: int, data: bytes) -> Frame:
    (protocol,) = struct.unpack_from("!H", data, 12)
    ip = data[ETHERNET:]
    if protocol == 0x0800:
        (total,) = struct.unpack_from("!H", ip, 2)
        addresses, size = (ip[12:16], ip[16:20]), IPV4
    else:
        assert protocol == 0x86DD
        total = struct.unpack_from("!H", ip, 4)[0] + IPV6
        addresses, size = (ip[8:24], ip[24:40]), IPV6
    assert total == len(ip)
    source, destination, length, checksum = struct.unpack_from("!HHHH", ip, size)
    assert length == len(ip) - size
    one, other = (".".join(map(str, a)) if len(a) == 4 else a.hex(":", 2) for a in addresses)
    return Frame(at_us, (one, source), (other, destination), ip[size + UDP :], checksum, ip)
