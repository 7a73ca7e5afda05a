"""The vector loops: every instruction level gives the bits of the plain numpy statement."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.ext.base import cpu
from roomtone.ext.dsp import dispatch, resample

LEVELS = cpu.supported()
LENGTHS = [1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 65, 80, 120, 159, 160, 161, 320, 480, 960, 1931]
GUARD = 8

each_level = pytest.mark.parametrize("level", LEVELS)
each_length = pytest.mark.parametrize("n", LENGTHS)


def pcm_of(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed + n)
    out = rng.integers(-32768, 32768, n).astype(np.int16)
    out[rng.integers(0, n, max(1, n // 10))] = -32768
    out[rng.integers(0, n, max(1, n // 10))] = 32767
    return out


def sum_of(n: int, seed: int = 0, high: int = 200_000) -> np.ndarray:
    return np.random.default_rng(seed + n).integers(-high, high, n).astype(np.int32)


def saturate(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -32768, 32767).astype(np.int16)


@each_level
@each_length
def test_mix_add(n, level):
    total, pcm = sum_of(n + GUARD), pcm_of(n)
    expected = total.copy()
    expected[:n] += pcm
    dispatch.mix_add(total[:n], pcm, level)
    np.testing.assert_array_equal(total, expected)


@each_level
@each_length
def test_mix_add32(n, level):
    total, other = sum_of(n + GUARD), sum_of(n, 1)
    expected = total.copy()
    expected[:n] += other
    dispatch.mix_add32(total[:n], other, level)
    np.testing.assert_array_equal(total, expected)


@each_level
@each_length
def test_mix_minus(n, level):
    total, own = sum_of(n), pcm_of(n)
    out = np.full(n + GUARD, 5, np.int32)
    dispatch.mix_minus(out[:n], total, own, level)
    np.testing.assert_array_equal(out[:n], total - own)
    assert (out[n:] == 5).all()


@each_level
@each_length
def test_mix_minus_in_place(n, level):
    total, own = sum_of(n), pcm_of(n)
    expected = total - own
    dispatch.mix_minus(total, total, own, level)
    np.testing.assert_array_equal(total, expected)


@each_level
@each_length
def test_mix_narrow_saturates(n, level):
    total = sum_of(n)
    out = np.full(n + GUARD, 5, np.int16)
    dispatch.mix_narrow(out[:n], total, level)
    np.testing.assert_array_equal(out[:n], saturate(total))
    assert (out[n:] == 5).all()


@each_level
def test_mix_narrow_at_the_ends_of_the_range(level):
    total = np.array([-(2**31), -32769, -32768, -1, 0, 32767, 32768, 2**31 - 1], np.int32)
    out = np.zeros(8, np.int16)
    dispatch.mix_narrow(out, total, level)
    assert out.tolist() == [-32768, -32768, -32768, -1, 0, 32767, 32767, 32767]


@each_level
@each_length
def test_mix_peak(n, level):
    for seed in range(4):
        total = sum_of(n, seed)
        assert dispatch.mix_peak(total, level) == np.abs(total).max()


@each_level
def test_mix_peak_finds_the_peak_wherever_it_is(level):
    for at in range(160):
        for value in (-70_000, 70_000):
            total = sum_of(160, at, 30_000)
            total[at] = value
            assert dispatch.mix_peak(total, level) == 70_000


@each_level
def test_mix_peak_of_the_extremes(level):
    assert dispatch.mix_peak(np.array([0, -(2**31)], np.int32), level) == 2**31 - 1
    assert dispatch.mix_peak(np.array([2**31 - 1, -5], np.int32), level) == 2**31 - 1
    assert dispatch.mix_peak(np.zeros(160, np.int32), level) == 0


@each_level
@each_length
def test_level_energy(n, level):
    pcm = pcm_of(n)
    assert dispatch.level_energy(pcm, level) == int((pcm.astype(np.int64) ** 2).sum())


@each_level
@pytest.mark.parametrize("value", [-32768, 32767, -1, 255, -256])
def test_level_energy_of_long_extremes_does_not_overflow(value, level):
    assert dispatch.level_energy(np.full(10_000, value, np.int16), level) == 10_000 * value * value


@each_level
@each_length
@pytest.mark.parametrize(("g0", "g1"), [(0, 1), (1, 0), (0.25, 0.5), (1, 1), (2, 2), (1, 10)])
def test_gain_ramp(n, g0, g1, level):
    pcm = pcm_of(n + GUARD)
    step = np.float32(np.float32(g1) - np.float32(g0)) / np.float32(n)
    gain = np.float32(g0) + step * np.arange(1, n + 1, dtype=np.float32)
    expected = pcm.copy()
    expected[:n] = saturate(np.rint(pcm[:n].astype(np.float32) * gain))
    dispatch.gain_ramp(pcm[:n], g0, g1, level)
    np.testing.assert_array_equal(pcm, expected)


@each_level
def test_gain_ramp_at_one_changes_nothing(level):
    pcm = np.arange(-32768, 32768).astype(np.int16)
    dispatch.gain_ramp(pcm, 1, 1, level)
    np.testing.assert_array_equal(pcm, np.arange(-32768, 32768).astype(np.int16))


@each_level
@each_length
@pytest.mark.parametrize(
    ("gain", "step", "floor"), [(1, 0, 1), (1, -0.01, 0.4), (0.3, 0.001, 0.3), (0.1, 0, 0.1)]
)
def test_limit_ramp(n, gain, step, floor, level):
    total = sum_of(n)
    line = np.float32(gain) + np.float32(step) * np.arange(1, n + 1, dtype=np.float32)
    line = np.maximum(line, np.float32(floor))
    out = np.full(n + GUARD, 5, np.int16)
    dispatch.limit_ramp(out[:n], total, gain, step, floor, level)
    np.testing.assert_array_equal(out[:n], saturate(np.rint(total.astype(np.float32) * line)))
    assert (out[n:] == 5).all()


def branches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A branch of the filter and its even and odd part."""
    branch = np.array(resample.response()[0::2], np.float32)
    return branch, (branch + branch[::-1])[:14] / 2, (branch - branch[::-1])[:14] / 2


