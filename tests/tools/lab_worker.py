"""A worker's Python thread over a media thread in virtual time: real files, real side threads, no sockets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from bench_worker import BenchWorker
from lab import Lab


class LabWorker(Lab):
    """Commands as with BenchWorker; `run` lets virtual time pass, and decoding have all it needs."""

    def __init__(self, endpoints: int = 64, **config: Any) -> None:
        super().__init__(endpoints)
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
