"""A worker's Python thread over a media thread in virtual time: real files, real side threads, no sockets."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from bench_worker import BenchWorker
from lab import L16_8K, Lab, Peer

from roomtone.engine import messages as m

RATE = 8000  # of the files that are played: what is heard can be compared bit for bit


class LabWorker(Lab):
    """Commands as with BenchWorker; `run` lets virtual time pass, and decoding have all it needs."""

    def __init__(self, endpoints: int = 64, **config: Any) -> None:
        super().__init__(endpoints)
        self.open_before = open_audio()
        self.bench = BenchWorker(
            port_min=20000, port_max=20001, endpoints=endpoints, media=self.media, **config
        )
        self.bench.now_us = self.now_us

    def close(self) -> None:
        self.bench.close()

    def take_facts(self) -> None:
        """The worker does."""
        self.bench.now_us = self.now_us
        self.bench.settle()

    def do(self, body: Any) -> Any:
        """A command and its reply, with what time it takes the media thread."""
        n = self.bench.post(body)
        self.take_facts()
        if self.bench.reply(n) is None:
            self.run(40)
        return self.bench.reply(n)

    def bus_of(self, session: str) -> int:
        return self.bench.worker.plan.sessions[session].bus


# -- files ----------------------------------------------------------------------------------------------


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(3).integers(-9000, 9000, int(seconds * RATE)).astype(np.int16)


def create(path: str, endpoint: str = "f", **values: Any) -> m.CreateFile:
    return m.CreateFile(
        **{"session": "s", "endpoint": endpoint, "phase": 3, "path": path, "key": path, **values}
    )


def listener(lab: LabWorker, session: str = "s") -> Peer:
    bus = lab.bench.worker.plan.session(session, 3, 20).bus
    return lab.peer(bus, codec=L16_8K, source=False, send_at_once=True, may_receive=False)


def heard(ear: Peer, expected: np.ndarray) -> bool:
    """These samples and then silence; nothing before them but silence."""
    audio = ear.audio()
    begin = int(np.flatnonzero(audio)[0]) // 160 * 160
    end = begin + len(expected)
    return np.array_equal(audio[begin:end], expected) and not audio[end:].any() and len(audio) >= end


def gauges(lab: LabWorker) -> dict[str, float]:
    return lab.do(m.GetMetrics()).gauges


def counters(lab: LabWorker) -> dict[str, int]:
    return lab.do(m.GetMetrics()).counters


def nothing_is_held(lab: LabWorker, *, tracks: int = 0) -> bool:
    lab.run(60)
    now = gauges(lab)
    assert (now["file_tracks"], now["side_work"], opened(lab)) == (tracks, 0, set())
    return tracks > 0 or now["file_bytes"] == 0


def open_audio() -> set[str]:
    """Audio files this process has open."""
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    names = (os.readlink(link) for link in links if os.path.lexists(link))
    return {name for name in names if name.endswith((".wav", ".flac"))}


def opened(lab: LabWorker) -> set[str]:
    """Those of this test."""
    return open_audio() - lab.open_before


def reply_kind(lab: LabWorker, n: int) -> str:
    reply = lab.bench.reply(n)
    return reply.code if isinstance(reply, m.Failed) else type(reply).__name__
