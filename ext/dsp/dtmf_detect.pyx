"""In-band DTMF (ITU-T Q.23, Q.24).

Windows of 10 ms, one every 5 ms, show the eight tones (ext/dsp/tone_bank).  A window is *pure* when its strongest
low and its strongest high tone are loud enough, differ by no more than the twist allowed and hold nearly all its
energy.  The first pure window makes a candidate; pure windows of the same pair carry it on, and six others in a
row end it, so that a break of 10 ms and a lost packet are ridden over and a pause of 40 ms is not.

Half-covered windows add up: the amplitudes of all windows, divided by that of a full one, are the tone's duration
in steps of 5 ms, but exact.  A candidate is a key once it has sounded for MIN_SOUNDING_MS, nearly purely, and both
frequencies are steady and within tolerance: the mean turn of a tone's phase from window to window tells its
frequency to a few Hz, and how much longer the sum of turns is when they all agree tells steadiness.  In speech two
harmonics may be strong where keys are, but they glide and swell.

What costs is the bank.  Quiet frames are not looked at; without a candidate every second window is enough, and
the others follow when one of these is half pure.
"""

from libc.math cimport M_PI, atan2, cos, fabs, log10, pow, sin, sqrt, sqrtf, tan
from libc.stdint cimport int16_t, int64_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from roomtone.ext.dsp.dispatch cimport BANK_SAMPLES, BANK_TONES, bank_t, bank_view_t, kernel_get, kernel_t, window_t
from roomtone.ext.dsp.tone_bank cimport BANK_ENERGY, BANK_POWER, bank_make, view_power


cdef enum:
    LOW_TONES = 4
    HOP = 40                        # samples from window to window; half a window
    HOP_MS = 5
    WINDOWS = 5                     # of the half of a frame before and a frame, in frame_look's order:
    ODD = 3                         # the last of the frame before, the first and the last of this one,
    EVEN = 2                        # then the two between these, which are looked at first
    BREAK_WINDOWS = 5               # without the tone that a key survives; a lost packet takes 3 to 5, a pause of 40 ms 7
    MIN_WINDOWS = 3                 # pure ones of a key; two turns of phase
    FRAME_MS = 20
    STRIDE = 37                     # frames between the places of benchmark channels

cdef int[WINDOWS] BY_TIME = [0, 3, 1, 4, 2]
cdef double[BANK_TONES] TONE_HZ = [697, 770, 852, 941, 1209, 1336, 1477, 1633]      # Q.23
cdef int[16] DIGIT = [1, 2, 3, 12, 4, 5, 6, 13, 7, 8, 9, 14, 10, 0, 11, 15]         # by row and column

cdef double DBM0_0 = 22657.0                # amplitude of a sine at 0 dBm0 (ext/dsp/tone)
cdef double RATE_HZ = 8000

# Q.24 wants 40 ms heard and 23 ms not.
cdef double MIN_SOUNDING_MS = 23.75
cdef double MIN_BROKEN_MS = 32              # with a break, which speech has more often
# Q.24 wants -25 dBm0 heard, -55 not; telephones are as low as -39 behind long lines.
cdef float MIN_POWER = <float> (BANK_POWER * mean_square(-43.5))
# A frame below this holds no pair that loud in even an eighth of it.
cdef int64_t QUIET = <int64_t> (160 * mean_square(-51))
# Q.24 wants the high tone from 4 dB above to 8 dB below the low one; 15 dB must not be heard.
cdef float MAX_HIGH_OVER_LOW = <float> pow(10, 0.7)
cdef float MAX_LOW_OVER_HIGH = <float> pow(10, 0.97)
# Share of a window's energy that the two tones hold.
cdef float PURE = <float> 0.74
cdef double PURE_WHOLE = 0.86               # of all pure windows together; white noise 10 dB below leaves 0.91
cdef float HALF_PURE = <float> 0.35
cdef float ENERGY_OF_POWER = <float> (<double> BANK_ENERGY / BANK_POWER)
# Q.24 wants 1.5 % heard (others 1.8 %) and 3.5 % not.
cdef double MAX_OFFSET = 0.022
# Signal 7 between exchanges (MF, Q.320) is 0.4 and 1.56 % off key 3: nearer than keys may be, but none that is within
# 1.5 % is so near to it.
cdef double[2] MF_HZ = [700, 1500]
cdef double MF_SLACK_HZ = 0.8
cdef int MF_PAIR = 3                        # row 0, column 2
cdef double STEADY = 0.97                  # turns, against those of tones of constant amplitude and frequency

