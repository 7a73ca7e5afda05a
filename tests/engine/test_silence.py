"""The clock of speech and silence: what is told depends on what was said, not on when somebody looked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.engine.silence import HANGOVER_MS, STARTED, Heard, Silence

TICK_MS = 20
BASE_MS = 1000  # of the clock, when the story begins


def utterances(frames: list[int]) -> list[tuple[int, int]]:
    """(first, last) speech frame of each, in ms: a pause of the hang-over or longer parts two."""
    out: list[tuple[int, int]] = []
    for at in frames:
        if out and at - out[-1][1] < HANGOVER_MS:
            out[-1] = (out[-1][0], at)
        else:
            out.append((at, at))
    return out


def heard_at(frames: list[int], now_ms: int) -> Heard:
    """What the detector knows then."""
    said = utterances([at for at in frames if at <= now_ms])
    began, last = said[-1] if said else (0, 0)
    before = said[-2][1] if len(said) > 1 else 0
    return Heard(1, began * 1000, last * 1000, before * 1000)


def story(frames: list[int], interval_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """(when in ms, what) of everything that is to be told, by the words of the specification."""
    out = []
    said = utterances(frames)
    for number, (first, last) in enumerate(said):
        end = said[number + 1][0] if number + 1 < len(said) else until_ms
        out.append((first, STARTED))
        silences = range(last + HANGOVER_MS + interval_ms, end + 1, interval_ms)
        out += [(at, at - last) for at in silences]
    return out


speech_frames = st.lists(st.integers(0, 400), max_size=60, unique=True).map(
    lambda ticks: [BASE_MS + TICK_MS * tick for tick in sorted(ticks)]
)
intervals = st.integers(100, 3000)


@given(speech_frames, intervals)
def test_one_who_looks_at_once_and_when_a_silence_is_due_tells_everything_in_time(
    frames: list[int], interval_ms: int
) -> None:
    silence, out, until_ms = Silence(interval_ms), [], BASE_MS + 12_000
    begins = [first for first, _ in utterances(frames)]
    now_ms = BASE_MS
    while now_ms <= until_ms:
        out += [(now_ms, ms) for ms in silence.look(heard_at(frames, now_ms), now_ms * 1000)]
        due_us = silence.due_us
        coming = [at for at in begins if at > now_ms] + [due_us // 1000 if due_us else until_ms + 1]
        now_ms = max(now_ms + 1, min(coming))
    expected = story(frames, interval_ms, until_ms)
    ties = {
        at for at, ms in expected if ms == STARTED
    }  # a silence due on the tick speech begins: who was first?
    assert [e for e in out if e[1] == STARTED or e[0] not in ties] == [
        e for e in expected if e[1] == STARTED or e[0] not in ties
    ]


@given(speech_frames, intervals, st.lists(st.integers(0, 12_000), max_size=40))
def test_one_who_looks_late_tells_less_but_nothing_wrong_and_in_order(
    frames: list[int], interval_ms: int, looks: list[int]
) -> None:
    silence, out = Silence(interval_ms), []
    for now_ms in sorted(BASE_MS + look for look in looks):
        for ms in silence.look(heard_at(frames, now_ms), now_ms * 1000):
            out.append(ms)
    expected = iter(ms for _, ms in story(frames, interval_ms, BASE_MS + 12_000))
    assert all(ms in expected for ms in out)


def test_nothing_is_told_before_the_first_speech() -> None:
    silence = Silence(100)
    assert silence.due_us is None
    assert silence.look(Heard(1, 0, 0, 0), 3_600_000_000) == []


@pytest.mark.parametrize("interval_ms", [100, 1000, 3_600_000])
def test_the_first_silence_comes_one_interval_after_the_hangover(interval_ms: int) -> None:
    silence = Silence(interval_ms)
    said = Heard(1, 5_000_000, 5_000_000, 0)
    assert silence.look(said, 5_000_000) == [STARTED]
    due_us = 5_000_000 + (HANGOVER_MS + interval_ms) * 1000
    assert silence.due_us == due_us
    assert silence.look(said, due_us - 1) == []
    assert silence.look(said, due_us) == [HANGOVER_MS + interval_ms]
    assert silence.look(said, due_us) == []


def test_after_a_pause_of_the_detector_what_was_said_is_no_news() -> None:
    silence = Silence(1000)
    said = Heard(1, 5_000_000, 5_000_000, 0)
    silence.look(said, 5_000_000)
    silence.forget()
    assert silence.due_us is None
    assert silence.look(said, 60_000_000) == []
    assert silence.look(Heard(1, 70_000_000, 70_000_000, 5_000_000), 70_000_000) == [STARTED]
