"""A peer that sends as fast as it can costs itself: it is not heard more often, other calls lose nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.ext.flow.rx_flood import budget

CALL = Path(__file__).with_name("flooded_call.py")
PACKET_US, BURST_US, TICK_US = 2000, 100_000, 20_000
BURST, A_TICK = BURST_US // PACKET_US, TICK_US // PACKET_US
LEARN_READS = 64  # read at once from a peer that is not known yet
START_US = 2**32 - 500_000  # the budget's clock has 32 bits: it wraps in every test


def flooded_call(mode: str) -> dict:
    done = subprocess.run(
        [sys.executable, CALL, mode], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["rtp", "giant", "rtcp", "stranger"])
def test_calls_beside_a_flood_lose_nothing(mode: str) -> None:
    call = flooded_call(mode)
    assert call["lost"] == [0] * 40 and call["in_order"]
    at_once = BURST + (LEARN_READS if mode == "stranger" else 1)
    assert call["floods"] > 0
    assert BURST < call["read"] <= at_once + call["flooded_us"] // PACKET_US + 2 * A_TICK
    assert call["kernel_overflow"] > 0
    if mode == "giant":
        assert call["oversize"] > BURST


def test_without_a_flood_nobody_is_left_unread() -> None:
    call = flooded_call("none")
    assert call["lost"] == [0] * 40 and call["floods"] == call["kernel_overflow"] == 0


# -- the budget alone --------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 19_000), min_size=1, max_size=300), st.sampled_from([2500, 5000, 10_000, 20_000])
)
def test_no_steady_source_is_ever_ahead_however_the_network_shakes_it(
    jitter: list[int], ptime_us: int
) -> None:
    arrivals = sorted(START_US + number * ptime_us + late for number, late in enumerate(jitter))
    assert not any(budget([(at, 1) for at in arrivals]))


def test_a_second_of_packets_held_up_is_read_at_once() -> None:
    assert budget([(START_US, 1)] * 51) == [False] * 50 + [True]


def test_a_flood_is_read_ten_times_a_tick_after_its_burst() -> None:
    now_us, reads, ahead = START_US, 0, False
    history: list[tuple[int, int]] = []
    for _ in range(100):
        while not ahead:
            history.append((now_us, 1))
            ahead = budget(history)[-1]
            reads += 1
        now_us += TICK_US
        history.append((now_us, 0))
        ahead = budget(history)[-1]
        history.pop()
    assert reads == pytest.approx(BURST + 100 * A_TICK, abs=A_TICK)


@given(st.integers(300_000, 2**31))
def test_a_long_silence_is_no_debt_and_no_credit(silence_us: int) -> None:
    told = budget([(START_US, 1)] * 51 + [(START_US + silence_us, 1)] * 51)
    assert told == ([False] * BURST + [True]) * 2
