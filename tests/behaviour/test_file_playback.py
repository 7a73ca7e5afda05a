"""A file as its listeners hear it: sample for sample, through loops, seeks, pauses and missing seconds."""

import numpy as np
import pytest
from lab import L16_8K, L16_16K, PCMU, Lab, gap_free, level_at, snr_db, timestamp_steps, tone
from played import FRAME, Loudness, Tape, listener, noise, play, starts_with

from roomtone.ext.flow.media import FACT_FILE_ENDED, FACT_FILE_STARTED


@pytest.fixture
def lab():
    return Lab()


def hear(lab, tape, ms, *, codec=L16_8K, gain_db=0.0, **place):
    """What one listener hears in that time."""
    bus = lab.bus()
    ear = listener(lab, bus, codec)
    handle = play(lab, bus, tape.playback(**place), gain_db)
    lab.run(ms)
    assert lab.media.check() == []
    return ear, handle


# -- every sample ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 8000, 8001, 20_000])
def test_a_file_is_heard_from_its_first_sample_to_its_last_and_then_silence(lab, samples):
    tape = Tape(noise(samples))
    ear, handle = hear(lab, tape, 3000)
    starts_with(ear.audio(), tape.narrow)
    assert gap_free(ear.heard) and set(timestamp_steps(ear.heard)) == {FRAME}
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]
    assert lab.counters["file_underruns"] == 0


def test_listeners_of_both_rates_hear_what_was_decoded_at_their_rate(lab):
    tape = Tape(noise(12_000))
    bus = lab.bus()
    narrow, wide = listener(lab, bus), listener(lab, bus, L16_16K)
    play(lab, bus, tape.playback())
    lab.run(2000)
    starts_with(narrow.audio(), tape.narrow)
    starts_with(wide.audio(), tape.wide)


def test_its_beginning_and_its_end_are_told_once_with_the_time_of_the_beginning(lab):
    lab.run(100)
    bus = lab.bus(phase=7)
    ear = listener(lab, bus)
    handle = play(lab, bus, Tape(noise(1600)).playback())
    lab.run(1000)
    [(who, at_us)] = lab.facts(FACT_FILE_STARTED)
    assert (who, at_us) == (handle, ear.heard[0].at_us)
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]
    assert lab.media.file_state(handle) == (at_us, 0, True, False)


def test_a_file_plays_on_while_nobody_listens(lab):
    tape = Tape(noise(16_000))
    bus = lab.bus()
    handle = play(lab, bus, tape.playback())
    lab.run(500)
    ear = listener(lab, bus)
    lab.run(2000)
    heard = ear.audio()
    first = np.flatnonzero(
        (tape.narrow[: 8 * 600] == heard[0]) & (np.roll(tape.narrow, -1)[: 8 * 600] == heard[1])
    )[0]
    assert first % FRAME == 0 and first > 3000
    starts_with(heard, tape.narrow[first:])
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]


# -- places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [7, 160, 1000, 8000, 12_345])
@pytest.mark.parametrize("loops", [1, 3])
def test_loops_join_to_the_sample(lab, samples, loops):
    tape = Tape(noise(samples))
    ear, handle = hear(lab, tape, samples * (loops + 1) // 8 + 200, loops=loops)
    starts_with(ear.audio(), np.tile(tape.narrow, loops + 1))
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]


def test_a_wideband_loop_joins_too(lab):
    tape = Tape(noise(1001))
    ear, _ = hear(lab, tape, 900, codec=L16_16K, loops=4)
    starts_with(ear.audio(), np.tile(tape.wide, 5))


def test_for_ever_is_for_ever(lab):
    tape = Tape(noise(333))
    ear, _ = hear(lab, tape, 5000, loops=None)
    heard = ear.audio()
    assert np.array_equal(heard, np.resize(tape.narrow, len(heard)))
    assert lab.facts(FACT_FILE_ENDED) == []


@pytest.mark.parametrize("position", [8, 7999, 8000, 15_992, 16_000])
def test_it_begins_where_it_was_told_to(lab, position):
    tape = Tape(noise(16_000))
    ear, _ = hear(lab, tape, 4500, position=position, loops=1)
    starts_with(ear.audio(), np.concatenate([tape.narrow[position:], tape.narrow]))


@pytest.mark.parametrize("target", [0, 4000, 23_984])
def test_a_seek_goes_on_with_the_very_sample(lab, target):
    tape = Tape(noise(24_000))
    ear, handle = hear(lab, tape, 1000)
    before = len(ear.audio())
    lab.media.file_seek(handle, position=target)
    lab.run(4000)
    heard = ear.audio()
    assert np.array_equal(heard[:before], tape.narrow[:before])
    starts_with(heard[before:], tape.narrow[target:])


def test_a_seek_after_the_end_changes_nothing(lab):
    ear, handle = hear(lab, Tape(noise(1600)), 500)
    ear.clear()
    lab.media.file_seek(handle, position=0)
    lab.run(500)
    assert not ear.audio().any()
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]