cdef bank_t BANK
cdef bank_view_t NOTHING
cdef double[BANK_TONES] TURN_COS            # of the phase, from window to window, at the nominal frequency
cdef double[BANK_TONES] TURN_SIN
cdef double[BANK_TONES] MAX_TURN            # tangent of the turn beyond that at the limit


cdef inline double mean_square(double dbm0) noexcept nogil:
    return DBM0_0 * DBM0_0 / 2 * pow(10, dbm0 / 10)


cdef void make_tables() noexcept nogil:
    cdef double turn
    cdef int i
    bank_make(&BANK, TONE_HZ)
    for i in range(BANK_TONES):
        turn = 2 * M_PI * TONE_HZ[i] * HOP / RATE_HZ
        TURN_COS[i] = cos(turn)
        TURN_SIN[i] = sin(turn)
        MAX_TURN[i] = tan(turn * MAX_OFFSET)


cdef void dtmf_reset(dtmf_t* dtmf) noexcept nogil:
    memset(dtmf, 0, sizeof(dtmf_t))


cdef int dtmf_frame(dtmf_t* dtmf, const int16_t* pcm8, dtmf_press_t* out) noexcept nogil:
    cdef const kernel_t* kernel = kernel_get()
    cdef int told = DTMF_NOTHING
    if dtmf.candidate.pair or kernel.level_energy(pcm8, DTMF_FRAME) >= QUIET:
        told = frame_look(dtmf, kernel, pcm8, out)
    memcpy(dtmf.kept, pcm8 + DTMF_FRAME - DTMF_KEPT, sizeof(dtmf.kept))
    return told


cdef int frame_look(dtmf_t* dtmf, const kernel_t* kernel, const int16_t* pcm8, dtmf_press_t* out) noexcept nogil:
    cdef int16_t[BANK_SAMPLES] seam
    cdef window_t[WINDOWS] windows = [&dtmf.kept[0], pcm8, pcm8 + 2 * HOP, &seam[0], pcm8 + HOP]
    cdef bank_view_t[WINDOWS] views
    cdef const bank_view_t* before = &dtmf.last
    cdef int told = DTMF_NOTHING
    cdef int i = 1
    memcpy(seam, dtmf.kept + HOP, HOP * sizeof(int16_t))
    memcpy(seam + HOP, pcm8, HOP * sizeof(int16_t))
    if dtmf.candidate.pair:
        kernel.bank_view(views + 1, windows + 1, WINDOWS - 1, &BANK)
    elif promising(kernel, views, windows):
        before = &NOTHING
        i = 0
    else:
        return DTMF_NOTHING
    while i < WINDOWS:
        # At most one of them tells something: no key is as short as a frame.
        told |= window_step(&dtmf.candidate, &views[BY_TIME[i]], before, out)
        before = &views[BY_TIME[i]]
        i += 1
    dtmf.last = before[0]
    return told


cdef bint promising(const kernel_t* kernel, bank_view_t* views, const window_t* windows) noexcept nogil:
    """Every second window; when one of them is half pure, the others."""
    kernel.bank_view(views + ODD, windows + ODD, EVEN, &BANK)
    if not pair_in(&views[ODD], HALF_PURE) and not pair_in(&views[ODD + 1], HALF_PURE):
        return False
    kernel.bank_view(views, windows, ODD, &BANK)
    return True


cdef inline float strongest(const float* power) noexcept nogil:
    """Of four."""
    cdef float a = power[0] if power[0] > power[1] else power[1]
    cdef float b = power[2] if power[2] > power[3] else power[3]
    return a if a > b else b


