"""Fax tones of the calling and the answering machine, at the edges of T.30, V.25 and V.8."""

import numpy as np
import pytest

from roomtone.bench import signals as s
from roomtone.ext.dsp import fax_detect

CNG_ON_MS, CNG_OFF_MS = 500, 3000

either_law = pytest.mark.parametrize("law", ["u", "a"])


def told(signal: np.ndarray, law: str = "u") -> list[str]:
    return [name for _, name in fax_detect.Detector().feed(s.line(signal, law))]


def cng(hz: float = 1100, dbm0: float = -15, on_ms: float = CNG_ON_MS, bursts: int = 4) -> np.ndarray:
    return np.concatenate([s.silence(207), *[s.sine(hz, on_ms, dbm0), s.silence(CNG_OFF_MS)] * bursts])


def ans(
    ms: float, hz: float = 2100, dbm0: float = -12, reversals: bool = True, am: bool = True
) -> np.ndarray:
    t = np.arange(s.samples(ms)) / s.RATE_HZ
    out = s.root_mean_square(dbm0) * np.sqrt(2) * np.sin(2 * np.pi * hz * t)
    if am:
        out *= 1 + 0.2 * np.sin(2 * np.pi * 15 * t)
    if reversals:
        out *= 1 - 2 * (np.floor(t / 0.45) % 2)
    return np.concatenate([s.silence(203), out, s.silence(400)])


@either_law
@pytest.mark.parametrize("hz", [1100 - 38, 1100, 1100 + 38])
@pytest.mark.parametrize("dbm0", [-3, -15, -40])
def test_a_calling_fax_is_told_once_however_often_it_calls(hz, dbm0, law):
    assert told(cng(hz, dbm0), law) == ["cng"]


@pytest.mark.parametrize("on_ms", [425, 500, 575])
def test_the_calling_tone_may_be_15_percent_longer_or_shorter(on_ms):
    for offset in range(0, 160, 20):
        assert told(np.concatenate([np.zeros(offset), cng(on_ms=on_ms, bursts=1)])) == ["cng"]


def test_the_calling_tone_is_known_a_fifth_of_a_second_after_its_first_burst():
    events = fax_detect.Detector().feed(s.line(cng(bursts=1)))
    assert events[0][0] - (207 + CNG_ON_MS) <= 240


def test_another_call_is_told_again():
    assert told(np.concatenate([cng(), s.silence(6000), cng()])) == ["cng", "cng"]


@pytest.mark.parametrize("snr_db", [20, 12])
def test_fax_tones_in_noise(snr_db):
    rng = np.random.default_rng(4)
    for signal, name in ((cng(bursts=1), "cng"), (ans(3000), "ced")):
        noise = s.at(s.white(len(signal), rng), -15 - snr_db)
        assert told(signal + noise) == [name]


@either_law
@pytest.mark.parametrize("reversals", [False, True])
@pytest.mark.parametrize("am", [False, True])
@pytest.mark.parametrize("hz", [2100 - 15, 2100, 2100 + 15])
@pytest.mark.parametrize("dbm0", [-6, -38])
def test_an_answering_fax_is_told_once(dbm0, hz, am, reversals, law):
    assert told(ans(3300, hz, dbm0, reversals, am), law) == ["ced"]


def test_the_answering_tone_is_known_after_a_second():
    events = fax_detect.Detector().feed(s.line(ans(4000)))
    assert 950 <= events[0][0] - 203 <= 1050


def test_a_second_answer_is_told_again():
    assert told(np.concatenate([ans(2000), ans(2000)])) == ["ced", "ced"]


NOT_CNG = {
    "too short": s.sine(1100, 350, -12),
    "too long": s.sine(1100, 800, -12),
    "steady": s.sine(1100, 6000, -12),
    "too low": s.sine(1030, 500, -12),
    "too high": s.sine(1170, 500, -12),
    "a beep": s.sine(1000, 500, -12),
    "an answering machine": s.sine(1400, 500, -12),
    "with another tone": s.tones((1100, 1700), 500, -12),
}


@pytest.mark.parametrize("case", NOT_CNG)
def test_what_is_no_calling_tone(case):
    assert told(np.concatenate([NOT_CNG[case], s.silence(3000)] * 2)) == []


def test_a_burst_that_goes_on_as_music_is_no_calling_tone():
    tune = np.concatenate([s.sine(hz, 500, -12) for hz in (880, 1100, 988, 1100, 1319, 1100, 740)] * 2)
    assert told(tune) == []


def test_what_is_no_answering_tone():
    for signal in (
        s.sine(2100, 800, -12),
        s.sine(2060, 3000, -12),
        s.sine(2140, 3000, -12),
        s.sine(2225, 3000, -12),
    ):
        assert told(np.concatenate([signal, s.silence(500)])) == []


@either_law
def test_speech_music_ringback_keys_and_dial_tone_are_no_fax(law):
    rng = np.random.default_rng(8)
    parts = [s.at(s.espeak(voice), -15) for voice in ("en-us+m3", "de+f2", "fr+f4", "ru+m1")]
    parts += [s.at(make(20 * s.RATE_HZ, rng), -15) for make in (s.chords, s.white, s.keyboard)]
    parts += [np.concatenate([s.tones((440, 480), 2000, -15), s.silence(4000)])]
    parts += [np.concatenate([s.tones((480, 620), 500, -15), s.silence(500)] * 4)]
    parts += [s.tones((350, 440), 3000, -15)]
    parts += [np.concatenate([s.key(name, 500), s.silence(500)]) for name in s.KEYS]
    assert told(np.concatenate(parts), law) == []


def test_a_reset_state_is_small():
    assert fax_detect.SIZE_BYTES <= 64
