"""What the lowest layer costs: a reading of the clock, a record through the ring, the choice of a level.

``ns_per_operation`` in extra_info is the cost of one; the loops run inside one call without the GIL.
"""

from collections.abc import Callable
from typing import Any

import pytest

from roomtone.ext.base import clock, cpu
from roomtone.ext.base.ring import Ring

LOOPS = 100_000


def measure(benchmark: Any, run: Callable[[], Any]) -> Any:
    result = benchmark(run)
    benchmark.extra_info["ns_per_operation"] = round(benchmark.stats["median"] / LOOPS * 1e9, 2)
    return result


def test_clock(benchmark: Any) -> None:
    before = clock.now_us()
    assert measure(benchmark, lambda: clock.bench(LOOPS)) >= before


@pytest.mark.parametrize("record_bytes", [64, 512])
def test_ring(benchmark: Any, record_bytes: int) -> None:
    ring = Ring(record_bytes, 1024)
    assert measure(benchmark, lambda: ring.bench(LOOPS)) == LOOPS


def test_cpu_level(benchmark: Any) -> None:
    assert benchmark(cpu.level) in cpu.supported()
