"""Benches for the worker's Python thread."""

from __future__ import annotations

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
from loopback import port_range


@pytest.fixture
def make_bench() -> Iterator[Callable[..., BenchWorker]]:
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