def test_a_pause_fades_out_is_silence_and_fades_in_where_it_stopped(lab):
    tape = Tape(noise(16_000))
    ear, handle = hear(lab, tape, 700)
    before = len(ear.audio())
    lab.media.file_pause(handle, paused=True)
    lab.run(2000)
    loudness = Loudness()
    loudness.set(0, 10)
    assert np.array_equal(ear.audio()[before:][:FRAME], loudness.shape(tape.narrow[before:][:FRAME]))
    assert not ear.audio()[before + 80 :].any()
    silent = len(ear.audio())
    lab.media.file_pause(handle, paused=False)
    lab.run(2000)
    heard = ear.audio()
    assert np.array_equal(heard[:before], tape.narrow[:before])
    rest = tape.narrow[before + FRAME :].copy()
    loudness.set(1, 10)
    rest[:FRAME] = loudness.shape(rest[:FRAME])
    starts_with(heard[silent:], rest)
    assert gap_free(ear.heard)


def test_a_paused_file_can_be_moved(lab):
    tape = Tape(noise(16_000))
    ear, handle = hear(lab, tape, 300)
    lab.media.file_pause(handle, paused=True)
    lab.run(100)
    lab.media.file_seek(handle, position=12_000)
    lab.run(100)
    silent = len(ear.audio())
    lab.media.file_pause(handle, paused=False)
    lab.run(1000)
    starts_with(ear.audio()[silent + FRAME :], tape.narrow[12_000 + FRAME :])


# -- gain ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain_db", [-20.0, -6.0, 3.5])
def test_a_gain_is_exact_to_the_last_bit(lab, gain_db):
    tape = Tape(noise(8000))
    ear, _ = hear(lab, tape, 1500, gain_db=gain_db)
    scaled = tape.narrow * 10 ** (gain_db / 20)
    heard = ear.audio()[:8000].astype(float)
    assert np.abs(heard - scaled).max() <= 1
    assert snr_db(heard, scaled) > 50


def test_a_gain_that_is_too_much_stops_at_full_scale(lab):
    tape = Tape(np.where(noise(8000) > 0, 9000, -9000))
    ear, _ = hear(lab, tape, 1500, gain_db=40.0)
    heard = ear.audio()[:8000]
    assert np.array_equal(np.sign(heard), np.sign(tape.narrow))
    assert np.abs(heard.astype(int)).min() >= 31_500  # the mix keeps its peaks below full scale


# -- sharing ---------------------------------------------------------------------------------------------


def test_all_who_share_a_place_hear_the_same_whatever_their_phase_and_whenever_they_come(lab):
    tape = Tape(noise(32_000))
    playback = tape.playback(shared=True)
    buses = [lab.bus(phase=phase) for phase in (3, 17)]
    ears = [listener(lab, bus) for bus in buses]
    handles = [play(lab, bus, playback) for bus in buses]
    lab.run(1000)
    buses.append(lab.bus(phase=9))
    ears.append(listener(lab, buses[2]))
    handles.append(play(lab, buses[2], playback))
    lab.run(4000)
    for ear in ears[:2]:
        starts_with(ear.audio(), tape.narrow)
    late = len(ears[0].heard) - len(ears[2].heard)
    assert 49 <= late <= 52
    starts_with(ears[2].audio(), tape.narrow[FRAME * late :])
    assert sorted(lab.facts(FACT_FILE_ENDED)) == sorted((handle, 0, 0) for handle in handles)


def test_one_who_pauses_a_shared_place_comes_back_where_the_others_are(lab):
    tape = Tape(noise(32_000))
    playback = tape.playback(shared=True)
    buses = [lab.bus(phase=3), lab.bus(phase=3)]
    ears = [listener(lab, bus) for bus in buses]
    handles = [play(lab, bus, playback) for bus in buses]
    lab.run(500)
    lab.media.file_pause(handles[1], paused=True)
    lab.run(1000)
    lab.media.file_pause(handles[1], paused=False)
    lab.run(1000)
    undisturbed, paused = (ear.audio() for ear in ears)
    assert np.array_equal(undisturbed, tape.narrow[: len(undisturbed)])
    quiet = np.flatnonzero(paused != undisturbed)
    assert not paused[quiet[80:-80]].any()
    assert FRAME * 49 <= quiet[-1] - quiet[0] <= FRAME * 51


def test_a_place_that_everybody_has_paused_goes_on_like_a_radio(lab):
    tape = Tape(noise(32_000))
    bus = lab.bus()
    ear = listener(lab, bus)
    handle = play(lab, bus, tape.playback(shared=True))
    lab.run(500)
    lab.media.file_pause(handle, paused=True)
    lab.run(2000)
    lab.media.file_pause(handle, paused=False)
    lab.run(300)
    heard = ear.audio()
    assert np.array_equal(heard[-FRAME:], tape.narrow[len(heard) - FRAME : len(heard)])


# -- what is not there -----------------------------------------------------------------------------------


