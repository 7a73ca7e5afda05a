"""8 <-> 16 kHz: what a measuring set would read."""

import numpy as np
import pytest

from roomtone.ext.dsp import resample

LOW_HZ, HIGH_HZ = 8000, 16000
NYQUIST_HZ = LOW_HZ / 2
MINUS_1_DBFS = 32767 * 10 ** (-1 / 20)


def up(pcm: np.ndarray, chunk: int = 160) -> np.ndarray:
    state = resample.Resampler()
    out = np.zeros(2 * len(pcm), np.int16)
    for start in range(0, len(pcm), chunk):
        part = pcm[start : start + chunk]
        state.up2(out[2 * start : 2 * (start + len(part))], part)
    return out


def down(pcm: np.ndarray, chunk: int = 320) -> np.ndarray:
    state = resample.Resampler()
    out = np.zeros(len(pcm) // 2, np.int16)
    for start in range(0, len(pcm), chunk):
        part = pcm[start : start + chunk]
        state.down2(out[start // 2 : (start + len(part)) // 2], part)
    return out


def sine(
    frequency_hz: float, rate_hz: int, amplitude: float = MINUS_1_DBFS, seconds: float = 1.2
) -> np.ndarray:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.rint(amplitude * np.sin(2 * np.pi * frequency_hz * t + 0.7)).astype(np.int16)


def lines(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """Amplitudes in steps of 1 Hz, of the last second."""
    return np.abs(np.fft.rfft(signal[-rate_hz:].astype(float))) * 2 / rate_hz


def db(ratio: float) -> float:
    return 20 * np.log10(max(ratio, 1e-12))


def noise_db(signal: np.ndarray, frequency_hz: int, rate_hz: int) -> float:
    """THD+N to the tone."""
    spectrum = lines(signal, rate_hz)
    tone = spectrum[frequency_hz]
    spectrum[frequency_hz] = 0
    return db(float(np.sqrt((spectrum**2).sum())) / tone)


@pytest.mark.parametrize(("convert", "rate_in", "rate_out"), [(up, LOW_HZ, HIGH_HZ), (down, HIGH_HZ, LOW_HZ)])
def test_thd_and_noise_at_997_hz(convert, rate_in, rate_out):
    assert noise_db(convert(sine(997, rate_in)), 997, rate_out) <= -85


@pytest.mark.parametrize("frequency_hz", [200, 1500, 2600, 3200, 3400])
@pytest.mark.parametrize(("convert", "rate_in", "rate_out"), [(up, LOW_HZ, HIGH_HZ), (down, HIGH_HZ, LOW_HZ)])
def test_tones_of_the_voice_band_stay_clean(convert, rate_in, rate_out, frequency_hz):
    assert noise_db(convert(sine(frequency_hz, rate_in)), frequency_hz, rate_out) <= -75


@pytest.mark.parametrize("frequency_hz", [50, 300, 1000, 1777, 2500, 2900, 3100, 3200])
@pytest.mark.parametrize(("convert", "rate_in", "rate_out"), [(up, LOW_HZ, HIGH_HZ), (down, HIGH_HZ, LOW_HZ)])
def test_ripple_to_0_8_of_the_band(convert, rate_in, rate_out, frequency_hz):
    passed = lines(convert(sine(frequency_hz, rate_in)), rate_out)[frequency_hz] / MINUS_1_DBFS
    assert abs(db(passed)) <= 0.05


@pytest.mark.parametrize("frequency_hz", [4600, 4700, 5000, 5800, 6500, 7300, 7900])
def test_aliases_from_1_15_of_the_band(frequency_hz):
    alias_hz = LOW_HZ - frequency_hz
    assert db(lines(down(sine(frequency_hz, HIGH_HZ)), LOW_HZ)[alias_hz] / MINUS_1_DBFS) <= -75


@pytest.mark.parametrize("frequency_hz", [4200, 4300, 4500])
def test_aliases_from_1_05_of_the_band(frequency_hz):
    alias_hz = LOW_HZ - frequency_hz
    assert db(lines(down(sine(frequency_hz, HIGH_HZ)), LOW_HZ)[alias_hz] / MINUS_1_DBFS) <= -60


@pytest.mark.parametrize("frequency_hz", [100, 700, 1500, 2200, 3000, 3300, 3400])
def test_images_beyond_1_15_of_the_band(frequency_hz):
    image_hz = LOW_HZ - frequency_hz
    assert db(lines(up(sine(frequency_hz, LOW_HZ)), HIGH_HZ)[image_hz] / MINUS_1_DBFS) <= -75


def test_the_response_in_between():
    """The published taps themselves, on a grid of 10 Hz."""
    taps = np.array(resample.response())
    np.testing.assert_array_equal(taps, taps[::-1])
    frequencies = np.arange(0, HIGH_HZ / 2 + 1, 10)
    gain = np.abs(np.exp(-2j * np.pi * np.outer(frequencies, np.arange(len(taps))) / HIGH_HZ) @ taps)
    ratio = frequencies / NYQUIST_HZ
    decibels = 20 * np.log10(gain + 1e-12)
    assert np.abs(decibels[ratio <= 0.8]).max() <= 0.05
    assert decibels[ratio >= 1.15].max() <= -80
    assert decibels[ratio >= 1.05].max() <= -60


@pytest.mark.parametrize(("convert", "rate_in", "rate_out"), [(up, LOW_HZ, HIGH_HZ), (down, HIGH_HZ, LOW_HZ)])
def test_delay(convert, rate_in, rate_out):
    """Read off the phase of a 500 Hz tone: 27.5 taps at 16 kHz, less than the 4 ms allowed."""
    source, out = sine(500, rate_in), convert(sine(500, rate_in))
    phase = [
        np.angle(np.fft.rfft(s[-rate:].astype(float))[500])
        for s, rate in ((source, rate_in), (out, rate_out))
    ]
    delay_ms = ((phase[0] - phase[1]) % (2 * np.pi)) / (2 * np.pi * 500) * 1000
    expected_ms = resample.DELAY_TAPS / HIGH_HZ * 1000
    if convert is down:
        expected_ms -= 1000 / HIGH_HZ  # an output stands at the second sample of its pair
    assert delay_ms == pytest.approx(expected_ms, abs=0.01)
    assert delay_ms < 4


@pytest.mark.parametrize("chunk", [1, 2, 13, 26, 27, 28, 55, 80, 159, 161, 480, 960, 1000])
def test_the_chunk_size_does_not_matter(chunk):
    rng = np.random.default_rng(5)
    pcm = rng.integers(-32768, 32768, 4000).astype(np.int16)
    np.testing.assert_array_equal(up(pcm, chunk), up(pcm, 4000))
    np.testing.assert_array_equal(down(pcm, 2 * chunk), down(pcm, 4000))


@pytest.mark.parametrize("value", [32767, -32768, 0])
def test_steady_full_scale_does_not_wrap(value):
    pcm = np.full(2000, value, np.int16)
    for out in (up(pcm), down(pcm)):
        assert np.abs(out[200:].astype(int) - value).max() <= 0.005 * abs(value)


def test_loud_noise_saturates_and_does_not_wrap():
    square = np.where(np.arange(4000) // 20 % 2, 32767, -32768).astype(np.int16)
    out = up(square).astype(int)
    delay = int(resample.DELAY_TAPS)
    held = np.repeat(square, 2).astype(int)[: len(out) - delay]
    middle = (np.arange(len(held)) % 40 > 12) & (np.arange(len(held)) % 40 < 28)
    assert (np.sign(out[delay:][middle][100:]) == np.sign(held[middle][100:])).all()


def test_there_and_back_keeps_speech_band_signals():
    pcm = sine(440, LOW_HZ, 6000) + sine(2100, LOW_HZ, 6000)
    back = down(up(pcm))
    lag = int((2 * resample.DELAY_TAPS - 1) / 2)
    error = back[lag + 100 :].astype(float) - pcm[100 : len(pcm) - lag]
    assert db(float(error.std() / pcm.std())) < -40  # the passband ripple twice


def test_no_drift_over_an_hour():
    """Sample counts are exact; the state holds nothing that could grow."""
    state = resample.Resampler()
    frame, out = sine(1000, LOW_HZ, seconds=0.02), np.zeros(320, np.int16)
    state.up2(out, frame, 10)
    early = out.copy()
    state.up2(out, frame, 180_000)
    np.testing.assert_array_equal(out, early)
