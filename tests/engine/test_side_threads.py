"""Threads beside the worker's own: work goes in, results come out on the Python thread, whatever hangs."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from roomtone.engine.side_threads import NICE, PACED_NICE, THREADS, SideThreads

PATIENCE_S = 30


class Bench:
    def __init__(self) -> None:
        self.woken: queue.Queue[None] = queue.Queue()
        self.results: list[Any] = []
        self.before = set(threading.enumerate())
        self.side = SideThreads(lambda: self.woken.put(None))

    def put(self, work: Any) -> None:
        self.side.put(work, self.results.append)

    def settle(self, left: int = 0) -> None:
        while self.side.pending > left:
            self.woken.get(timeout=PATIENCE_S)
            self.side.take(100)

    @property
    def threads(self) -> int:
        return len(set(threading.enumerate()) - self.before)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.side.close(PATIENCE_S)


def test_results_come_out_where_they_are_taken(bench: Bench) -> None:
    here = threading.get_ident()
    bench.put(threading.get_ident)
    bench.settle()
    assert bench.results != [here] and len(bench.results) == 1


def test_what_work_raises_is_its_result(bench: Bench) -> None:
    def fail() -> None:
        raise KeyError("x")

    bench.put(fail)
    bench.settle()
    assert isinstance(bench.results[0], KeyError)


def test_no_thread_is_there_before_there_is_work_and_one_is_enough_for_one_after_another(
    bench: Bench,
) -> None:
    assert bench.threads == 0
    for number in range(20):
        bench.put(lambda number=number: number)
        bench.settle()
    assert bench.results == list(range(20))
    assert bench.threads == 1


def test_work_that_hangs_holds_up_nobody_else(bench: Bench) -> None:
    gate = threading.Event()
    for _ in range(THREADS - 1):
        bench.put(gate.wait)
    for number in range(50):
        bench.put(lambda number=number: number)
    bench.settle(left=THREADS - 1)
    assert sorted(bench.results) == list(range(50))
    assert bench.threads == THREADS
    gate.set()
    bench.settle()


def test_they_run_when_nobody_else_wants_to(bench: Bench) -> None:
    bench.put(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    bench.settle()
    assert bench.results == [NICE]


def test_what_keeps_pace_with_calls_goes_before_them(bench: Bench) -> None:
    found: queue.Queue[int] = queue.Queue()
    bench.side.own("paced", lambda: found.put(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert found.get(timeout=PATIENCE_S) == PACED_NICE < NICE


def test_they_are_on_every_cpu_they_may_use_although_the_worker_is_pinned() -> None:
    everywhere = os.sched_getaffinity(0)
    woken: queue.Queue[None] = queue.Queue()
    results: list[Any] = []
    side = SideThreads(lambda: woken.put(None), everywhere)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        side.put(lambda: os.sched_getaffinity(0), results.append)
        woken.get(timeout=PATIENCE_S)
    finally:
        os.sched_setaffinity(0, everywhere)
    side.take(1)
    assert results == [everywhere]
    side.close(PATIENCE_S)


def test_a_few_results_are_taken_at_a_time(bench: Bench) -> None:
    for number in range(5):
        bench.put(lambda number=number: number)
    for _ in range(5):
        bench.woken.get(timeout=PATIENCE_S)
    assert bench.side.take(2) is True and len(bench.results) == 2
    assert bench.side.take(10) is False and len(bench.results) == 5


def test_the_end_does_not_wait_for_one_that_hangs() -> None:
    bench, gate = Bench(), threading.Event()
    bench.put(gate.wait)
    bench.side.close(0.01)
    assert bench.threads == 1
    gate.set()
    bench.settle()
