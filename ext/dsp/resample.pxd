"""Fixed 1:2 and 2:1 rate change (8 <-> 16 kHz) by a polyphase FIR; state per stream and direction."""

from libc.stdint cimport int16_t


cdef enum:
    RESAMPLE_TAPS = 56          # of the filter, at the higher rate; the history kept is shorter


ctypedef struct resample_t:     # zeroed is a good start state
    int16_t history[RESAMPLE_TAPS]


# out[2n] from in[n].  Passband ripple 0.1 dB to 0.8 of 4 kHz, images at most -75 dB beyond 1.15 of 4 kHz;
# delay 1.7 ms.
cdef void resample_up2(resample_t* state, int16_t* out, const int16_t* in_, int n) noexcept nogil
# out[n / 2] from in[n], n even.
cdef void resample_down2(resample_t* state, int16_t* out, const int16_t* in_, int n) noexcept nogil
