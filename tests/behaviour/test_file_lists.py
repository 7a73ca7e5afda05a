"""Lists of files as their listeners hear them, and how loud: sample for sample, whatever is done to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import L16_16K, Lab
from played import FADE_MS, FRAME, Loudness, Tape, listener, noise, play, starts_with

from roomtone.ext.flow.media import FACT_FILE_ENDED, FACT_FILE_NEXT
from roomtone.ext.flow.track import LIST_MAX, Playback

SINE_HZ, SINE_PEAK = 440, 8000


@pytest.fixture
def lab():
    return Lab()


def of_list(tapes, *, more=False, **place):
    """A playback of them all."""
    place = {"position": 0, "loops": 0, "shared": False, **place}
    playback = Playback(tapes[0].track, more=more or len(tapes) > 1, **place)
    for n, tape in enumerate(tapes[1:], 2):
        playback.append(tape.track, more=more or n < len(tapes))
    return playback


def hear(lab, playback, ms, **values):
    bus = lab.bus()
    ear = listener(lab, bus, **values)
    handle = play(lab, bus, playback)
    lab.run(ms)
    assert lab.media.check() == []
    return ear, handle


def sine(samples):
    return np.round(SINE_PEAK * np.sin(2 * np.pi * SINE_HZ * np.arange(samples) / 8000)).astype(np.int16)


# -- joining ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 159, 160, 3333, 8000, 11_999])
def test_the_parts_of_a_sine_are_heard_as_the_whole(lab, cut):
    whole = sine(12_000)
    ear, handle = hear(lab, of_list([Tape(whole[:cut]), Tape(whole[cut:])]), 2000)
    starts_with(ear.audio(), whole)
    assert lab.facts(FACT_FILE_NEXT) == [(handle, 1)]
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 1)]
    assert lab.counters["file_underruns"] == 0


def test_both_rates_join(lab):
    tapes = [Tape(noise(samples)) for samples in (1001, 7, 2500)]
    ear, _ = hear(lab, of_list(tapes), 800, codec=L16_16K)
    starts_with(ear.audio(), np.concatenate([tape.wide for tape in tapes]))


def test_a_list_is_repeated_as_a_whole_and_the_first_is_told_again(lab):
    tapes = [Tape(noise(samples)) for samples in (1000, 2000)]
    ear, handle = hear(lab, of_list(tapes, loops=2), 1500)
    starts_with(ear.audio(), np.tile(np.concatenate([tape.narrow for tape in tapes]), 3))
    assert [item for _, item in lab.facts(FACT_FILE_NEXT)] == [1, 0, 1, 0, 1]
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 1)]


def test_a_list_that_announces_more_waits_in_silence_and_counts_it(lab):
    first, second = Tape(noise(1600)), Tape(noise(1600))
    playback = of_list([first], more=True)
    ear, handle = hear(lab, playback, 700)
    assert lab.facts(FACT_FILE_ENDED) == []
    waited = lab.counters["file_underruns"]
    assert waited == lab.media.file_underruns(handle) >= 20
    silent = len(ear.audio())
    playback.append(second.track, more=False)
    lab.run(700)
    starts_with(ear.audio()[:silent], first.narrow)
    starts_with(ear.audio()[silent:], second.narrow)
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 1)]
    assert lab.counters["file_underruns"] == waited


def test_a_broken_item_ends_the_list_and_says_which(lab):
    tapes = [Tape(noise(500)), Tape(noise(700), failed=True), Tape(noise(900))]
    ear, handle = hear(lab, of_list(tapes, loops=None), 800)
    starts_with(ear.audio(), np.concatenate([tape.narrow for tape in tapes[:2]]))
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 1, 1)]


def test_a_list_has_an_end(lab):
    tape = Tape(noise(10))
    playback = of_list([tape] * (LIST_MAX - 1), more=True)
    playback.append(tape.track, more=True)
    with pytest.raises(ValueError, match="full"):
        playback.append(tape.track, more=False)
    with pytest.raises(ValueError, match="no more"):
        of_list([tape]).append(tape.track, more=False)


# -- loudness --------------------------------------------------------------------------------------------


def bend(pcm):
    """The largest second difference: a click is a large one."""
    return int(np.abs(np.diff(pcm.astype(int), 2)).max())


SMOOTH = bend(sine(8000))


@pytest.mark.parametrize("ramp_ms", [10, 25, 300])
def test_a_changed_gain_is_reached_by_a_ramp_without_a_click(lab, ramp_ms):
    ear, handle = hear(lab, Tape(sine(40_000)).playback(), 700)
    lab.media.file_gain(handle, gain_db=-20.0, ramp_ms=ramp_ms)
    lab.run(700)
    quiet = ear.audio()[-1600:]
    assert np.abs(quiet).max() == pytest.approx(SINE_PEAK / 10, rel=0.02)
    lab.media.file_gain(handle, gain_db=None, ramp_ms=ramp_ms)
    lab.run(700)
    assert not ear.audio()[-1600:].any()
    lab.media.file_gain(handle, gain_db=0.0, ramp_ms=ramp_ms)
    lab.run(700)
    heard = ear.audio()
    assert np.abs(heard[-1600:]).max() == pytest.approx(SINE_PEAK, rel=0.02)
    # A line has no bend; where it begins and ends it turns by its slope, and every sample is rounded.
    assert bend(heard[heard.argmax() - 800 :]) <= SMOOTH + 1.1 * SINE_PEAK / (8 * ramp_ms) + 4


def test_without_a_ramp_the_very_next_frame_has_the_gain(lab):
    tape = Tape(noise(8000))
    ear, handle = hear(lab, tape.playback(), 400)
    before = len(ear.audio())
    lab.media.file_gain(handle, gain_db=None, ramp_ms=0)
    lab.run(200)
    assert np.array_equal(ear.audio()[:before], tape.narrow[:before])
    assert not ear.audio()[before:].any()


def test_a_gain_is_of_one_listener_of_a_shared_place(lab):
    tape = Tape(noise(16_000))
    playback = tape.playback(shared=True)
    buses = [lab.bus(phase=3), lab.bus(phase=9)]
    ears = [listener(lab, bus) for bus in buses]
    handles = [play(lab, bus, playback) for bus in buses]
    lab.run(300)
    lab.media.file_gain(handles[0], gain_db=None, ramp_ms=10)
    lab.run(1000)
    assert not ears[0].audio(last_ms=500).any()
    starts_with(ears[1].audio(), tape.narrow[: len(ears[1].audio())])


def test_a_gain_set_in_a_pause_is_the_one_it_comes_back_with(lab):
    ear, handle = hear(lab, Tape(sine(40_000)).playback(), 400)
    lab.media.file_pause(handle, paused=True)
    lab.run(100)
    lab.media.file_gain(handle, gain_db=-20.0, ramp_ms=10)
    lab.run(400)
    assert not ear.audio(last_ms=300).any()
    lab.media.file_pause(handle, paused=False)
    lab.run(500)
    assert np.abs(ear.audio(last_ms=400)).max() == pytest.approx(SINE_PEAK / 10, rel=0.02)


# -- all of it together ----------------------------------------------------------------------------------


class Model:
    """A list as a caller thinks of it: samples in a row."""

    def __init__(self, items: list[np.ndarray], *, queued: int, loops: int | None, position: int) -> None:
        self.items, self.queued = items, queued
        self.left, self.at, self.item = loops, position, 0
        self.playing = 0  # the item in which the last frame began
        self.paused = self.over = self.started = False
        self.loudness = Loudness()
        self.underruns = 0

    def settle(self, at: int, item: int, left: int | None) -> tuple[str, int, int, int | None]:
        while at >= len(self.items[item]):
            if item + 1 < self.queued:
                item += 1
            elif self.queued < len(self.items):
                return "waits", at, item, left
            elif left == 0:
                return "over", at, item, left
            else:
                item, left = 0, None if left is None else left - 1
            at = 0
        return "plays", at, item, left

    def frame(self) -> np.ndarray:
        silence, out = np.zeros(FRAME, np.int16), []
        if self.over or (self.paused and self.loudness.left == 0):
            return silence
        state, self.at, self.item, self.left = self.settle(self.at, self.item, self.left)
        self.over, self.playing = state == "over", self.item
        if self.over:
            return silence
        place = self.at, self.item, self.left
        for _ in range(FRAME):
            state, *place = self.settle(*place)
            if state == "waits":
                self.underruns += 1
                self.loudness.set(self.loudness.to, 0)
                return silence
            out.append(0 if state == "over" else self.items[place[1]][place[0]])
            place[0] += state == "plays"
        self.at, self.item, self.left = place
        self.started = True
        return self.loudness.shape(np.array(out, np.int16))

    def seek(self, at: int) -> int:
        """Where to in the item that plays: not behind the end."""
        at = min(at, len(self.items[self.playing]))
        if not self.over:
            self.at, self.item = at, self.playing
        return at

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.loudness.set(0 if paused else self.loudness.volume, FADE_MS if self.started else 0)

    def gain(self, gain_db: float, ramp_ms: int) -> None:
        self.loudness.volume = np.float32(10 ** (gain_db / 20))
        if not self.paused:
            self.loudness.set(self.loudness.volume, ramp_ms if self.started else 0)


ACTIONS = st.one_of(
    st.sampled_from(["pause", "resume", "queue"]),
    st.integers(0, 3000),
    st.tuples(st.sampled_from([-40.0, -6.0, 0.0, 2.0]), st.integers(0, 60)),
)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=4),
    queued=st.integers(1, 4),
    loops=st.one_of(st.none(), st.integers(0, 3)),
    start=st.integers(0, 2000),
    story=st.lists(st.tuples(st.integers(1, 12), ACTIONS), max_size=8),
)
def test_whatever_is_done_to_it_a_list_is_heard_as_its_samples_in_a_row_would_be(
    sizes: list[int], queued: int, loops: int | None, start: int, story: list[tuple[int, Any]]
) -> None:
    lab, tapes = Lab(), [Tape(noise(size)) for size in sizes]
    queued = min(queued, len(tapes))
    start = min(start, sizes[0])
    model = Model([tape.narrow for tape in tapes], queued=queued, loops=loops, position=start)
    playback = of_list(tapes[:queued], more=queued < len(tapes), loops=loops, position=start)
    bus = lab.bus()
    ear = listener(lab, bus)
    handle = play(lab, bus, playback)
    expected = []
    lab.run(2)  # into the bus's phase: from here on a tick is 20 turns
    for ticks, action in [*story, (40, "resume")]:
        expected += [model.frame() for _ in range(ticks)]
        lab.run(20 * ticks)
        if action in ("pause", "resume"):
            model.pause(action == "pause")
            lab.media.file_pause(handle, paused=action == "pause")
        elif action == "queue":
            if model.queued < len(tapes):
                model.queued += 1
                playback.append(tapes[model.queued - 1].track, more=model.queued < len(tapes))
        elif isinstance(action, int):
            position = model.seek(action)
            lab.media.file_seek(handle, position=position, item=playback.item)
        else:
            gain_db, ramp_ms = action
            model.gain(gain_db, ramp_ms)
            lab.media.file_gain(handle, gain_db=gain_db, ramp_ms=ramp_ms)
        lab.media.step(lab.now_us)
    assert np.abs(ear.audio().astype(int) - np.concatenate(expected)).max() <= 1
    assert lab.media.file_underruns(handle) == model.underruns
    assert lab.media.file_state(handle)[1:3] == (model.playing, model.over)
    assert lab.media.check() == []
