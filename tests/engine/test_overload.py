"""What a worker gives up under load, in which order, and that it does not dither."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_worker import BenchWorker
from hypothesis import given
from hypothesis import strategies as st

from roomtone.engine import messages as m
from roomtone.engine.load import LATE_FULL, Load, LoadMeter
from roomtone.engine.log import Log
from roomtone.engine.overload import HYSTERESIS, REST_US, Level, Overload, State, after, thresholds
from roomtone.engine.thread_clock import thread_clock

AT = thresholds(0.85, 0.92)
SAMPLE_US = 250_000
START = State()


def walk(loads: list[float], state: State = START, at: dict[Level, float] = AT) -> list[int]:
    """The level after each sample."""
    levels = []
    for number, load in enumerate(loads, 1):
        state = after(state, load, number * SAMPLE_US, at)
        levels.append(int(state.level))
    return levels


@pytest.mark.parametrize(
    ("load", "level"),
    [
        (0.0, Level.NORMAL),
        (0.849, Level.NORMAL),
        (0.85, Level.STATISTICS),
        (0.873, Level.STATISTICS),
        (0.874, Level.VOICE_DETECTION),
        (0.896, Level.VOICE_DETECTION),
        (0.897, Level.INBAND_KEYS),
        (0.919, Level.INBAND_KEYS),
        (0.92, Level.NEW_ENDPOINTS),
        (1.0, Level.NEW_ENDPOINTS),
    ],
)
def test_the_load_decides_what_is_given_up_in_this_order(load: float, level: Level) -> None:
    assert walk([load]) == [level]


@pytest.mark.parametrize(
    ("shed_at", "refuse_at", "levels"),
    [
        (0.0, 0.0, [0, 0, 0, 0]),
        (0.0, 0.9, [0, 0, 4, 4]),
        (0.7, 0.0, [0, 1, 3, 3]),
        (0.7, 0.7, [0, 4, 4, 4]),
    ],
)
def test_zero_switches_a_part_of_the_ladder_off(shed_at: float, refuse_at: float, levels: list[int]) -> None:
    at = thresholds(shed_at, refuse_at)
    assert [walk([load], at=at)[0] for load in (0.69, 0.7, 0.9, 1.0)] == levels


def test_it_comes_back_one_step_at_a_time_each_after_a_rest() -> None:
    rest = REST_US // SAMPLE_US
    levels = walk([0.95] + [0.1] * (5 * rest))
    assert levels == [4] * rest + [3] * rest + [2] * rest + [1] * rest + [0] * (rest + 1)


def test_refusing_alone_comes_back_at_once_to_normal() -> None:
    assert set(walk([0.95] + [0.1] * 9, at=thresholds(0.0, 0.9))) == {4, 0}


@given(st.sampled_from(list(Level)[1:]), st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_a_load_that_swings_around_a_threshold_changes_nothing(level: Level, swings: list[float]) -> None:
    low = AT[level] - HYSTERESIS
    loads = [min(low + HYSTERESIS * swing, AT[level]) for swing in swings]
    assert set(walk(loads, State(level, 0))) == {level}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_nothing_is_taken_up_again_before_a_rest_and_never_two_things_at_once(loads: list[float]) -> None:
    levels = walk(loads)
    fell = [i for i in range(1, len(levels)) if levels[i] < levels[i - 1]]
    for i in fell:
        assert levels[i] == levels[i - 1] - 1
        quiet = loads[i - REST_US // SAMPLE_US + 1 : i + 1]
        assert all(load < AT[Level(levels[i - 1])] - HYSTERESIS for load in quiet)
    for level, load in zip(levels, loads, strict=True):
        assert level >= max(each for each in Level if load >= AT[each])


# -- the load ----------------------------------------------------------------------------------------------


def test_the_load_is_what_the_thread_ran_and_waited_for_and_settles_within_seconds() -> None:
    meter, told = LoadMeter(), Load()
    for number in range(25):
        told = meter.take(number * SAMPLE_US, number * 150_000_000, number * 50_000_000, number * 250, 0)
    assert told.busy == pytest.approx(0.6, abs=0.01) and told.waiting == pytest.approx(0.2, abs=0.01)
    assert told.pressure == pytest.approx(0.8, abs=0.01)


def test_one_peak_is_no_overload() -> None:
    meter = LoadMeter()
    meter.take(0, 0, 0, 0, 0)
    assert meter.take(SAMPLE_US, SAMPLE_US * 1000, 0, 0, 0).pressure < 0.25


@pytest.mark.parametrize(("busy", "pressure"), [(0.6, 1.0), (0.2, 0.2)])
def test_phases_that_begin_late_weigh_like_a_full_cpu_when_half_of_it_is_taken(
    busy: float, pressure: float
) -> None:
    meter, told = LoadMeter(), Load()
    for number in range(25):
        ran_ns = int(number * SAMPLE_US * 1000 * busy)
        told = meter.take(number * SAMPLE_US, ran_ns, 0, number * 100, int(number * 100 * LATE_FULL))
    assert told.pressure == pytest.approx(pressure, abs=0.02)


def test_the_clock_is_that_of_the_thread_it_was_made_for() -> None:
    worked, end = threading.Event(), threading.Event()
    ran: list[int] = []

    def work() -> None:
        while time.thread_time_ns() < 20_000_000:
            sum(range(1000))
        ran.append(time.thread_time_ns())
        worked.set()
        end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    assert thread.ident is not None and thread.native_id is not None
    clock = thread_clock(thread.ident, thread.native_id)
    worked.wait()
    run_ns, waited_ns = clock()
    end.set()
    thread.join()
    assert ran[0] <= run_ns < time.process_time_ns() and waited_ns >= 0


# -- the worker --------------------------------------------------------------------------------------------


@pytest.fixture
def bench(make_bench: Callable[..., BenchWorker]) -> BenchWorker:
    return make_bench(measured=True)


def loads(bench: BenchWorker) -> list[m.WorkerLoad]:
    return [event for event in bench.events() if isinstance(event, m.WorkerLoad)]


def advance(bench: BenchWorker, ms: int) -> None:
    for _ in range(ms // 250):
        bench.advance(250)


def test_control_is_told_the_load_once_a_second_and_a_new_level_at_once(bench: BenchWorker) -> None:
    bench.worker.start(1, "none")
    bench.busy, bench.waiting = 0.3, 0.1
    advance(bench, 10_000)
    told = loads(bench)
    assert len(told) == pytest.approx(10, abs=1) and told[-1].level == 0
    assert told[-1].busy == pytest.approx(0.3, abs=0.01) and told[-1].waiting == pytest.approx(0.1, abs=0.01)
    bench.busy = 0.9
    advance(bench, 10_000)
    levels = [load.level for load in loads(bench)]
    assert levels == sorted(levels) and levels[-1] == Level.NEW_ENDPOINTS
    gauges = bench.do(m.GetMetrics()).gauges
    assert gauges["overload_level"] == 4 and gauges["media_busy"] == pytest.approx(0.9, abs=0.01)


def test_late_phases_of_a_busy_worker_reach_the_ladder(bench: BenchWorker) -> None:
    bench.worker.start(1, "none")
    bench.busy = 0.6
    for _ in range(40):
        bench.media.phases += 100
        bench.media.late_phases += 30
        bench.advance(250)
    assert loads(bench)[-1].level == Level.NEW_ENDPOINTS
    assert bench.worker.overload.gives_up(Level.INBAND_KEYS)


def test_an_overloaded_worker_goes_on_with_its_calls(bench: BenchWorker) -> None:
    bench.rtp()
    bench.worker.start(1, "none")
    edits = len(bench.media.edits)
    bench.busy = 1.0
    advance(bench, 5000)
    assert bench.worker.overload.level == Level.NEW_ENDPOINTS
    assert {name for name, _ in bench.media.edits[edits:]} == {"watch_kinds"}
    assert bench.do(m.InjectKey(endpoint="e", digit="1")) == m.Done()
    assert len(bench.do(m.GetStats("s")).endpoints) == 1


def test_every_step_is_one_line_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        overload = Overload(0.85, 0.92, Log(fd=file.fileno(), worker=3))
        ran_ns = 0
        for number in range(100):
            ran_ns += SAMPLE_US * (950 if number < 40 else 100)
            overload.sample(number * SAMPLE_US, ran_ns, 0, 0, 0)
        os.fsync(file.fileno())
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == overload.steps
    assert [line["event"] for line in lines] == ["overload_level"] * len(lines)
    top = max(lines, key=lambda line: line["level"])
    assert top["gives_up"] == ["statistics", "voice_detection", "inband_keys", "new_endpoints"]
    assert [line["level"] for line in lines[-4:]] == [3, 2, 1, 0]
    assert {line["worker"] for line in lines} == {3}
