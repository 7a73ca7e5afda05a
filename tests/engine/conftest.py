"""Benches for the worker's Python thread."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from bench_worker import BenchWorker
from lab_worker import RATE, LabWorker, noise


@pytest.fixture
def port_range() -> Callable[[int], tuple[int, int]]:
    """Finds a range of so many free UDP pairs on loopback: (first even port, last odd port)."""

    def find(pairs: int) -> tuple[int, int]:
        for first in range(20000, 30000, 2 * pairs):
            taken = []
            try:
                for port in range(first, first + 2 * pairs):
                    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    taken.append(probe)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            finally:
                for probe in taken:
                    probe.close()
            return first, first + 2 * pairs - 1
        raise AssertionError("no free range")

    return find


@pytest.fixture
def make_bench(port_range: Callable[[int], tuple[int, int]]) -> Iterator[Callable[..., BenchWorker]]:
    made: list[BenchWorker] = []

    def make(pairs: int = 16, **config: Any) -> BenchWorker:
        port_min, port_max = port_range(pairs)
        made.append(BenchWorker(port_min=port_min, port_max=port_max, **config))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., BenchWorker]) -> BenchWorker:
    return make_bench()


@pytest.fixture
def make_lab() -> Iterator[Callable[..., LabWorker]]:
    made: list[LabWorker] = []

    def make(**config: Any) -> LabWorker:
        made.append(LabWorker(**config))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[..., LabWorker]) -> LabWorker:
    return make_lab()


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., str]:
    """Writes a file of noise, so many seconds, or of these samples."""

    def make(pcm: float | np.ndarray, name: str = "a.wav", rate: int = RATE) -> str:
        samples = noise(pcm) if isinstance(pcm, (int, float)) else pcm
        soundfile.write(tmp_path / name, samples, rate)
        return str(tmp_path / name)

    return make
