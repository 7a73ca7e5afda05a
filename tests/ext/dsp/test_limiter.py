"""The limiter: exact below full scale, never clipping above, back within 300 ms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.ext.codec import codec
from roomtone.ext.dsp import limiter

FULL_SCALE = 32767
ZERO_DBM0 = 32636 / 10 ** (3.17 / 20)  # amplitude of a sine; G.711 section 5
RATES = [8000, 16000, 48000]


def limit(
    total: np.ndarray, rate_hz: int = 8000, frame_ms: int = 20, state=None
) -> tuple[np.ndarray, np.ndarray]:
    """The limited signal, and the gain at the end of each frame."""
    state = state or limiter.Limiter()
    n = rate_hz * frame_ms // 1000
    total = total.astype(np.int32)
    out = np.zeros(len(total), np.int16)
    gains = []
    for start in range(0, len(total), n):
        state.run(out[start : start + n], total[start : start + n], rate_hz)
        gains.append(state.gain)
    return out, np.array(gains)


def sine(
    frequency_hz: float, amplitude: float, seconds: float, rate_hz: int = 8000, phase: float = 0
) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * rate_hz)) / rate_hz + phase)


def spectrum(signal: np.ndarray) -> np.ndarray:
    """Amplitudes by 1 Hz, of exactly one second."""
    return np.abs(np.fft.rfft(signal.astype(float))) * 2 / len(signal)


def distortion(signal: np.ndarray, frequency_hz: int, rate_hz: int) -> float:
    """THD of the last second: harmonics to the fundamental."""
    lines = spectrum(signal[-rate_hz:])
    harmonics = lines[2 * frequency_hz :: frequency_hz]
    return float(np.sqrt((harmonics**2).sum()) / lines[frequency_hz])


def longest_run(flags: np.ndarray) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


@pytest.mark.parametrize("rate_hz", RATES)
def test_up_to_full_scale_nothing_changes(rate_hz):
    total = np.random.default_rng(1).integers(-FULL_SCALE, FULL_SCALE + 1, rate_hz)
    total[:2] = FULL_SCALE, -FULL_SCALE
    out, gains = limit(total, rate_hz)
    np.testing.assert_array_equal(out, total)
    assert (gains == 1).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1_000_000), st.integers(0, 2**32 - 1), st.sampled_from([1, 19, 32, 80, 160, 161])
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(RATES),
)
def test_whatever_comes_no_sample_is_clipped(frames, rate_hz):
    """Sign and shape of the output are the input's: out = sum * gain with 0 < gain <= 1."""
    state = limiter.Limiter()
    for high, seed, n in frames:
        total = np.random.default_rng(seed).integers(-high, high + 1, n).astype(np.int32)
        out = np.full(n, 12345, np.int16)
        state.run(out, total, rate_hz)
        assert np.abs(out.astype(int)).max() <= FULL_SCALE
        assert 0 < state.gain <= 1
        loud = np.abs(total) > 1000
        gain = out[loud] / total[loud]
        assert (gain > 0).all()
        assert (gain <= 1.001).all()


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("over_db", [0.1, 6, 12, 20])
def test_gain_is_one_again_within_300_ms(over_db, rate_hz):
    loud = sine(1000, FULL_SCALE * 10 ** (over_db / 20), 0.5, rate_hz)
    quiet = sine(1000, 10_000, 0.4, rate_hz)
    out, gains = limit(np.concatenate([loud, quiet]), rate_hz)
    frames_loud = int(0.5 / 0.02)
    assert gains[frames_loud - 1] < 1
    assert (gains[frames_loud + 14 :] == 1).all()  # 15 frames: 300 ms
    tail = int(0.3 * rate_hz)
    np.testing.assert_array_equal(out[-len(quiet) :][tail:], quiet[tail:].astype(np.int32))


