"""Call-progress tones and sines, -15 dBm0 each frequency."""

from libc.stdint cimport int16_t, int64_t, uint32_t


cdef enum:
    TONE_RINGBACK = 0       # 440 + 480 Hz, 2 s on, 4 s off
    TONE_RINGING = 1        # 440 + 480 Hz without pause
    TONE_BUSY = 2           # 480 + 620 Hz, 0.5 s on, 0.5 s off
    TONE_BEEP = 3           # 1000 Hz
    TONE_SINE = 4           # any
    TONE_SILENCE = 5


ctypedef struct tone_t:     # position-free; 64 bytes at most
    uint32_t kind
    uint32_t rate_hz
    float step0             # radians a sample
    float step1             # 0: one frequency
    double phase0
    double phase1
    uint32_t on_samples     # 0: no cadence
    uint32_t off_samples
    uint32_t position       # in the cadence
    int64_t left_samples    # -1: for ever


# duration_ms < 0: for ever.  frequency_hz is used by TONE_SINE only; at or above rate/2 the tone is silence.
cdef void tone_start(
    tone_t* tone, int kind, double frequency_hz, int rate_hz, int64_t duration_ms
) noexcept nogil
# Change of the bus's rate between frames: phases and remaining time carry on.
cdef void tone_set_rate(tone_t* tone, int rate_hz) noexcept nogil
# Fill pcm with n samples (silence after the end; 2 ms ramps at both ends of each burst).  1 while it lasts, 0
# when over.
cdef int tone_run(tone_t* tone, int16_t* pcm, int n) noexcept nogil
