"""Call-progress tones and sines.

Level.  0 dBm0 is defined through G.711: a sine that just reaches the mu-law coder's last decision value, 8159
of the standard's 14 bits (32636 of 16), is +3.17 dBm0 (G.711 section 5).  So 0 dBm0 has the amplitude 32636 /
10^(3.17 / 20) = 22657; the digital milliwatt of G.711 table 6 has 22651.
"""

from libc.math cimport M_PI, cos, fmod, lrint, pow, sin
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset


cdef enum:
    RINGBACK_ON_MS = 2000           # the contract's cadences, `websocket.md` tones
    RINGBACK_OFF_MS = 4000
    BUSY_ON_MS = 500
    BUSY_OFF_MS = 500
    RAMP_MS = 2                     # rise and fall of a burst
    MS_PER_S = 1000
    FOREVER = -1
    TO_POSITIVE = 32768
    SINE_BLOCK = 320                # samples computed at once
    SINE_LANES = 4                  # of these side by side; divides SINE_BLOCK

cdef int64_t DURATION_MAX_MS = <int64_t> 1 << 40    # 34 years; longer is for ever, and samples fit 64 bits

cdef double DIGITAL_FULL_SCALE = 32636.0        # 4 * 8159
cdef double FULL_SCALE_DBM0 = 3.17
cdef double TONE_DBM0 = -15.0                   # of each frequency
cdef double DB_PER_DECADE = 20.0                # of amplitude
cdef double TONE_AMPLITUDE = DIGITAL_FULL_SCALE * pow(10.0, (TONE_DBM0 - FULL_SCALE_DBM0) / DB_PER_DECADE)

cdef double RINGBACK_LOW_HZ = 440.0
cdef double RINGBACK_HIGH_HZ = 480.0
cdef double BUSY_LOW_HZ = 480.0
cdef double BUSY_HIGH_HZ = 620.0
cdef double BEEP_HZ = 1000.0