@pytest.mark.parametrize("rate_hz", RATES)
def test_recovery_has_no_step(rate_hz):
    loud = sine(500, 2 * FULL_SCALE, 0.2, rate_hz)
    steady = np.full(int(0.4 * rate_hz), 10_000)
    out, _ = limit(np.concatenate([loud, steady]), rate_hz)
    steps = np.abs(np.diff(out[len(loud) + 1 :].astype(int)))
    assert steps.max() <= 10_000 * 2 / (0.25 * rate_hz) + 2


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [200, 500, 1000, 1300, 3100])
def test_a_talker_6_db_over_full_scale_stays_a_sine(frequency_hz, rate_hz):
    total = sine(frequency_hz, 2 * FULL_SCALE, 3, rate_hz, phase=0.3)
    out, gains = limit(total, rate_hz)
    assert distortion(out, frequency_hz, rate_hz) < 0.01
    assert np.ptp(gains[-40:]) < 0.02
    clipped = np.clip(total, -FULL_SCALE, FULL_SCALE)
    if frequency_hz < rate_hz // 6:
        assert distortion(clipped, frequency_hz, rate_hz) > 0.1  # what a clamp would do


def test_two_talkers_6_db_over_full_scale_keep_a_1_khz_tone_clean():
    total = sine(1000, FULL_SCALE, 3) + sine(1300, FULL_SCALE, 3, phase=1)
    out, _ = limit(total)
    lines = spectrum(out[-8000:])
    harmonics = lines[[2000, 3000]]
    assert np.sqrt((harmonics**2).sum()) / lines[1000] < 0.03
    rest = np.delete(lines, [1000, 1300])
    assert np.sqrt((rest**2).sum()) / lines[1000] < 0.03


@pytest.mark.parametrize("seed", range(5))
def test_six_talkers_at_minus_9_dbm0_leave_no_run_at_full_scale(seed):
    rng = np.random.default_rng(seed)
    amplitude = ZERO_DBM0 * 10 ** (-9 / 20)
    tones = rng.uniform(150, 900, 6)
    total = sum(sine(f, amplitude, 4, phase=p) for f, p in zip(tones, rng.uniform(0, 6, 6), strict=True))
    assert np.abs(total).max() > FULL_SCALE
    out, _ = limit(total)
    assert longest_run(np.abs(out.astype(int)) >= FULL_SCALE) < 3
    payload, heard = np.zeros(len(out), np.uint8), np.zeros(len(out), np.int16)
    codec.encode(codec.PCMU, out, payload)
    codec.decode(codec.PCMU, payload, heard)
    assert longest_run(np.abs(heard.astype(int)) >= 32124) < 3


@pytest.mark.parametrize("rate_hz", RATES)
def test_an_attack_is_a_slope_and_not_a_click(rate_hz):
    """A talker joins in the middle of a frame, the sum is far over: the gain takes at least 2 ms to fall."""
    n = rate_hz // 50
    total = sine(300, 25_000, 0.2, rate_hz)
    start = 5 * n + n // 2
    total[start:] *= 10 ** (12 / 20)
    out, _ = limit(total, rate_hz)
    usable = np.abs(total) > 3000
    gain = np.where(usable, out / np.where(usable, total, 1), np.nan)[: start + n]
    steps = np.abs(np.diff(gain))
    assert np.nanmax(steps) < 1 / (0.002 * rate_hz)


def test_an_attack_at_the_start_of_a_frame_is_as_gentle_as_the_samples_allow():
    """The first block cannot be foreseen; the gain still falls in a line, not in a step."""
    ramp = np.linspace(30_000, 66_000, 32)
    total = np.concatenate([np.full(160, 30_000), ramp, np.full(128, 66_000)])
    out, _ = limit(total)
    gain = out / total
    assert np.abs(out).max() <= FULL_SCALE
    assert np.abs(np.diff(gain)).max() < 0.1
    assert (np.abs(out[160:192]) > 0.8 * 31_600).all()


def test_the_gain_follows_the_frame_length():
    """20 ms in one piece or in two: the same recovery time."""
    loud, quiet = sine(1000, 60_000, 0.1), sine(1000, 9000, 0.4)
    for frame_ms in (10, 20, 60):
        _, gains = limit(np.concatenate([loud, quiet]), frame_ms=frame_ms)
        back = int(np.argmax(gains[100 // frame_ms + 1 :] == 1)) * frame_ms
        assert 180 <= back <= 300


def test_the_lowest_possible_sample_is_brought_in():
    out, gains = limit(np.array([-32768] * 160))
    assert out.min() >= -32767
    assert gains[0] < 1


def test_the_order_of_members_does_not_matter():
    voices = [sine(f, 12_000, 0.5).astype(np.int32) for f in (200, 430, 710, 900, 1100)]
    forward, _ = limit(sum(voices))
    backward, _ = limit(sum(reversed(voices)))
    np.testing.assert_array_equal(forward, backward)
