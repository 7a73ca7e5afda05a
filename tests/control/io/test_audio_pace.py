"""What a bot says, cut into ticks: nothing lost, nothing early, marks and flushes in their place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.io.audio_pace import (
    MARKS,
    PLAYED_TICKS,
    QUEUE_SECONDS,
    START_TICKS,
    TICK_MS,
    Gather,
    Pace,
    bytes_of,
)

RATES = [8000, 16000, 48000]


def tone(rate: int, ms: int, hz: float = 440.0) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(rate * ms // 1000) / rate)).astype("<i2")


def samples(payload: bytes) -> np.ndarray:
    return np.frombuffer(payload, ">i2")


def run(pace: Pace, first: int, ticks: int) -> list[tuple[int, bytes, bool]]:
    """(tick, payload, marker) of the ticks that had a packet."""
    out = []
    for tick in range(first, first + ticks):
        frame = pace.frame(tick)
        if frame is not None:
            out.append((tick, *frame))
    return out


def test_a_sentence_sent_at_once_goes_out_a_frame_a_tick_without_a_gap() -> None:
    pace, said = Pace(8000), tone(8000, 10_000)
    pace.put(said.tobytes())
    sent = run(pace, 100, 600)
    assert [tick for tick, _, _ in sent] == list(range(100, 600))
    assert [marker for _, _, marker in sent] == [True] + [False] * 499
    np.testing.assert_array_equal(np.concatenate([samples(p) for _, p, _ in sent]), said)
    assert not pace.busy


@pytest.mark.parametrize("rate", RATES)
def test_the_end_is_filled_up_with_silence(rate: int) -> None:
    pace = Pace(rate)
    pace.put(tone(rate, 70).tobytes())
    sent = run(pace, 1, 10)
    assert len(sent) == 4
    assert len({len(payload) for _, payload, _ in sent}) == 1
    assert not samples(sent[-1][1])[-20:].any()
    assert not pace.busy


def test_at_48_khz_a_full_last_frame_is_followed_by_what_the_filter_held_back() -> None:
    pace, said = Pace(48_000), tone(48_000, 100, 1000)
    pace.put(said.tobytes())
    sent = run(pace, 1, 10)
    heard = np.concatenate([samples(p) for _, p, _ in sent]).astype(float)
    assert len(sent) == 6
    assert heard[1600:].any()
    energy = np.sum(np.square(said.astype(float))) / 3
    assert np.sum(np.square(heard)) == pytest.approx(energy, rel=0.01)


def test_little_waits_for_more_but_not_for_long() -> None:
    pace = Pace(8000)
    pace.put(tone(8000, 20).tobytes())
    assert [tick for tick, _, _ in run(pace, 10, 10)] == [10 + START_TICKS]


def test_a_bot_that_speaks_in_real_time_with_jitter_is_heard_without_a_gap() -> None:
    pace, said = Pace(8000), tone(8000, 2000)
    late = [0, 0, 1, 2, 0, 0, 2, 1]  # ticks by which every piece of 20 ms is late
    due: dict[int, list[bytes]] = {}
    at = 0
    for number in range(100):
        at = max(at, number + late[number % len(late)])
        due.setdefault(at, []).append(said[number * 160 : number * 160 + 160].tobytes())
    sent = []
    for tick in range(120):
        for piece in due.get(tick, ()):
            pace.put(piece)
        sent += run(pace, tick, 1)
    assert [tick for tick, _, _ in sent] == list(range(sent[0][0], sent[0][0] + 100))
    np.testing.assert_array_equal(np.concatenate([samples(p) for _, p, _ in sent]), said)


def test_a_pause_lets_time_run_on_and_begins_a_new_talk_spurt() -> None:
    pace = Pace(8000)
    pace.put(tone(8000, 100).tobytes())
    first = run(pace, 1, 50)
    pace.put(tone(8000, 100).tobytes())
    second = run(pace, 51, 50)
    assert [tick for tick, _, _ in first + second] == [1, 2, 3, 4, 5, 51, 52, 53, 54, 55]
    assert [marker for _, _, marker in first + second] == [True, *[False] * 4] * 2


def test_ticks_that_were_slept_through_cost_a_pause_and_no_audio() -> None:
    pace, said = Pace(8000), tone(8000, 200)
    pace.put(said.tobytes())
    sent = run(pace, 1, 3) + run(pace, 30, 20)
    np.testing.assert_array_equal(np.concatenate([samples(p) for _, p, _ in sent]), said)


@given(st.binary(min_size=0, max_size=4000), st.lists(st.integers(1, 700), max_size=30))
def test_frames_of_any_size_make_the_same_line(data: bytes, cuts: list[int]) -> None:
    pace, at = Pace(8000), 0
    for cut in cuts:
        pace.put(data[at : at + cut])
        at += cut
    pace.put(data[at:])
    heard = b"".join(payload for _, payload, _ in run(pace, 1, 40))
    whole = len(data) // 2 * 2
    np.testing.assert_array_equal(samples(heard)[: whole // 2], np.frombuffer(data[:whole], "<i2"))
    assert not any(heard[whole:])


def test_half_a_sample_waits_for_its_other_half() -> None:
    pace, said = Pace(8000), tone(8000, 80).tobytes()
    pace.put(said[:321])
    assert len(run(pace, 1, 10)) == 1
    assert not pace.busy
    pace.put(said[321:])
    heard = b"".join(payload for _, payload, _ in run(pace, 20, 10))
    assert samples(heard)[:480].tolist() == np.frombuffer(said[320:], "<i2").tolist()


def test_flush_throws_away_what_waits_and_nothing_after_it() -> None:
    pace = Pace(16_000)
    pace.put(tone(16_000, 1000).tobytes() + b"\x01")
    assert len(run(pace, 1, 10)) == 10
    assert pace.flush() == (800, [])
    assert run(pace, 11, 10) == []
    again = tone(16_000, 100)
    pace.put(again.tobytes())
    heard = np.concatenate([samples(p) for _, p, _ in run(pace, 30, 10)])
    np.testing.assert_array_equal(heard, again)


def test_a_mark_is_passed_when_what_stands_before_it_has_been_played() -> None:
    pace = Pace(8000)
    pace.put(tone(8000, 200).tobytes())
    pace.mark("half")
    pace.put(tone(8000, 200).tobytes())
    pace.mark("end")
    passed = {}
    for tick in range(1, 40):
        pace.frame(tick)
        passed |= dict.fromkeys(pace.passed(tick), tick)
    assert passed == {"half": 10 + PLAYED_TICKS, "end": 20 + PLAYED_TICKS}
    assert not pace.busy


def test_a_mark_in_silence_is_passed_at_once() -> None:
    pace = Pace(8000)
    pace.mark("now")
    assert pace.busy
    assert pace.passed(5) == ["now"]


def test_flush_gives_the_marks_back_that_were_not_reached() -> None:
    pace = Pace(8000)
    pace.put(tone(8000, 100).tobytes())
    pace.mark("reached")
    pace.put(tone(8000, 1000).tobytes())
    pace.mark("never")
    run(pace, 1, 6)
    assert pace.passed(6) == []
    assert pace.flush() == (980, ["never"])
    assert pace.passed(6 + PLAYED_TICKS) == ["reached"]


def test_a_bot_too_far_ahead_or_with_too_many_marks_is_to_wait() -> None:
    pace = Pace(8000)
    pace.put(bytes(bytes_of(QUEUE_SECONDS * 1000, 8000)))
    assert not pace.full
    pace.put(bytes(2))
    assert pace.full
    run(pace, 1, 1)
    assert not pace.full
    pace.flush()
    for number in range(MARKS + 1):
        pace.mark(str(number))
    assert pace.full


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("flush_ms", [0, 20, 100])
def test_so_many_milliseconds_are_gathered_for_a_frame_to_the_bot(rate: int, flush_ms: int) -> None:
    gather = Gather(rate, flush_ms)
    engine_rate = min(rate, 16_000)
    payload = tone(engine_rate, TICK_MS).astype(">i2").tobytes()
    frames = [frame for _ in range(50) if (frame := gather.put(payload)) is not None]
    assert {len(frame) for frame in frames} == {bytes_of(max(flush_ms, TICK_MS), rate)}
    assert len(frames) * max(flush_ms, TICK_MS) == 1000


def test_what_was_gathered_can_be_asked_for() -> None:
    gather, payload = Gather(8000, 100), tone(8000, TICK_MS).astype(">i2").tobytes()
    assert gather.put(payload) is None
    assert np.frombuffer(gather.rest(), "<i2").tolist() == tone(8000, TICK_MS).tolist()
    assert gather.rest() == b""