@each_level
@each_length
def test_the_filters_agree_with_exact_sums(n, level):
    if n > 900:
        n = 900
    branch, even, odd = branches()
    kept = len(branch) - 1
    pcm = pcm_of(n + kept)
    out = np.zeros(2 * n, np.int16)
    dispatch.fir_up2(out, pcm, even, odd, level)
    up = np.zeros(2 * n)
    for branch_of, start in ((branch, 0), (branch[::-1], 1)):
        up[start::2] = np.correlate(pcm.astype(float), branch_of.astype(float), "valid")
    assert (
        np.abs(out - np.clip(up, -32768, 32767)).max() < 0.52
    )  # half a step, and what single precision loses
    wide = pcm_of(2 * (n + kept))
    down = np.zeros(n, np.int16)
    dispatch.fir_down2(down, wide, even, odd, level)
    exact = np.correlate(wide[0::2].astype(float), branch.astype(float), "valid")
    exact += np.correlate(wide[1::2].astype(float), branch[::-1].astype(float), "valid")
    assert np.abs(down - np.clip(exact, -32768, 32767)).max() < 0.52


@each_length
def test_the_filters_give_the_same_bits_at_every_level(n):
    n = min(n, 900)
    branch, even, odd = branches()
    pcm, wide = pcm_of(n + len(branch) - 1), pcm_of(2 * (n + len(branch) - 1))
    up = {level: np.zeros(2 * n, np.int16) for level in LEVELS}
    down = {level: np.zeros(n, np.int16) for level in LEVELS}
    for level in LEVELS:
        dispatch.fir_up2(up[level], pcm, even, odd, level)
        dispatch.fir_down2(down[level], wide, even, odd, level)
    for level in LEVELS:
        np.testing.assert_array_equal(up[level], up[LEVELS[-1]])
        np.testing.assert_array_equal(down[level], down[LEVELS[-1]])


def test_nothing_happens_to_nothing():
    empty32, empty16 = np.zeros(0, np.int32), np.zeros(0, np.int16)
    for level in LEVELS:
        dispatch.mix_add(empty32, empty16, level)
        dispatch.mix_narrow(empty16, empty32, level)
        assert dispatch.mix_peak(empty32, level) == 0
        assert dispatch.level_energy(empty16, level) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-32768, 32767), min_size=160, max_size=160), min_size=1, max_size=6),
    st.data(),
)
def test_everybody_hears_the_others_and_not_himself(talkers, data):
    """Sum once, subtract own: exact, and whatever the order."""
    voices = [np.array(voice, np.int16) for voice in talkers]
    total = np.zeros(160, np.int32)
    for voice in data.draw(st.permutations(voices)):
        dispatch.mix_add(total, voice)
    for own in range(len(voices)):
        heard = np.zeros(160, np.int32)
        dispatch.mix_minus(heard, total, voices[own])
        others = [voice.astype(np.int32) for i, voice in enumerate(voices) if i != own]
        np.testing.assert_array_equal(heard, np.sum(others, axis=0) if others else np.zeros(160, np.int32))
