"""PCM work: what one frame of 160 samples costs; the vector loops at every instruction level.

The loop over frames runs without the interpreter; `ns_per_frame` in the extra information is the figure.
Buffers are aligned to cache lines, as those of the media thread should be.

    pytest bench/test_dsp.py --benchmark-columns=min,median
"""

import numpy as np
import pytest

from roomtone.ext.base import cpu
from roomtone.ext.dsp import dispatch, limiter, resample, tone

FRAME = 160
RATE_HZ = 8000
CACHE_LINE_BYTES = 64
TIMES = 20_000
SLOW_TIMES = 2_000
LEVELS = cpu.supported()

each_level = pytest.mark.parametrize("level", LEVELS)


def aligned(values: np.ndarray) -> np.ndarray:
    room = np.zeros(values.nbytes + CACHE_LINE_BYTES, np.uint8)
    start = -room.ctypes.data % CACHE_LINE_BYTES
    out = room[start : start + values.nbytes].view(values.dtype)
    out[:] = values
    return out


def voice(seed: int = 1, n: int = FRAME) -> np.ndarray:
    return aligned((np.random.default_rng(seed).standard_normal(n) * 3000).astype(np.int16))


def mixture(scale: int = 1) -> np.ndarray:
    return aligned(voice(2).astype(np.int32) * scale)


def report(benchmark, times: int) -> None:
    benchmark.extra_info["ns_per_frame"] = round(benchmark.stats.stats.min / times * 1e9, 1)


@each_level
def test_kernel_mix_add(benchmark, level):
    benchmark(dispatch.mix_add, mixture(), aligned(np.zeros(FRAME, np.int16)), level, TIMES)
    report(benchmark, TIMES)


@each_level
def test_kernel_mix_add32(benchmark, level):
    benchmark(dispatch.mix_add32, mixture(), aligned(np.zeros(FRAME, np.int32)), level, TIMES)
    report(benchmark, TIMES)


@each_level
def test_kernel_mix_minus(benchmark, level):
    benchmark(dispatch.mix_minus, aligned(np.zeros(FRAME, np.int32)), mixture(), voice(), level, TIMES)
    report(benchmark, TIMES)


@each_level
def test_kernel_mix_narrow(benchmark, level):
    benchmark(dispatch.mix_narrow, voice(), mixture(), level, TIMES)
    report(benchmark, TIMES)


@each_level
def test_kernel_mix_peak(benchmark, level):
    total = mixture()
    assert benchmark(dispatch.mix_peak, total, level, TIMES) == np.abs(total).max()
    report(benchmark, TIMES)


@each_level
def test_kernel_level_energy(benchmark, level):
    pcm = voice()
    assert benchmark(dispatch.level_energy, pcm, level, TIMES) == int((pcm.astype(np.int64) ** 2).sum())
    report(benchmark, TIMES)


@each_level
def test_kernel_gain_ramp(benchmark, level):
    benchmark(dispatch.gain_ramp, voice(), 1, 1, level, TIMES)
    report(benchmark, TIMES)


def test_dispatch_call(benchmark):
    """The smallest call through the table: what reaching a kernel costs."""
    benchmark(dispatch.mix_peak, aligned(np.zeros(1, np.int32)), "", TIMES)
    report(benchmark, TIMES)


def test_limiter_with_nothing_to_do(benchmark):
    state = limiter.Limiter()
    benchmark(state.run, voice(), mixture(), RATE_HZ, TIMES)
    assert state.gain == 1
    report(benchmark, TIMES)


def test_limiter_at_work(benchmark):
    state = limiter.Limiter()
    benchmark(state.run, voice(), mixture(scale=10), RATE_HZ, TIMES)
    assert state.gain < 1
    report(benchmark, TIMES)


@pytest.mark.parametrize(
    ("name", "kind"), [("ringing", tone.RINGING), ("beep", tone.BEEP), ("silence", tone.SILENCE)]
)
def test_tone(benchmark, name, kind):
    state = tone.Tone(kind, RATE_HZ)
    assert benchmark(state.run, voice(), SLOW_TIMES)
    report(benchmark, SLOW_TIMES)


def test_resample_up2(benchmark):
    benchmark(resample.Resampler().up2, voice(n=2 * FRAME), voice(), SLOW_TIMES)
    report(benchmark, SLOW_TIMES)


def test_resample_down2(benchmark):
    benchmark(resample.Resampler().down2, voice(), voice(n=2 * FRAME), SLOW_TIMES)
    report(benchmark, SLOW_TIMES)
