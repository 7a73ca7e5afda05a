"""Fax tones (ITU-T T.30 section 4, V.25 section 3, V.8 section 3).

Two windows of 10 ms a frame, 5 ms apart (ext/dsp/tone_bank): the share of the energy at 1100 and at 2100 Hz, and
the turn of the phase between them, which is the exact frequency.

CNG is one burst of 0.5 s with a clear pause after it.  A second burst would be surer, but comes 3.5 s later, when
the caller has long heard the greeting; what else sounds for half a second at 1100 Hz, purely, and is followed by
a drop of 10 dB for 0.2 s, is not speech and hardly music.  CED is a second of 2100 Hz; where the phase reverses
(ANS, every 450 ms) a frame is lost and ridden over.
"""

from libc.math cimport M_PI, cos, pow, sin, tan
from libc.stdint cimport int16_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from roomtone.ext.dsp.dispatch cimport BANK_TONES, bank_t, bank_view_t, kernel_get, kernel_t, window_t
from roomtone.ext.dsp.tone_bank cimport BANK_ENERGY, BANK_POWER, bank_make, view_power


cdef enum:
    CNG = 0                         # places in the bank
    CED = 1
    HOP = 40                        # samples between the windows
    FIRST = 20                      # where the first begins; both are in the middle of the frame
    FRAME_MS = 20
    # T.30: 0.5 s +- 15 %, 3 s +- 15 % of silence.  A frame partly covered counts or not.
    CNG_MIN_FRAMES = 20
    CNG_MAX_FRAMES = 30
    CNG_PAUSE_FRAMES = 10
    CNG_REPEAT_FRAMES = 250         # 5 s: more than a pause and a burst at their longest
    CNG_BREAK_FRAMES = 1            # a frame disturbed
    CED_MIN_FRAMES = 48             # T.30: 2.6 s and more; told after a second
    CED_BREAK_FRAMES = 2            # a phase reversal at the seam of frames

cdef double[BANK_TONES] TONE_HZ = [1100, 2100, 0, 0, 0, 0, 0, 0]
cdef double RATE_HZ = 8000
cdef double CNG_OFFSET_HZ = 42              # T.30 allows 38
cdef double CED_OFFSET_HZ = 20              # V.25 allows 15
cdef double DBM0_0 = 22657.0                # amplitude of a sine at 0 dBm0 (ext/dsp/tone)
# T.30 wants signals down to -43 dBm heard.
cdef float MIN_POWER = <float> (BANK_POWER * DBM0_0 * DBM0_0 / 2 * pow(10, -4.5))
cdef int64_t QUIET = <int64_t> (FAX_FRAME * DBM0_0 * DBM0_0 / 2 * pow(10, -4.5))
cdef float PURE = <float> (0.7 * BANK_POWER / BANK_ENERGY)     # power over energy
cdef float PAUSE_SHARE = <float> 0.1        # the pause is 10 dB below the burst

cdef bank_t BANK
cdef double[BANK_TONES] TURN_COS
cdef double[BANK_TONES] TURN_SIN
cdef double[BANK_TONES] MAX_TURN


cdef void make_tables() noexcept nogil:
    cdef double turn
    cdef int i
    bank_make(&BANK, TONE_HZ)
    for i in range(BANK_TONES):
        turn = 2 * M_PI * HOP / RATE_HZ
        TURN_COS[i] = cos(turn * TONE_HZ[i])
        TURN_SIN[i] = sin(turn * TONE_HZ[i])
        MAX_TURN[i] = tan(turn * (CNG_OFFSET_HZ if i == CNG else CED_OFFSET_HZ))


cdef void fax_reset(fax_t* fax) noexcept nogil:
    memset(fax, 0, sizeof(fax_t))


cdef int fax_frame(fax_t* fax, const int16_t* pcm8) noexcept nogil:
    cdef const kernel_t* kernel = kernel_get()
    cdef int64_t energy = kernel.level_energy(pcm8, FAX_FRAME)
    cdef window_t[2] windows = [pcm8 + FIRST, pcm8 + FIRST + HOP]
    cdef bank_view_t[2] views
    cdef bint cng = False
    cdef bint ced = False
    if energy >= QUIET:
        kernel.bank_view(views, windows, 2, &BANK)
        cng = is_tone(views, CNG)
        ced = is_tone(views, CED)
    return cng_step(fax, cng, <float> energy) | ced_step(fax, ced)