cdef void tone_start(
    tone_t* tone, int kind, double frequency_hz, int rate_hz, int64_t duration_ms
) noexcept nogil:
    cdef double low_hz = 0
    cdef double high_hz = 0
    cdef int64_t on_ms = 0
    cdef int64_t off_ms = 0
    memset(tone, 0, sizeof(tone_t))
    if kind == TONE_RINGBACK or kind == TONE_RINGING:
        low_hz = RINGBACK_LOW_HZ
        high_hz = RINGBACK_HIGH_HZ
        if kind == TONE_RINGBACK:
            on_ms = RINGBACK_ON_MS
            off_ms = RINGBACK_OFF_MS
    elif kind == TONE_BUSY:
        low_hz = BUSY_LOW_HZ
        high_hz = BUSY_HIGH_HZ
        on_ms = BUSY_ON_MS
        off_ms = BUSY_OFF_MS
    elif kind == TONE_BEEP:
        low_hz = BEEP_HZ
    elif kind == TONE_SINE and frequency_hz > 0:
        low_hz = frequency_hz
    tone.kind = kind
    tone.rate_hz = rate_hz
    tone.step0 = <float> (2 * M_PI * low_hz / rate_hz)
    tone.step1 = <float> (2 * M_PI * high_hz / rate_hz)
    tone.on_samples = <uint32_t> (on_ms * rate_hz // MS_PER_S)
    tone.off_samples = <uint32_t> (off_ms * rate_hz // MS_PER_S)
    if 0 <= duration_ms <= DURATION_MAX_MS:
        tone.left_samples = duration_ms * rate_hz // MS_PER_S
    else:
        tone.left_samples = FOREVER


cdef void tone_set_rate(tone_t* tone, int rate_hz) noexcept nogil:
    cdef uint64_t old = tone.rate_hz
    cdef uint64_t new = rate_hz
    if old == new:
        return
    tone.step0 = <float> (<double> tone.step0 * old / new)
    tone.step1 = <float> (<double> tone.step1 * old / new)
    tone.on_samples = <uint32_t> (tone.on_samples * new // old)
    tone.off_samples = <uint32_t> (tone.off_samples * new // old)
    tone.position = <uint32_t> (tone.position * new // old)
    if tone.left_samples > 0:
        # Rounded up: what has not ended must not end by the change.
        tone.left_samples = <int64_t> ((<uint64_t> tone.left_samples * new + old - 1) // old)
    tone.rate_hz = rate_hz


cdef int tone_run(tone_t* tone, int16_t* pcm, int n) noexcept nogil:
    cdef int64_t part
    cdef bint sounding
    while n > 0 and tone.left_samples != 0:
        part = n
        sounding = tone.step0 > 0 and (tone.on_samples == 0 or tone.position < tone.on_samples)
        if tone.on_samples:
            part = span_left(tone) if span_left(tone) < part else part
        if 0 < tone.left_samples < part:
            part = tone.left_samples
        if sounding:
            burst(tone, pcm, <int> part)
        else:
            memset(pcm, 0, part * sizeof(int16_t))
        advance(tone, part)
        pcm += part
        n -= <int> part
    if n > 0:
        memset(pcm, 0, n * sizeof(int16_t))
    return tone.left_samples != 0


cdef inline int64_t span_left(const tone_t* tone) noexcept nogil:
    """Samples to the end of the cadence's present half; only with a cadence."""
    if tone.position < tone.on_samples:
        return tone.on_samples - tone.position
    return <int64_t> tone.on_samples + tone.off_samples - tone.position


cdef inline void advance(tone_t* tone, int64_t samples) noexcept nogil:
    if tone.left_samples > 0:
        tone.left_samples -= samples
    if tone.on_samples:
        tone.position += <uint32_t> samples
        if tone.position >= tone.on_samples + tone.off_samples:
            tone.position = 0
    elif tone.position < tone.rate_hz:      # without a cadence it only tells the first ramp: stop after it
        tone.position += <uint32_t> samples


cdef void burst(tone_t* tone, int16_t* pcm, int n) noexcept nogil:
    """n samples that lie inside one burst, with the ramps at its ends."""
    cdef int64_t ramp = tone.rate_hz * RAMP_MS // MS_PER_S
    cdef int64_t after = FOREVER            # samples from here to the burst's end; FOREVER: unknown
    cdef int64_t i, edge
    if tone.on_samples:
        after = tone.on_samples - tone.position
    if tone.left_samples > 0 and (after < 0 or tone.left_samples < after):
        after = tone.left_samples
    sines(tone, pcm, n)
    for i in range(n):
        edge = tone.position + i
        if edge >= ramp:
            break
        pcm[i] = <int16_t> lrint(pcm[i] * rise(edge, ramp))
    if after >= 0 and after - n < ramp:
        i = after - ramp if after > ramp else 0
        for i in range(i, n):
            pcm[i] = <int16_t> lrint(pcm[i] * rise(after - 1 - i, ramp))


cdef inline double rise(int64_t edge, int64_t ramp) noexcept nogil:
    """Raised cosine, `edge` samples from the burst's edge."""
    return (1 - cos(M_PI * <double> (edge + 1) / <double> (ramp + 1))) / 2


cdef void sines(tone_t* tone, int16_t* pcm, int n) noexcept nogil:
    """Both frequencies.  One from half the rate on is silence; it keeps its phase, for a higher rate may
    come."""
    cdef double[SINE_BLOCK] wave
    cdef int i, part
    while n > 0:
        part = n if n < SINE_BLOCK else SINE_BLOCK
        memset(wave, 0, sizeof(wave))
        add_sine(wave, part, tone.step0, &tone.phase0)
        add_sine(wave, part, tone.step1, &tone.phase1)
        for i in range(part):
            # Nearest; positive before the conversion, which cuts towards zero.
            pcm[i] = <int16_t> (<int32_t> (wave[i] + TO_POSITIVE + 0.5) - TO_POSITIVE)
        pcm += part
        n -= part


cdef void add_sine(double* wave, int n, double step, double* phase) noexcept nogil:
    """wave[n] += the sine; n up to SINE_BLOCK.

    SINE_LANES vectors, a step apart, are turned SINE_LANES steps at a time.  They start from the phase at
    every call, so that no error grows.
    """
    cdef double[SINE_LANES] y
    cdef double[SINE_LANES] x
    cdef double turn_y, turn_x, kept
    cdef int i = 0
    cdef int j
    if 0 < step < M_PI:
        for j in range(SINE_LANES):
            y[j] = TONE_AMPLITUDE * sin(phase[0] + step * j)
            x[j] = TONE_AMPLITUDE * cos(phase[0] + step * j)
        turn_y = sin(step * SINE_LANES)
        turn_x = cos(step * SINE_LANES)
        while i < n:
            for j in range(SINE_LANES):
                wave[i + j] += y[j]
                kept = y[j]
                y[j] = kept * turn_x + x[j] * turn_y
                x[j] = x[j] * turn_x - kept * turn_y
            i += SINE_LANES
    phase[0] = fmod(phase[0] + step * n, 2 * M_PI)


# -- for tests and tools --

RINGBACK, RINGING, BUSY = TONE_RINGBACK, TONE_RINGING, TONE_BUSY
BEEP, SINE, SILENCE = TONE_BEEP, TONE_SINE, TONE_SILENCE
SIZE_BYTES = sizeof(tone_t)


def amplitude() -> float:
    """Amplitude of each frequency, in steps of int16."""
    return TONE_AMPLITUDE


cdef class Tone:
    """One tone: `run(pcm)` fills a buffer and tells whether the tone lasts."""

    cdef tone_t state

    def __cinit__(self, int kind, int rate_hz, double frequency_hz=0, int64_t duration_ms=-1) -> None:
        tone_start(&self.state, kind, frequency_hz, rate_hz, duration_ms)

    def set_rate(self, int rate_hz) -> None:
        tone_set_rate(&self.state, rate_hz)

    def run(self, int16_t[::1] pcm, int times=1) -> bool:
        cdef int n = <int> pcm.shape[0]
        cdef int lasts = self.state.left_samples != 0
        if n:
            with nogil:
                for _ in range(times):
                    lasts = tone_run(&self.state, &pcm[0], n)
        return lasts != 0
