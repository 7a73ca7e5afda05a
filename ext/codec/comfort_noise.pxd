"""Comfort noise (RFC 3389): the level that a packet tells, as sound.

    0 1 2 3 4 5 6 7
   +-+-+-+-+-+-+-+-+-+-+-
   |0|   level     | reflection coefficients, a byte each, as many as there are
   +-+-+-+-+-+-+-+-+-+-+-

level: 0 to 127, -dBov.  0 dBov is the square wave that just fits, for 16 bits an rms of 32768, and 6.18 dBm0.  The
coefficients would colour the noise; it is white here whatever they say: at the levels in question nobody tells.
"""

from libc.stdint cimport int16_t, uint64_t


cdef enum:
    NOISE_LEVEL_MASK = 0x7F
    NOISE_SAMPLES_MAX = 320     # made at once


# int16[n], n up to NOISE_SAMPLES_MAX: white noise of -level dBov, whatever the rate.  The same seed gives the same
# samples, another one others.  Levels above -5 dBov are made as -5: evenly spread samples are no louder.
cdef void noise_run(int16_t* pcm, int n, int level, uint64_t seed) noexcept nogil
