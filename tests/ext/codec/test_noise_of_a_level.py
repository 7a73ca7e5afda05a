"""The noise of RFC 3389: its level, its spectrum, and that a seed tells it."""

import numpy as np
import pytest

from roomtone.ext.codec import comfort_noise

FRAME = 160


def noise(level, frames, n=FRAME):
    """So many frames, each of its own seed."""
    out = np.zeros((frames, n), np.int16)
    for seed, frame in enumerate(out):
        comfort_noise.run(frame, level, seed)
    return out


def dbov(pcm):
    return 20 * np.log10(np.sqrt(np.mean(pcm.astype(float) ** 2)) / 32768)


@pytest.mark.parametrize("n", [160, 320], ids=["8 kHz", "16 kHz"])
@pytest.mark.parametrize("level", [5, 10, 30, 45, 59, 72])
def test_the_level_is_the_one_told(level, n):
    pcm = noise(level, 100, n)
    assert dbov(pcm) == pytest.approx(-level, abs=0.25)
    assert all(dbov(frame) == pytest.approx(-level, abs=1.5) for frame in pcm), "of every frame"


def test_what_is_louder_than_noise_can_be_is_as_loud_as_it_can_be():
    assert dbov(noise(0, 50)) == pytest.approx(-5, abs=0.3)
    assert np.abs(noise(0, 50).astype(int)).max() <= 32767


def test_the_quietest_is_silence():
    assert not noise(127, 10).any()


def test_the_spectrum_is_white():
    """Power in eighths of the band, over ten seconds."""
    power = np.mean(np.abs(np.fft.rfft(noise(30, 500), axis=1)[:, 1:-1]) ** 2, axis=0)
    bands = [10 * np.log10(np.mean(part)) for part in np.array_split(power, 8)]
    assert max(bands) - min(bands) < 1


def test_frames_do_not_repeat_one_another():
    pcm = noise(30, 200).astype(float)
    alike = np.corrcoef(pcm) - np.eye(200)
    assert np.mean(np.abs(alike) > 0.9) < 0.001 and np.sqrt(np.mean(alike**2)) < 0.12


def test_the_same_seed_gives_the_same_noise():
    assert np.array_equal(noise(30, 20), noise(30, 20))


@pytest.mark.parametrize(("level", "n"), [(-1, 160), (128, 160), (30, 0), (30, 321)])
def test_what_cannot_be_made_is_refused(level, n):
    with pytest.raises(ValueError, match="320"):
        comfort_noise.run(np.zeros(n, np.int16), level, 1)