cdef int pair_in(const bank_view_t* view, float share) noexcept nogil:
    """The pair of tones that holds this share of the energy: row * 4 + column + 1; 0: none."""
    cdef float[BANK_TONES] power
    cdef float low, high
    cdef int row = 0
    cdef int column = 0
    cdef int i
    for i in range(BANK_TONES):
        power[i] = view_power(view, i)
    low = strongest(power)
    high = strongest(power + LOW_TONES)
    # All at once: each alone is a guess that the processor often loses, together they nearly always say no.
    if (
        (low < MIN_POWER) | (high < MIN_POWER)
        | (high > low * MAX_HIGH_OVER_LOW) | (low > high * MAX_LOW_OVER_HIGH)
        | ((low + high) * ENERGY_OF_POWER < share * view.energy)
    ):
        return 0
    while power[row] < low:
        row += 1
    while power[LOW_TONES + column] < high:
        column += 1
    return row * LOW_TONES + column + 1


cdef int window_step(
    dtmf_candidate_t* candidate, const bank_view_t* view, const bank_view_t* before, dtmf_press_t* out
) noexcept nogil:
    cdef uint32_t pair = pair_in(view, PURE)
    cdef int told = DTMF_NOTHING
    if candidate.pair and (candidate.pressed or pair == 0 or pair == candidate.pair):
        candidate_add(candidate, view, before, pair == candidate.pair)
        if candidate.missing > BREAK_WINDOWS:
            told = DTMF_END if candidate.pressed else DTMF_NOTHING
        elif candidate.missing == 0 and not candidate.pressed and is_key(candidate):
            candidate.pressed = 1
            told = DTMF_BEGIN
        if told:
            press_tell(candidate, out)
        if candidate.missing > BREAK_WINDOWS:
            memset(candidate, 0, sizeof(dtmf_candidate_t))
    if pair and pair != candidate.pair and not candidate.pressed:
        candidate_begin(candidate, pair, view, before)
    return told


cdef void candidate_begin(
    dtmf_candidate_t* candidate, uint32_t pair, const bank_view_t* view, const bank_view_t* before
) noexcept nogil:
    memset(candidate, 0, sizeof(dtmf_candidate_t))
    candidate.pair = pair
    candidate.missing = 1               # its phase is not followed from before
    candidate_add(candidate, view, before, True)
    candidate.sounding += min(amplitude_in(candidate, before), candidate.peak)


cdef inline int low_of(const dtmf_candidate_t* candidate) noexcept nogil:
    return <int> (candidate.pair - 1) // LOW_TONES


cdef inline int high_of(const dtmf_candidate_t* candidate) noexcept nogil:
    return <int> (candidate.pair - 1) % LOW_TONES + LOW_TONES


cdef inline float amplitude_in(const dtmf_candidate_t* candidate, const bank_view_t* view) noexcept nogil:
    return sqrtf(view_power(view, low_of(candidate)) + view_power(view, high_of(candidate)))


cdef void candidate_add(
    dtmf_candidate_t* candidate, const bank_view_t* view, const bank_view_t* before, bint pure
) noexcept nogil:
    cdef float amplitude = amplitude_in(candidate, view)
    if pure:
        if candidate.missing == 0 and not candidate.pressed:      # only is_key asks for it
            turn_add(candidate, 0, low_of(candidate), view, before)
            turn_add(candidate, 1, high_of(candidate), view, before)
        candidate.broken |= candidate.missing > 0 and candidate.windows > 0
        candidate.windows += 1
        candidate.missing = 0
        candidate.pure += amplitude
        candidate.power += amplitude * amplitude
        candidate.energy += view.energy
        candidate.peak = max(candidate.peak, amplitude)
    else:
        candidate.missing += 1
    candidate.sounding += min(amplitude, candidate.peak)