cdef bint is_tone(const bank_view_t* views, int tone) noexcept nogil:
    cdef double re, im, turned_re, turned_im
    cdef int i
    for i in range(2):
        if view_power(&views[i], tone) < MIN_POWER or view_power(&views[i], tone) < PURE * views[i].energy:
            return False
    re = <double> views[1].re[tone] * views[0].re[tone] + <double> views[1].im[tone] * views[0].im[tone]
    im = <double> views[1].re[tone] * views[0].im[tone] - <double> views[1].im[tone] * views[0].re[tone]
    turned_re = re * TURN_COS[tone] + im * TURN_SIN[tone]
    turned_im = im * TURN_COS[tone] - re * TURN_SIN[tone]
    return -MAX_TURN[tone] * turned_re < turned_im < MAX_TURN[tone] * turned_re


cdef int cng_step(fax_t* fax, bint tone, float energy) noexcept nogil:
    fax.cng_known -= fax.cng_known > 0
    if tone:
        if fax.cng_pause > CNG_BREAK_FRAMES:
            fax.cng_frames = 0
            fax.burst_energy = 0
        fax.cng_frames += 1 + fax.cng_pause * (fax.cng_frames > 0)
        fax.cng_pause = 0
        fax.burst_energy = max(energy, fax.burst_energy)
        return FAX_NOTHING
    if fax.cng_frames == 0:
        return FAX_NOTHING
    fax.cng_pause += 1
    # The first frame after the burst may hold the end of it.
    if fax.cng_pause > CNG_BREAK_FRAMES and energy > PAUSE_SHARE * fax.burst_energy:
        fax.cng_frames = 0
        return FAX_NOTHING
    if fax.cng_pause < CNG_PAUSE_FRAMES:
        return FAX_NOTHING
    return cng_judge(fax)


cdef int cng_judge(fax_t* fax) noexcept nogil:
    """A burst and its pause are over."""
    cdef bint burst = CNG_MIN_FRAMES <= fax.cng_frames <= CNG_MAX_FRAMES
    cdef bint known = fax.cng_known > 0
    fax.cng_frames = 0
    fax.cng_pause = 0
    if not burst:
        return FAX_NOTHING
    fax.cng_known = CNG_REPEAT_FRAMES
    return FAX_NOTHING if known else FAX_CNG


cdef int ced_step(fax_t* fax, bint tone) noexcept nogil:
    if not tone:
        if fax.ced_breaks < CED_BREAK_FRAMES:
            fax.ced_breaks += 1
        else:
            fax.ced_frames = 0
            fax.ced_told = 0
        return FAX_NOTHING
    fax.ced_frames += 1 + fax.ced_breaks * (fax.ced_frames > 0)
    fax.ced_breaks = 0
    if fax.ced_told or fax.ced_frames < CED_MIN_FRAMES:
        return FAX_NOTHING
    fax.ced_told = 1
    return FAX_CED


make_tables()


# -- for tests and tools --

SIZE_BYTES = sizeof(fax_t)
NAMES = {FAX_CNG: "cng", FAX_CED: "ced", FAX_CNG | FAX_CED: "cng+ced"}


cdef class Detector:
    """One stream: `feed(pcm)` returns what was told, as (time in ms, name)."""

    cdef fax_t state
    cdef int frames

    def feed(self, const int16_t[::1] pcm) -> list:
        """pcm: int16[160 n] at 8 kHz.  The time is that of the frame's end, over all calls."""
        cdef int told
        cdef Py_ssize_t i
        out = []
        for i in range(pcm.shape[0] // FAX_FRAME):
            told = fax_frame(&self.state, &pcm[i * FAX_FRAME])
            self.frames += 1
            if told:
                out.append((self.frames * FRAME_MS, NAMES[told]))
        return out


def run_many(const int16_t[::1] pcm, int channels, int frames) -> None:
    """For benchmarks: `frames` rounds over all channels, each a frame further into pcm than the one before."""
    cdef fax_t* states = <fax_t*> calloc(channels, sizeof(fax_t))
    cdef Py_ssize_t total = pcm.shape[0] // FAX_FRAME
    cdef Py_ssize_t i, channel
    if states == NULL:
        raise MemoryError
    with nogil:
        for i in range(frames):
            for channel in range(channels):
                fax_frame(&states[channel], &pcm[(i + channel) % total * FAX_FRAME])
    free(states)
