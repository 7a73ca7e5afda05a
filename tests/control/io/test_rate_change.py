"""48 kHz to 16 kHz and back: level, what folds, what clicks, how long it holds the audio back."""

from __future__ import annotations

import numpy as np
import pytest

from roomtone.control.io.rate_change import DELAY_MS, RATE_HZ, RATIO, Decimator, Interpolator

LOW_HZ = RATE_HZ // RATIO
AMPLITUDE = 10_000.0
SETTLED = 400  # samples: the filter has forgotten that nothing stood before


def tone(hz: float, rate: int, samples: int) -> np.ndarray:
    return (AMPLITUDE * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.float32)


def in_pieces(change: Decimator | Interpolator, pcm: np.ndarray, piece: int) -> np.ndarray:
    return np.concatenate([change(pcm[at : at + piece]) for at in range(0, len(pcm), piece)])


def gain_and_noise_db(pcm: np.ndarray, hz: float, rate: int) -> tuple[float, float]:
    """The tone's level against AMPLITUDE, and all the rest against the tone."""
    at = 2 * np.pi * hz * np.arange(len(pcm)) / rate
    basis = np.stack([np.sin(at), np.cos(at)], axis=1)
    weights = np.linalg.lstsq(basis, pcm, rcond=None)[0]
    fitted = basis @ weights
    rest = float(np.mean(np.square(pcm - fitted)))
    gain = 20 * np.log10(np.hypot(*weights) / AMPLITUDE)
    return gain, 10 * np.log10(rest / float(np.mean(np.square(fitted))))


@pytest.mark.parametrize("hz", [50, 300, 1000, 3400, 6000, 6800])
def test_the_band_comes_down_unchanged(hz: float) -> None:
    down = in_pieces(Decimator(), tone(hz, RATE_HZ, RATE_HZ), 960)[SETTLED:]
    gain, noise = gain_and_noise_db(down, hz, LOW_HZ)
    assert abs(gain) < 0.01
    assert noise < -75


@pytest.mark.parametrize("hz", [50, 300, 1000, 3400, 6000, 6800])
def test_the_band_goes_up_unchanged_and_without_images(hz: float) -> None:
    up = in_pieces(Interpolator(), tone(hz, LOW_HZ, LOW_HZ), 320)[SETTLED * RATIO :]
    gain, noise = gain_and_noise_db(up, hz, RATE_HZ)
    assert abs(gain) < 0.01
    assert noise < -75


@pytest.mark.parametrize("hz", [8200, 9000, 15_000, 20_000])
def test_what_16_khz_cannot_carry_does_not_fold_back(hz: float) -> None:
    down = in_pieces(Decimator(), tone(hz, RATE_HZ, RATE_HZ), 960)[SETTLED:]
    assert np.sqrt(np.mean(np.square(down))) < AMPLITUDE * 10 ** (-75 / 20)


@pytest.mark.parametrize("piece", [3, 48, 960, 4800])
def test_frames_join_without_a_seam(piece: int) -> None:
    pcm = tone(437, RATE_HZ, 4800)
    down = Decimator()(pcm)
    np.testing.assert_allclose(in_pieces(Decimator(), pcm, piece), down, atol=0.05)
    up = Interpolator()(down)
    np.testing.assert_allclose(in_pieces(Interpolator(), down, piece // RATIO), up, atol=0.05)


def test_down_and_up_again_is_the_same_a_little_later() -> None:
    pcm = tone(1000, RATE_HZ, RATE_HZ // 2)
    back = Interpolator()(Decimator()(pcm))
    delay = round(2 * DELAY_MS * RATE_HZ / 1000 - (RATIO - 1))
    assert DELAY_MS < 2
    rest = back[SETTLED * RATIO :] - pcm[SETTLED * RATIO - delay : len(pcm) - delay]
    assert np.max(np.abs(rest)) < AMPLITUDE * 0.01