def test_a_second_that_is_missing_is_silence_and_is_heard_when_it_comes(lab):
    tape = Tape(noise(24_000), known=False)
    tape.withdraw(1)
    ear, _ = hear(lab, tape, 1500)
    waiting = lab.counters["file_underruns"]
    assert 20 <= waiting <= 30
    silent = len(ear.audio())
    assert silent == 8000 + waiting * FRAME
    tape.publish(1)
    tape.track.end(24_000, False)
    lab.run(3000)
    heard = ear.audio()
    assert np.array_equal(heard[:8000], tape.narrow[:8000])
    starts_with(heard[silent:], tape.narrow[8000:])
    assert lab.counters["file_underruns"] == waiting
    assert gap_free(ear.heard)


def test_a_file_of_unknown_length_ends_where_its_end_turns_out_to_be(lab):
    tape = Tape(noise(12_000), known=False, seconds=100)
    ear, handle = hear(lab, tape, 900)
    tape.track.end(12_000, False)
    lab.run(1500)
    starts_with(ear.audio(), tape.narrow)
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 0, 0)]


def test_what_was_decoded_of_a_broken_file_is_heard_once_and_its_end_says_so(lab):
    tape = Tape(noise(12_000), failed=True)
    ear, handle = hear(lab, tape, 3000, loops=None)
    starts_with(ear.audio(), tape.narrow)
    assert lab.facts(FACT_FILE_ENDED) == [(handle, 1, 0)]
    assert lab.media.file_state(handle)[2:] == (True, True)


def test_ticks_that_were_missed_are_passed_over(lab):
    tape = Tape(noise(32_000))
    ear, _ = hear(lab, tape, 1000)
    before = len(ear.audio())
    lab.skip(500)
    lab.run(500)
    heard = ear.audio()
    missed = lab.now_us // 20_000 - 1_000_000 // 20_000 - len(heard) // FRAME
    assert missed >= 23
    assert np.array_equal(heard[:before], tape.narrow[:before])
    assert np.array_equal(heard[-FRAME:], tape.narrow[(len(heard) // FRAME + missed - 1) * FRAME :][:FRAME])


def test_nothing_is_read_after_a_fence_was_applied(lab):
    tape = Tape(noise(16_000))
    _, handle = hear(lab, tape, 300)
    lab.media.file_seek(handle, position=8000)
    tape.track.withdraw(0)
    number = lab.media.fence()
    assert lab.media.applied() < number
    lab.run(1)
    assert lab.media.applied() == number
    lab.run(500)
    assert lab.counters["file_underruns"] == 0


# -- among others ----------------------------------------------------------------------------------------


def test_a_file_is_mixed_with_those_who_talk_and_leaves_them_relayed(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440, 4000)), lab.peer(bus, signal=tone(600, 4000))
    lab.run(500)
    seconds = np.arange(16_000) / 8000
    tape = Tape(np.round(4000 * np.sin(2 * np.pi * 1000 * seconds)))
    handle = play(lab, bus, tape.playback(loops=None))
    lab.run(1500)
    for ear, other in ((anna, 600), (ben, 440)):
        heard = ear.audio(last_ms=1000)
        assert level_at(heard, other) == pytest.approx(4000, rel=0.05)
        assert level_at(heard, 1000) == pytest.approx(4000, rel=0.05)
    lab.media.endpoint_close(handle)
    relayed = lab.counters["relayed_packets"]
    lab.run(500)
    lab.media.endpoint_free(handle)
    assert lab.counters["relayed_packets"] - relayed > 40
    assert gap_free(anna.heard) and gap_free(ben.heard)
    assert lab.media.check() == []


def test_a_closed_file_keeps_its_track_until_its_slot_is_free(lab):
    tape = Tape(noise(16_000))
    pool = tape.pool
    _, handle = hear(lab, tape, 300)
    del tape
    assert pool.used == 2
    lab.media.endpoint_close(handle)
    lab.run(50)
    assert pool.used == 2
    lab.media.endpoint_free(handle)
    assert pool.used == 0


def test_a_tone_and_files_on_a_bus_of_one_listener(lab):
    bus = lab.bus()
    ear = lab.peer(bus, codec=PCMU, source=False, send_at_once=True, may_receive=False)
    tone_handle = lab.media.endpoint_take()
    lab.media.tone_open(tone_handle, kind=4, frequency_hz=700.0, duration_ms=-1)
    lab.media.source_add(bus, tone_handle)
    seconds = np.arange(8000) / 8000
    for hz in (1000, 1500):
        play(lab, bus, Tape(np.round(3000 * np.sin(2 * np.pi * hz * seconds))).playback(loops=None))
    lab.run(2000)
    heard = ear.audio(last_ms=1000)
    assert level_at(heard, 1000) == pytest.approx(3000, rel=0.05)
    assert level_at(heard, 1500) == pytest.approx(3000, rel=0.05)
    assert level_at(heard, 700) > 3000
    assert lab.media.check() == []