cdef inline void turn_add(
    dtmf_candidate_t* candidate, int part, int tone, const bank_view_t* view, const bank_view_t* before
) noexcept nogil:
    """Add view * conj(before), turned back by what the nominal frequency gives."""
    cdef double re = <double> view.re[tone] * before.re[tone] + <double> view.im[tone] * before.im[tone]
    cdef double im = <double> view.re[tone] * before.im[tone] - <double> view.im[tone] * before.re[tone]
    candidate.turn_re[part] += re * TURN_COS[tone] + im * TURN_SIN[tone]
    candidate.turn_im[part] += im * TURN_COS[tone] - re * TURN_SIN[tone]
    candidate.turn_weight[part] += (view_power(view, tone) + view_power(before, tone)) / 2


cdef bint is_key(const dtmf_candidate_t* candidate) noexcept nogil:
    cdef double least_ms = MIN_BROKEN_MS if candidate.broken else MIN_SOUNDING_MS
    if candidate.windows < MIN_WINDOWS or candidate.sounding * HOP_MS < least_ms * candidate.peak:
        return False
    if candidate.power * ENERGY_OF_POWER < PURE_WHOLE * candidate.energy:
        return False
    if not is_steady(candidate, 0, low_of(candidate)) or not is_steady(candidate, 1, high_of(candidate)):
        return False
    return candidate.pair != MF_PAIR or not (is_mf(candidate, 0) and is_mf(candidate, 1))


cdef inline bint is_steady(const dtmf_candidate_t* candidate, int part, int tone) noexcept nogil:
    cdef double re = candidate.turn_re[part]
    cdef double im = candidate.turn_im[part]
    return fabs(im) < MAX_TURN[tone] * re and sqrt(re * re + im * im) > STEADY * candidate.turn_weight[part]


cdef bint is_mf(const dtmf_candidate_t* candidate, int part) noexcept nogil:
    cdef int tone = high_of(candidate) if part else low_of(candidate)
    cdef double off_hz = atan2(candidate.turn_im[part], candidate.turn_re[part]) * RATE_HZ / (2 * M_PI * HOP)
    return fabs(TONE_HZ[tone] + off_hz - MF_HZ[part]) < MF_SLACK_HZ


cdef void press_tell(const dtmf_candidate_t* candidate, dtmf_press_t* out) noexcept nogil:
    cdef double mean = candidate.pure / candidate.windows
    out.digit = DIGIT[candidate.pair - 1]
    out.duration_ms = <int> (candidate.sounding / mean * HOP_MS + 0.5)
    out.level_dbm0 = <float> (10 * log10(mean * mean / BANK_POWER / mean_square(0)))


make_tables()


# -- for tests and tools --

SIZE_BYTES = sizeof(dtmf_t)


cdef class Detector:
    """One stream: `feed(pcm)` returns what was told, as (time in ms, "begin" or "end", digit, ms, dBm0)."""

    cdef dtmf_t state
    cdef int frames

    def feed(self, const int16_t[::1] pcm) -> list:
        """pcm: int16[160 n] at 8 kHz.  The time is that of the frame's end, over all calls."""
        cdef dtmf_press_t press
        cdef int told
        cdef Py_ssize_t i
        out = []
        for i in range(pcm.shape[0] // DTMF_FRAME):
            told = dtmf_frame(&self.state, &pcm[i * DTMF_FRAME], &press)
            self.frames += 1
            if told:
                name = "begin" if told == DTMF_BEGIN else "end"
                out.append((self.frames * FRAME_MS, name, press.digit, press.duration_ms, press.level_dbm0))
        return out


def run_many(const int16_t[::1] pcm, int channels, int frames) -> None:
    """For benchmarks: `frames` rounds over all channels, each a frame further into pcm than the one before."""
    cdef dtmf_t* states = <dtmf_t*> calloc(channels, sizeof(dtmf_t))
    cdef dtmf_press_t press
    cdef Py_ssize_t total = pcm.shape[0] // DTMF_FRAME
    cdef Py_ssize_t i, channel
    if states == NULL:
        raise MemoryError
    with nogil:
        for i in range(frames):
            for channel in range(channels):
                dtmf_frame(&states[channel], &pcm[(i + channel * STRIDE) % total * DTMF_FRAME], &press)
    free(states)
