"""In-band keys: what a receiver must hear and must not (ITU-T Q.24 and relatives), through G.711."""

import dtmf_cases
import numpy as np
import pytest

from roomtone.bench import signals as s
from roomtone.ext.base import cpu
from roomtone.ext.dsp import dtmf_detect, tone_bank

LAWS = {"PCMU": "u", "PCMA": "a"}
LEVELS = cpu.supported()


def heard(signal: np.ndarray, law: str = "") -> list[tuple]:
    return dtmf_detect.Detector().feed(s.line(signal, law))


def keys(events: list[tuple]) -> str:
    """The keys that began; each must have ended, in order, before the next."""
    assert [e[1] for e in events] == ["begin", "end"] * (len(events) // 2)
    assert [e[2] for e in events[::2]] == [e[2] for e in events[1::2]]
    return "".join(s.KEYS[e[2]] for e in events[::2])


by_law = pytest.mark.parametrize("law", LAWS)


def check(case: str, law: str) -> None:
    names, signal = dtmf_cases.sound(case)
    assert keys(heard(signal, LAWS[law])) == names


@by_law
@pytest.mark.parametrize("case", dtmf_cases.REQUIRED)
def test_required(case, law):
    """The 46 cases of a good receiver: every key once, and nothing where there is none."""
    check(case, law)


@by_law
@pytest.mark.parametrize("case", dtmf_cases.STRETCH)
def test_stretch(case, law):
    """Five more that the best receivers hear."""
    check(case, law)


@by_law
@pytest.mark.parametrize("case", dtmf_cases.FURTHER)
def test_further(case, law):
    check(case, law)


def test_there_are_46_required_cases_and_5_more():
    assert (len(dtmf_cases.HEARD), len(dtmf_cases.UNHEARD), len(dtmf_cases.STRETCH)) == (26, 20, 5)


# -- lost packets --------------------------------------------------------------------------------------


def without(pcm: np.ndarray, lost: list[int], means: str) -> np.ndarray:
    """Frames are lost: silence in their place, the one before once more, or none (the tap)."""
    frames = pcm.reshape(-1, s.FRAME).copy()
    if means == "left out":
        return np.delete(frames, lost, axis=0).reshape(-1)
    for i in lost:
        frames[i] = frames[i - 1] if means == "repeated" else 0
    return frames.reshape(-1)


@by_law
@pytest.mark.parametrize("means", ["silent", "left out"])
@pytest.mark.parametrize("ms", [100, 160, 300])
def test_a_key_with_one_packet_lost_is_told_once(ms, means, law):
    """Whichever packet it is, wherever the frames begin."""
    for name in s.KEYS:
        for place in range(0, s.FRAME, 32):
            signal = np.concatenate([np.zeros(3 * s.FRAME + place), s.key(name, ms), s.silence(160)])
            pcm = s.line(signal, LAWS[law])
            for lost in range(3, 4 + ms // 20):
                assert keys(dtmf_detect.Detector().feed(without(pcm, [lost], means))) == name, (place, lost)


@by_law
@pytest.mark.parametrize("means", ["silent", "left out", "repeated"])
@pytest.mark.parametrize(("percent", "least"), [(1, 1.0), (5, 0.99)])
def test_keys_of_100_ms_on_a_line_that_loses_packets(percent, least, means, law):
    """Single losses, at random; none is told twice."""
    rng = np.random.default_rng(percent)
    names = s.KEYS * 40
    told = 0
    for name in names:
        signal = np.concatenate([s.silence(40 + rng.uniform(0, 20)), s.key(name, 100), s.silence(160)])
        pcm = s.line(signal, LAWS[law])
        losses = np.flatnonzero(rng.random(len(pcm) // s.FRAME - 1) < percent / 100) + 1
        single = [int(i) for k, i in enumerate(losses) if k == 0 or i - losses[k - 1] > 1]
        events = keys(dtmf_detect.Detector().feed(without(pcm, single, means)))
        assert events in ("", name)
        told += events == name
    assert told >= least * len(names)


# -- talk-off ------------------------------------------------------------------------------------------


@by_law
@pytest.mark.parametrize("voice", ["en-gb+m2", "de+f3", "it+m4", "fr+m6", "pl+f1", "ru+f5", "es+m3", "pt+f2"])
def test_speech_alone_presses_no_key(voice, law):
    """A quarter of an hour in all, each voice at several speeds and so at several pitches, -15 dBm0."""
    rng = np.random.default_rng(1)
    for speed in (130, 160, 190):
        for pitch in rng.uniform(0.75, 1.35, 3):
            said = s.resampled(s.at(s.espeak(voice, speed), -15), s.RATE_HZ * pitch)
            assert heard(said, LAWS[law]) == []


# -- what is told --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ms", [40, 50, 73, 100, 480, 2000])
@pytest.mark.parametrize("snr_db", [60, 15])
def test_duration_and_level_are_those_of_the_tone(ms, snr_db):
    rng = np.random.default_rng(ms)
    for name in s.KEYS:
        signal = np.concatenate([s.silence(rng.uniform(40, 60)), s.key(name, ms, -12, -3), s.silence(120)])
        level = s.level_dbm0(s.key(name, 1000, -12, -3))
        events = heard(signal + s.at(s.white(len(signal), rng), level - snr_db), "u")
        assert keys(events) == name
        assert events[1][3] == pytest.approx(ms, abs=max(6, ms * 0.01))
        assert events[1][4] == pytest.approx(level, abs=0.7)


def test_a_key_is_told_within_48_ms_and_its_end_within_50():
    """26 ms must have sounded, or 23 ms would be heard; then the frame must end."""
    begins, ends = [], []
    for offset in range(160):
        signal = np.concatenate([np.zeros(400 + offset), s.key("7", 100), s.silence(120)])
        events = heard(signal)
        assert keys(events) == "7"
        begins.append(events[0][0] - (400 + offset) / 8)
        ends.append(events[1][0] - (1200 + offset) / 8)
    assert max(begins) <= 48
    assert np.median(begins) <= 38
    assert max(ends) <= 50


def test_a_key_follows_another_at_once():
    names = "159D*3"
    pieces = [part for name in names for part in (s.key(name, 60), s.silence(25))]
    assert keys(heard(np.concatenate([*pieces, s.silence(100)]))) == names


def test_a_key_held_over_noise_ends_with_it():
    rng = np.random.default_rng(1)
    signal = np.concatenate([s.key("1", 500), s.silence(300)])
    events = heard(signal + s.at(s.white(len(signal), rng), -30))
    assert keys(events) == "1"
    assert events[1][3] == pytest.approx(500, abs=8)


def test_a_reset_state_is_all_zero_and_small():
    assert dtmf_detect.SIZE_BYTES <= 512


def test_the_bank_shows_amplitude_phase_and_energy():
    hz = (697, 770, 852, 941, 1209, 1336, 1477, 1633)
    t = (np.arange(80) - 39.5) / 8000
    pcm = np.rint(10_000 * np.cos(2 * np.pi * 1336 * t + 0.7)).astype(np.int16)
    ((seen, energy),) = tone_bank.look(pcm, hz, 40)
    assert seen[5] == pytest.approx(10_000 / 2 * 40 * np.exp(0.7j), rel=0.01)
    assert abs(seen[1]) < 0.05 * abs(seen[5])
    assert energy == pytest.approx(10_000**2 / 2 * 30, rel=0.02)
    window = 0.5 + 0.5 * np.cos(np.pi * (np.arange(80) - 39.5) / 40)
    exact = [np.sum(window * pcm * np.exp(-2j * np.pi * f * t)) for f in hz]
    np.testing.assert_allclose(seen, exact, rtol=1e-4, atol=1)


def test_every_instruction_level_sees_the_same_bits():
    rng = np.random.default_rng(2)
    pcm = rng.integers(-32768, 32768, 320).astype(np.int16)
    views = [tone_bank.look(pcm, (697, 770, 852, 941, 1209, 1336, 0, 1633), 41, level) for level in LEVELS]
    assert all(view == views[0] for view in views)


def test_a_window_looks_alike_alone_and_beside_others():
    pcm = np.random.default_rng(3).integers(-32768, 32768, 240).astype(np.int16)
    hz = (697, 770, 852, 941, 1209, 1336, 1477, 1633)
    alone = [tone_bank.look(pcm[i : i + 80], hz, 40, level)[0] for i in range(0, 161, 40) for level in LEVELS]
    for level in LEVELS:
        for count in (2, 3, 4, 5):
            assert (
                tone_bank.look(pcm[: 40 + 40 * count], hz, 40, level)
                == alone[: count * len(LEVELS) : len(LEVELS)]
            )
