"""Speech in noise, judged on voices and seeds the detector was not made with."""

import numpy as np
import pytest

from roomtone.bench import signals as s
from roomtone.bench import vad_set
from roomtone.ext.dsp import vad

PEOPLE = ("fr_CA_f_June", "ru_RU_f_IvrvoiceRU")
VOICES = ("en-gb+m2", "de+f3", "fr+m6")
CROWD = ("pl+m1", "pt+f2", "es+m3", "en-us+f2", "de+m6", "it+m2", "fr+f1")
SNRS_DB = (20, 10, 5)
SECONDS = 24
CLIPS = 100
THRESHOLD = 0.5


def probabilities(pcm: np.ndarray) -> np.ndarray:
    """One a 10 ms, as the labels are."""
    out = np.zeros(len(pcm) // s.FRAME, np.float32)
    vad.probabilities(pcm, out)
    return np.repeat(out, 2)


@pytest.fixture(scope="module")
def noises() -> dict[str, vad_set.Noise]:
    return {**vad_set.NOISES, "babble": vad_set.babble([s.espeak(voice) for voice in CROWD])}


@pytest.fixture(scope="module")
def judged(noises) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """(voice, noise, probabilities, labels) of every voice in every noise at every ratio."""
    out = []
    for i, voice in enumerate((*PEOPLE, *VOICES)):
        rng = np.random.default_rng(300 + i)
        clips = (
            s.prompts(voice, CLIPS) if voice in PEOPLE else [s.espeak(voice, 150), s.espeak(voice, 190, 65)]
        )
        clean = vad_set.talk(clips, SECONDS, rng)
        for kind, noise in noises.items():
            for snr_db in SNRS_DB:
                mixed = vad_set.mixed(clean, noise(len(clean), rng), snr_db, rng.uniform(-28, -14))
                out.append((voice, kind, probabilities(s.line(mixed, "u")), vad_set.labels(clean)))
    return out


def joined(judged, voices=(*PEOPLE, *VOICES), kind: str = "") -> tuple[np.ndarray, np.ndarray]:
    parts = [(score, truth) for who, name, score, truth in judged if who in voices and kind in ("", name)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


@pytest.mark.parametrize(("voices", "least_f1"), [(PEOPLE, 0.93), (VOICES, 0.92)])
def test_speech_is_told_from_noise(judged, voices, least_f1):
    score, truth = joined(judged, voices)
    assert vad_set.auc(score, truth) >= 0.90
    assert vad_set.f1(score > THRESHOLD, truth) >= least_f1


@pytest.mark.parametrize(("kind", "least"), [("white", 0.93), ("hum", 0.93), ("babble", 0.8), ("music", 0.8)])
def test_each_noise_alone(judged, kind, least):
    assert vad_set.auc(*joined(judged, kind=kind)) >= least


def test_the_onset_of_speech_is_found_within_100_ms(judged):
    delays = np.concatenate([vad_set.onset_delays(score > THRESHOLD, truth) for _, _, score, truth in judged])
    assert np.mean(delays <= 100) >= 0.95


def test_noise_alone_is_seldom_taken_for_speech(noises):
    alarms = []
    for i, (_, noise) in enumerate(noises.items()):
        signal = noise(20 * s.RATE_HZ, np.random.default_rng(50 + i))
        alarms.append(np.mean(probabilities(s.line(s.at(signal, -35), "u")) > THRESHOLD))
    assert np.mean(alarms) <= 0.15


def test_tones_are_seldom_taken_for_speech():
    ringback = np.concatenate([s.tones((440, 480), 2000, -15), s.silence(4000)] * 2)
    busy = np.concatenate([s.tones((480, 620), 500, -15), s.silence(500)] * 6)
    dial = s.tones((350, 440), 6000, -15)
    keys = np.concatenate([np.concatenate([s.key(k, 100), s.silence(100)]) for k in s.KEYS])
    for signal in (ringback, busy, dial, keys):
        assert np.mean(probabilities(s.line(signal, "u")) > THRESHOLD) <= 0.08
    whole = np.concatenate([ringback, busy, dial, keys])
    assert np.mean(probabilities(s.line(whole, "u")) > THRESHOLD) <= 0.05


def test_silence_is_no_speech():
    assert probabilities(np.zeros(s.RATE_HZ, np.int16)).max() == 0
    assert probabilities(s.line(s.silence(1000), "u")).max() == 0


def test_a_probability_is_one_whatever_comes():
    rng = np.random.default_rng(1)
    loudest = np.tile(np.array([32767, -32768], np.int16), 4000)
    for pcm in (loudest, np.full(8000, -32768, np.int16), rng.integers(-32768, 32768, 8000).astype(np.int16)):
        score = probabilities(pcm)
        assert np.isfinite(score).all()
        assert (score >= 0).all()
        assert (score <= 1).all()


def test_the_state_is_small():
    assert vad.SIZE_BYTES <= 256
