"""RFC 4733 telephone-event, send machine: what goes out is what receivers ask for."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from presses import SEGMENT_MAX, TICKS_PER_MS, Packet, hear

from roomtone.ext.wire import telephone_event as te

EMPTY = -8


def sent(duration_ms, *, event=5, rate=8000, timestamp=1000, step_us=1000, now_us=7_000_000, volume=10):
    """Drive the send machine in virtual time: [(us since start, packet tuple)]."""
    sender = te.Sender()
    sender.start(event, duration_ms, timestamp, now_us, clock_rate_hz=rate, volume=volume)
    out, elapsed_us = [], 0
    while True:
        packet = sender.poll(now_us + elapsed_us)
        if packet == EMPTY:
            break
        if packet != 0:
            out.append((elapsed_us, packet))
        elapsed_us += step_us
    assert not sender.active
    assert sender.poll(now_us + elapsed_us) == EMPTY
    return out


def test_a_press_of_100_ms_is_five_durations_and_three_ends():
    packets = sent(100)
    assert [(at // 1000, p[1], p[3]) for at, p in packets] == [
        (0, False, 160),
        (20, False, 320),
        (40, False, 480),
        (60, False, 640),
        (80, True, 800),
        (100, True, 800),
        (120, True, 800),
    ]
    assert {(p[0], p[2], p[4]) for _, p in packets} == {(5, 10, 1000)}


def test_an_idle_sender_has_nothing_to_send():
    assert te.Sender().poll(0) == EMPTY


def test_the_sender_stays_busy_until_20_ms_after_the_last_end():
    sender = te.Sender()
    sender.start(1, 20, 0, 0)
    assert [isinstance(sender.poll(t * 1000), tuple) for t in (0, 20, 40)] == [True] * 3
    assert sender.active and sender.poll(59_000) == 0
    assert sender.poll(60_000) == EMPTY and not sender.active


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([8000, 16000, 48000]), st.integers(0, 2**32 - 1))
def test_what_is_sent_is_what_receivers_ask_for(duration_ms, rate, timestamp):
    packets = sent(duration_ms, rate=rate, timestamp=timestamp, step_us=4000)
    at = [at_us for at_us, _ in packets]
    bodies = [p for _, p in packets]
    total = max(1, duration_ms * rate // 1000)
    assert at == [20_000 * i for i in range(len(at))]
    assert [p[5] for p in bodies] == [True] + [False] * (len(bodies) - 1)
    assert [p[1] for p in bodies] == [False] * (len(bodies) - 3) + [True] * 3
    assert len({p[3:5] for p in bodies[-3:]}) == 1
    for before, after in pairwise(bodies):
        if after[4] == before[4]:
            assert after[3] >= before[3]
        else:
            assert (before[3], after[4]) == (SEGMENT_MAX, (before[4] + SEGMENT_MAX) % 2**32)
    assert (bodies[-1][4] - timestamp) % 2**32 + bodies[-1][3] == total
    assert bodies[0][4] == timestamp


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10_000), st.lists(st.integers(1, 400), min_size=1))
def test_a_late_caller_gets_no_burst(duration_ms, steps_ms):
    sender = te.Sender()
    sender.start(3, duration_ms, 0, 0)
    now_ms, packets = 0, []
    while sender.active:
        packet = sender.poll(now_ms * 1000)
        if isinstance(packet, tuple):
            packets.append(packet)
            assert sender.next_us > now_ms * 1000
            assert sender.poll(now_ms * 1000) == 0
        now_ms += steps_ms[len(packets) % len(steps_ms)]
    assert sum(p[1] for p in packets) == 3
    assert packets[-1][4] + packets[-1][3] == duration_ms * TICKS_PER_MS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 1000)), min_size=1, max_size=6))
def test_what_one_side_sends_the_other_side_hears(presses):
    packets, at_ms = [], 0
    for event, duration_ms in presses:
        out = sent(duration_ms, event=event, timestamp=at_ms * TICKS_PER_MS)
        packets += [Packet(at_ms + at // 1000, p[0], p[1], p[3], p[4]) for at, p in out]
        at_ms += duration_ms + 60
    heard = hear(sorted(packets, key=lambda p: p.at_ms))
    assert heard.presses == presses


def test_ten_seconds_arrive_as_ten_seconds():
    packets = [Packet(at // 1000, p[0], p[1], p[3], p[4]) for at, p in sent(10_000)]
    heard = hear(packets)
    assert (heard.presses, heard.starts) == ([(5, 10_000)], 1)
