"""The arithmetic behind the tables."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.bench.load.figures import (
    FRAME_NS,
    NS_PER_S,
    SEQ_RANGE,
    calmest,
    histogram_percentile,
    median_of,
    pacing_ns,
    percentile,
    sequence_faults,
    shortfall,
    summary_us,
    unwrap,
)


def test_percentile_is_the_nearest_rank():
    values = np.arange(1, 1001)
    np.random.default_rng(1).shuffle(values)
    assert [percentile(values, q) for q in (50, 99, 99.9, 100)] == [500, 990, 999, 1000]


def test_percentile_of_one_value_and_of_none():
    assert percentile(np.array([7]), 99.9) == 7
    assert math.isnan(percentile(np.array([]), 50))


@given(st.lists(st.integers(0, 500), min_size=1), st.sampled_from([1.0, 50.0, 99.0, 99.9]))
def test_histogram_and_values_agree(values, q):
    counts = np.bincount(values, minlength=501)
    assert histogram_percentile(counts, q) == percentile(np.array(values), q)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300), st.floats(0.1, 100))
def test_at_least_q_percent_do_not_exceed_the_percentile(values, q):
    found = percentile(np.array(values), q)
    assert sum(v <= found for v in values) >= q / 100 * len(values) - 1e-5
    assert found in values


def test_the_calmest_second_forgets_a_disturbance_but_not_an_overload():
    at = np.arange(0, 3 * NS_PER_S, NS_PER_S // 1000)
    once = np.where(at // NS_PER_S == 1, 50, 2)
    assert calmest(once, at, 0, 3 * NS_PER_S) == 2
    assert calmest(at // NS_PER_S + 40, at, 0, 3 * NS_PER_S) == 40
    assert math.isnan(calmest(once, at, 0, NS_PER_S // 2))


def test_summary_is_in_microseconds():
    assert summary_us(np.array([1000, 2000, 9000])) == {"p50": 2.0, "p99": 9.0, "p99_9": 9.0, "max": 9.0}


def test_a_sequence_that_wraps_has_no_gap():
    seq = (np.arange(200) + 65500) % SEQ_RANGE
    assert sequence_faults(seq) == {"missing": 0, "duplicate": 0, "reordered": 0}
    assert unwrap(seq, SEQ_RANGE)[-1] == 65500 + 199


def test_missing_duplicate_and_reordered_are_told_apart():
    assert sequence_faults(np.array([5, 6, 8, 9])) == {"missing": 1, "duplicate": 0, "reordered": 0}
    assert sequence_faults(np.array([5, 6, 6, 7])) == {"missing": 0, "duplicate": 1, "reordered": 0}
    assert sequence_faults(np.array([5, 7, 6, 8])) == {"missing": 0, "duplicate": 0, "reordered": 1}
    assert sequence_faults(np.array([], dtype=int)) == {"missing": 0, "duplicate": 0, "reordered": 0}


def grid(count):
    tick = np.arange(count)
    return tick * FRAME_NS + 1_700_000_000_000_000_000, (tick * 160 + 2**32 - 800) % 2**32


def test_perfect_pacing_is_zero_also_across_a_timestamp_wrap():
    arrival, timestamp = grid(50)
    assert pacing_ns(arrival, timestamp, 8000).max() == 0


def test_one_late_packet_is_one_pacing_error():
    arrival, timestamp = grid(51)
    arrival[20] += 3_000_000
    errors = pacing_ns(arrival, timestamp, 8000)
    assert errors.max() == 3_000_000
    assert (errors > 0).sum() == 1


def test_a_skipped_tick_is_no_pacing_error_when_the_timestamp_says_so():
    arrival, timestamp = grid(50)
    assert pacing_ns(np.delete(arrival, 10), np.delete(timestamp, 10), 8000).max() == 0


def test_a_packet_late_by_a_whole_frame_is_not_taken_for_the_next_one():
    arrival, timestamp = grid(51)
    arrival[20] += FRAME_NS
    assert pacing_ns(arrival, timestamp, 8000).max() == FRAME_NS


@pytest.mark.parametrize(("received", "missing"), [(200, 0), (199, 0), (198, 1), (0, 199), (205, 0)])
def test_a_stream_owes_one_packet_a_frame(received, missing):
    assert shortfall(received, 200 * FRAME_NS) == missing


def test_median_of_runs_ignores_runs_without_the_figure():
    assert median_of([{"a": 1}, {"a": 9}, {"a": 2}, {}], "a") == 2
    assert median_of([{}], "a") is None
