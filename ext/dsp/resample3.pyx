"""One linear-phase filter, a windowed sinc at 48 kHz (Kaiser window; Oppenheim and Schafer, Discrete-Time Signal
Processing, 7.6), cut into three phases.

The loops run over the samples inside and over the taps outside: nothing is summed up across a vector, so the compiler
vectorises them without being allowed to change the order of a sum.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport M_PI, lrintf, sin, sqrt
from libc.stdint cimport int16_t, uint8_t
from libc.string cimport memmove, memset


cdef enum:
    RATIO = 3
    RATE_HZ = 48000
    PASS_HZ = 6800
    STOP_HZ = 8200
    STOP_DB = 75
    PHASE_TAPS = 54
    TAPS_ = RATIO * PHASE_TAPS
    PAST = PHASE_TAPS - 1               # samples at 16 kHz that the filter looks back on
    BLOCK = 320                         # samples at 16 kHz worked on at once: 20 ms

cdef double BETA = 0.1102 * (STOP_DB - 8.7)
cdef float[RATIO][PHASE_TAPS] DOWN      # taps 0, 3, 6 ...; 1, 4, 7 ...; 2, 5, 8 ...: together they sum up to one
cdef float[RATIO][PHASE_TAPS] UP        # the same times three: two of three samples that go in are zero


cdef double bessel_i0(double x) noexcept:
    """Modified Bessel function of order zero, by its power series."""
    cdef double term = 1.0
    cdef double total = 1.0
    cdef int k = 1
    while term > 1e-12 * total:
        term *= (x / (2 * k)) * (x / (2 * k))
        total += term
        k += 1
    return total


cdef void design() noexcept:
    cdef double[TAPS_] taps
    cdef double cutoff = <double> (PASS_HZ + STOP_HZ) / RATE_HZ
    cdef double total = 0.0
    cdef double at
    cdef double edge
    cdef int i
    for i in range(TAPS_):
        at = i - (TAPS_ - 1) / 2.0      # never zero: there is an even number of taps
        edge = 2 * at / (TAPS_ - 1)
        taps[i] = sin(M_PI * cutoff * at) / (M_PI * at) * bessel_i0(BETA * sqrt(1 - edge * edge))
        total += taps[i]
    for i in range(TAPS_):
        DOWN[i % RATIO][i // RATIO] = <float> (taps[i] / total)
        UP[i % RATIO][i // RATIO] = <float> (RATIO * taps[i] / total)


design()
TAPS = TAPS_
DELAY_MS = (TAPS_ - 1) / 2.0 * 1000 / RATE_HZ


cdef void filter_add(float* out, const float* line, const float* taps, int n) noexcept nogil:
    """out[n] += line[n + PAST] through one phase."""
    cdef int j
    cdef int i
    cdef const float* at
    cdef float tap
    for j in range(PHASE_TAPS):
        at = line + PAST - j
        tap = taps[j]
        for i in range(n):
            out[i] += tap * at[i]


cdef inline int16_t rounded(float sample) noexcept nogil:
    if sample > 32767.0:
        return 32767
    if sample < -32768.0:
        return -32768
    return <int16_t> lrintf(sample)


cdef class Decimator:
    """48 kHz in, 16 kHz out.  See resample3.pyi."""

    cdef float[RATIO][PAST + BLOCK] line

    def __call__(self, const uint8_t[::1] pcm not None):
        cdef int n = <int> pcm.shape[0] // (2 * RATIO)
        cdef bytes out
        cdef int done = 0
        if pcm.shape[0] != n * 2 * RATIO:
            raise ValueError("not a multiple of three samples")
        out = PyBytes_FromStringAndSize(NULL, 2 * n)
        while done < n:
            self.block(<int16_t*> PyBytes_AS_STRING(out) + done, <const int16_t*> &pcm[0] + RATIO * done,
                       min(n - done, <int> BLOCK))
            done += BLOCK
        return out

    cdef void block(self, int16_t* out, const int16_t* pcm, int n) noexcept nogil:
        cdef float[BLOCK] sums
        cdef int i
        cdef int k
        memset(sums, 0, sizeof(sums))
        for k in range(RATIO):
            for i in range(n):
                self.line[k][PAST + i] = pcm[RATIO * i + k]
            filter_add(sums, self.line[k], DOWN[RATIO - 1 - k], n)     # the newest of three meets phase 0
            memmove(self.line[k], self.line[k] + n, PAST * sizeof(float))
        for i in range(n):
            out[i] = rounded(sums[i])


cdef class Interpolator:
    """16 kHz in, 48 kHz out.  See resample3.pyi."""

    cdef float[PAST + BLOCK] line

    def __call__(self, const uint8_t[::1] pcm not None):
        cdef int n = <int> pcm.shape[0] // 2
        cdef bytes out
        cdef int done = 0
        if pcm.shape[0] != n * 2:
            raise ValueError("half a sample")
        out = PyBytes_FromStringAndSize(NULL, 2 * RATIO * n)
        while done < n:
            self.block(<int16_t*> PyBytes_AS_STRING(out) + RATIO * done, <const int16_t*> &pcm[0] + done,
                       min(n - done, <int> BLOCK))
            done += BLOCK
        return out

    cdef void block(self, int16_t* out, const int16_t* pcm, int n) noexcept nogil:
        cdef float[BLOCK] sums
        cdef int i
        cdef int k
        for i in range(n):
            self.line[PAST + i] = pcm[i]
        for k in range(RATIO):
            memset(sums, 0, sizeof(sums))
            filter_add(sums, self.line, UP[k], n)
            for i in range(n):
                out[RATIO * i + k] = rounded(sums[i])
        memmove(self.line, self.line + n, PAST * sizeof(float))


def swapped(const uint8_t[::1] pcm not None):
    """16-bit samples in the other byte order."""
    cdef Py_ssize_t i
    cdef Py_ssize_t n = pcm.shape[0] // 2
    cdef bytes out = PyBytes_FromStringAndSize(NULL, 2 * n)
    cdef uint8_t* at = <uint8_t*> PyBytes_AS_STRING(out)
    for i in range(n):
        at[2 * i] = pcm[2 * i + 1]
        at[2 * i + 1] = pcm[2 * i]
    return out
