"""Call-progress tones: level, frequency, cadence, ramps, change of rate."""

import numpy as np
import pytest

from roomtone.ext.codec import codec
from roomtone.ext.dsp import tone

RATES = [8000, 16000, 48000]
LEVEL_DBM0 = -15
FREQUENCIES = {
    tone.RINGBACK: (440, 480),
    tone.RINGING: (440, 480),
    tone.BUSY: (480, 620),
    tone.BEEP: (1000,),
    tone.SINE: (777,),
}
CADENCE_S = {tone.RINGBACK: (2, 4), tone.BUSY: (0.5, 0.5)}
DIGITAL_MILLIWATT = bytes([0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E])  # G.711 table 6: 1 kHz at 0 dBm0


def run(kind: int, rate_hz: int, seconds: float, frame: int = 0, **options) -> np.ndarray:
    source = tone.Tone(kind, rate_hz, **options)
    out = np.full(int(seconds * rate_hz), 99, np.int16)
    frame = frame or rate_hz // 50
    for start in range(0, len(out), frame):
        source.run(out[start : start + frame])
    return out


def milliwatt_rms() -> float:
    pcm = np.zeros(8, np.int16)
    codec.decode(codec.PCMU, np.frombuffer(DIGITAL_MILLIWATT, np.uint8), pcm)
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("kind", FREQUENCIES)
def test_each_frequency_is_at_minus_15_dbm0_and_nothing_else_is_there(kind, rate_hz):
    options = {"frequency_hz": 778} if kind == tone.SINE else {}
    wanted = (778,) if kind == tone.SINE else FREQUENCIES[kind]
    signal = run(kind, rate_hz, 0.49 if kind == tone.BUSY else 1, **options)
    middle = signal[rate_hz // 100 :]
    n = rate_hz * 48 // 100
    # A spectrum with these lines needs more than a burst of busy is long: fit sines instead.
    t = np.arange(n) / rate_hz
    columns = [fn(2 * np.pi * f * t) for f in wanted for fn in (np.sin, np.cos)]
    basis = np.stack(columns, axis=1)
    part = middle[:n].astype(float)
    weights, *_ = np.linalg.lstsq(basis, part, rcond=None)
    for i in range(len(wanted)):
        amplitude = np.hypot(weights[2 * i], weights[2 * i + 1])
        level_dbm0 = 20 * np.log10(amplitude / np.sqrt(2) / milliwatt_rms())
        assert level_dbm0 == pytest.approx(LEVEL_DBM0, abs=0.02)
    rest = part - basis @ weights
    assert np.sqrt(np.mean(rest**2)) < 0.5  # rounding


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("kind", CADENCE_S)
def test_cadence(kind, rate_hz):
    on, off = CADENCE_S[kind]
    signal = run(kind, rate_hz, 2 * (on + off) + 0.1)
    loud = np.abs(signal) > 0
    for start in (0, on + off):
        first, last = int(start * rate_hz), int((start + on) * rate_hz)
        assert loud[first + 1 : first + rate_hz // 500].any()
        assert loud[last - rate_hz // 500 : last].any()
        assert not loud[last : int((start + on + off) * rate_hz)].any()


def test_ringing_has_no_pause():
    signal = run(tone.RINGING, 8000, 7)
    blocks = np.abs(signal.reshape(-1, 400)).max(axis=1)
    assert (blocks > 1000).all()


@pytest.mark.parametrize("rate_hz", RATES)
def test_bursts_rise_and_fall_in_2_ms(rate_hz):
    signal = run(tone.SINE, rate_hz, 0.1, frequency_hz=1000, duration_ms=100).astype(float)
    ramp = rate_hz // 500
    plain = tone.amplitude() * np.sin(2 * np.pi * 1000 * np.arange(len(signal)) / rate_hz)
    np.testing.assert_allclose(signal[ramp:-ramp], plain[ramp:-ramp], atol=0.6)
    loud = np.abs(plain) > 1000
    gain = np.where(loud, signal / np.where(loud, plain, 1), np.nan)
    rise = gain[:ramp][~np.isnan(gain[:ramp])]
    fall = gain[-ramp:][~np.isnan(gain[-ramp:])]
    assert (np.diff(rise) > 0).all()
    assert (np.diff(fall) < 0).all()
    assert rise[0] < 0.2
    assert fall[-1] < 0.2


def test_a_cut_burst_fades_too():
    """The end of the duration inside a burst of a cadence, and inside a frame."""
    signal = run(tone.BUSY, 8000, 0.5, duration_ms=215)
    assert np.abs(signal[1720 - 60 : 1720 - 16]).max() > 3000
    assert np.abs(signal[1718:1720]).max() < 200
    assert not signal[1720:].any()


@pytest.mark.parametrize("frame", [1, 7, 80, 160, 333, 1000])
@pytest.mark.parametrize("kind", [tone.BUSY, tone.BEEP])
def test_the_frame_length_does_not_matter(kind, frame):
    whole = run(kind, 8000, 1.2, frame=9600, duration_ms=1100)
    cut = run(kind, 8000, 1.2, frame=frame, duration_ms=1100)
    assert np.abs(whole.astype(int) - cut).max() <= 1


def test_run_tells_when_the_tone_is_over():
    source = tone.Tone(tone.BEEP, 8000, duration_ms=50)
    frame = np.zeros(160, np.int16)
    assert [source.run(frame) for _ in range(4)] == [True, True, False, False]
    assert not frame.any()


def test_exactly_a_frame_is_over_after_it():
    assert not tone.Tone(tone.BEEP, 8000, duration_ms=20).run(np.zeros(160, np.int16))


def test_zero_duration_is_silence():
    frame = np.full(160, 9, np.int16)
    assert not tone.Tone(tone.BEEP, 8000, duration_ms=0).run(frame)
    assert not frame.any()


@pytest.mark.parametrize("duration_ms", [-1, 2**62])
def test_a_tone_without_end_lasts(duration_ms):
    source = tone.Tone(tone.RINGING, 48000, duration_ms=duration_ms)
    frame = np.zeros(960, np.int16)
    for _ in range(200):
        assert source.run(frame)
        assert np.abs(frame).max() > 100


@pytest.mark.parametrize(
    ("kind", "frequency_hz"),
    [(tone.SILENCE, 440), (tone.SINE, 0), (tone.SINE, -5), (tone.SINE, 4000), (tone.SINE, 19_000), (99, 440)],
)
def test_silence(kind, frequency_hz):
    source = tone.Tone(kind, 8000, frequency_hz, 30)
    frame = np.full(160, 9, np.int16)
    assert source.run(frame)
    assert not frame.any()
    assert not source.run(frame)


@pytest.mark.parametrize("path", [(8000, 16000), (16000, 8000), (8000, 48000, 16000, 8000)])
def test_a_change_of_rate_keeps_phase_cadence_and_time(path):
    source = tone.Tone(tone.BUSY, path[0], duration_ms=840)
    step_s = 0.2
    pieces, last = [], True
    for rate_hz in path:
        source.set_rate(rate_hz)
        piece = np.zeros(int(step_s * rate_hz), np.int16)
        for start in range(0, len(piece), rate_hz // 50):
            last = source.run(piece[start : start + rate_hz // 50])
        pieces.append((rate_hz, piece))
    for i, (rate_hz, piece) in enumerate(pieces):
        t = i * step_s + np.arange(len(piece)) / rate_hz
        wave = tone.amplitude() * (np.sin(2 * np.pi * 480 * t) + np.sin(2 * np.pi * 620 * t))
        steady = (t > 0.003) & (t < 0.497)
        assert np.abs(piece[steady] - wave[steady]).max(initial=0) < 1.5
        assert not piece[(t >= 0.5) & (t < 1.0)].any()
    assert last == (len(path) * step_s < 0.84)


def test_a_sine_above_the_band_comes_back_with_the_rate():
    source = tone.Tone(tone.SINE, 8000, 5000)
    narrow, wide = np.zeros(160, np.int16), np.zeros(320, np.int16)
    source.run(narrow)
    assert not narrow.any()
    source.set_rate(16000)
    source.run(wide)
    assert np.abs(wide[40:]).max() > 3000


def test_a_long_tone_stays_in_tune():
    """Ten minutes: the phase has not drifted by a tenth of a period."""
    source = tone.Tone(tone.BEEP, 8000)
    source.run(np.zeros(160, np.int16), 30_000 - 1)
    frame = np.zeros(160, np.int16)
    source.run(frame)
    expected = tone.amplitude() * np.sin(2 * np.pi * 1000 * np.arange(160) / 8000)
    assert np.abs(frame - expected).max() < 0.1 * 2 * np.pi * tone.amplitude()


def test_the_state_fits_a_cache_line():
    assert tone.SIZE_BYTES <= 64
