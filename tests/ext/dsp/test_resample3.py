"""48 kHz to 16 kHz and back: level, what folds, what clicks, how long it holds the audio back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from roomtone.ext.dsp.resample3 import DELAY_MS, Decimator, Interpolator, swapped

RATE_HZ, RATIO = 48_000, 3
LOW_HZ = RATE_HZ // RATIO
AMPLITUDE = 10_000.0
SETTLED = 400  # samples: the filter has forgotten that nothing stood before


def tone(hz: float, rate: int, samples: int) -> np.ndarray:
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.int16)


def changed(change: Callable[[bytes], bytes], pcm: np.ndarray) -> np.ndarray:
    return np.frombuffer(change(pcm.tobytes()), np.int16).astype(float)


def in_pieces(change: Decimator | Interpolator, pcm: np.ndarray, piece: int) -> np.ndarray:
    return changed(
        lambda part: b"".join(change(part[at : at + 2 * piece]) for at in range(0, len(part), 2 * piece)), pcm
    )


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
    down = changed(Decimator(), pcm)
    np.testing.assert_array_equal(in_pieces(Decimator(), pcm, piece), down)
    low = down.astype(np.int16)
    np.testing.assert_array_equal(
        in_pieces(Interpolator(), low, piece // RATIO), changed(Interpolator(), low)
    )


def test_down_and_up_again_is_the_same_a_little_later() -> None:
    pcm = tone(1000, RATE_HZ, RATE_HZ // 2)
    back = changed(Interpolator(), changed(Decimator(), pcm).astype(np.int16))
    delay = round(2 * DELAY_MS * RATE_HZ / 1000 - (RATIO - 1))
    assert DELAY_MS < 2
    rest = back[SETTLED * RATIO :] - pcm[SETTLED * RATIO - delay : len(pcm) - delay]
    assert np.max(np.abs(rest)) < AMPLITUDE * 0.01


def test_full_scale_is_held_and_does_not_wrap() -> None:
    square = np.where(np.arange(RATE_HZ // 10) // 48 % 2, 32767, -32768).astype(np.int16)
    down = changed(Decimator(), square)
    low = np.where(np.arange(LOW_HZ // 10) // 16 % 2, 32767, -32768).astype(np.int16)
    up = changed(Interpolator(), low)
    for pcm in (down[100:], up[300:]):
        assert pcm.max() == 32767
        assert pcm.min() == -32768
        assert np.max(np.abs(np.diff(pcm))) < 45_000, "a wrap would be a step of the whole range"


def test_pieces_that_are_no_whole_samples_are_refused() -> None:
    assert Decimator()(b"") == Interpolator()(b"") == swapped(b"") == b""
    with pytest.raises(ValueError):
        Decimator()(bytes(4))
    with pytest.raises(ValueError):
        Interpolator()(bytes(3))


def test_swapped_twice_is_what_it_was() -> None:
    assert swapped(b"\x01\x02\x03\x04") == b"\x02\x01\x04\x03"
    pcm = tone(1000, LOW_HZ, 320)
    np.testing.assert_array_equal(np.frombuffer(swapped(pcm.tobytes()), ">i2"), pcm)
