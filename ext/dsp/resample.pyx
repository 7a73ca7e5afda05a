"""Rate change 8 <-> 16 kHz.

One linear-phase low-pass of 56 taps at 16 kHz, minimax by linear programming: 0 to 3.2 kHz within 0.03 dB, from
4.2 kHz at least 65 dB and from 4.6 kHz at least 82 dB down.  Not a half-band filter: that would have to be symmetric
about 4 kHz and so pay with taps and delay for a passband to 3.8 kHz that no narrowband voice needs.  Its even and odd
taps are the two branches; being symmetric, one branch is the mirror of the other.  Delay 27.5 taps: 1.72 ms.

Sums are in float and in one order, so the result does not depend on how the signal is cut into calls.
"""

from libc.stdint cimport int16_t
from libc.string cimport memcpy, memmove

from roomtone.ext.dsp.dispatch cimport FIR_HALF, FIR_TAPS, kernel_get, kernel_t


cdef enum:
    KEPT = FIR_TAPS - 1             # samples of history a branch needs
    CHUNK = 160                     # samples of the lower rate in one turn: 20 ms

# First half of the filter's impulse response.
cdef float[FIR_TAPS] HALF = [
    -0.000098243, -0.000721783, -0.001248120, -0.000307348, 0.001567564, 0.001188932, -0.002005871,
    -0.002755117, 0.001977451, 0.004976326, -0.001032267, -0.007674868, -0.001309839, 0.010468512,
    0.005525413, -0.012739933, -0.012062759, 0.013606157, 0.021391621, -0.011817018, -0.034259018,
    0.005348942, 0.052611966, 0.010326463, -0.083705351, -0.052758347, 0.176721558, 0.417343795,
]
# The branches as dispatch.pxd wants them.  Up: the odd taps of the response, doubled because every second input of the
# higher rate is a zero.  Down: the even taps.  The one is the other's mirror.
cdef float[FIR_HALF] UP_EVEN
cdef float[FIR_HALF] UP_ODD
cdef float[FIR_HALF] DOWN_EVEN
cdef float[FIR_HALF] DOWN_ODD


cdef int split() except -1:
    """Fill the four tables from HALF: tap 2 k of the response is HALF[2 k], its mirror tap is HALF[2 k + 1]."""
    cdef int k
    for k in range(FIR_HALF):
        DOWN_EVEN[k] = (HALF[2 * k] + HALF[2 * k + 1]) / 2
        DOWN_ODD[k] = (HALF[2 * k] - HALF[2 * k + 1]) / 2
        UP_EVEN[k] = 2 * DOWN_EVEN[k]
        UP_ODD[k] = -2 * DOWN_ODD[k]
    return 0


split()


cdef inline void keep(int16_t* history, int kept, const int16_t* in_, int n) noexcept nogil:
    """history[kept]: the last samples of history followed by in_[n]."""
    if n >= kept:
        memcpy(history, in_ + n - kept, kept * sizeof(int16_t))
    else:
        memmove(history, history + n, (kept - n) * sizeof(int16_t))
        memcpy(history + kept - n, in_, n * sizeof(int16_t))


cdef void resample_up2(resample_t* state, int16_t* out, const int16_t* in_, int n) noexcept nogil:
    cdef const kernel_t* kernel = kernel_get()
    cdef float[KEPT + CHUNK] x
    cdef int part
    while n > 0:
        part = n if n < CHUNK else CHUNK
        kernel.widen(x, state.history, KEPT)
        kernel.widen(x + KEPT, in_, part)
        kernel.fir_up2(out, x, UP_EVEN, UP_ODD, part)
        keep(state.history, KEPT, in_, part)
        in_ += part
        out += 2 * part
        n -= part


cdef void resample_down2(resample_t* state, int16_t* out, const int16_t* in_, int n) noexcept nogil:
    cdef const kernel_t* kernel = kernel_get()
    cdef float[KEPT + CHUNK] total
    cdef float[KEPT + CHUNK] difference
    cdef int part
    n //= 2
    while n > 0:
        part = n if n < CHUNK else CHUNK
        kernel.widen2(total, difference, state.history, KEPT)
        kernel.widen2(total + KEPT, difference + KEPT, in_, part)
        kernel.fir_down2(out, total, difference, DOWN_EVEN, DOWN_ODD, part)
        keep(state.history, 2 * KEPT, in_, 2 * part)
        in_ += 2 * part
        out += part
        n -= part


# -- for tests and tools --

DELAY_TAPS = (RESAMPLE_TAPS - 1) / 2        # of the higher rate
SIZE_BYTES = sizeof(resample_t)


def response() -> list[float]:
    """The filter's impulse response, float[56], at the higher rate, DC gain near 1."""
    cdef list half = list(HALF)
    return half + half[::-1]


cdef class Resampler:
    """One stream's rate change in one direction."""

    cdef resample_t state

    def up2(self, int16_t[::1] out, const int16_t[::1] pcm, int times=1) -> None:
        cdef int n = <int> pcm.shape[0]
        if out.shape[0] != 2 * n:
            raise ValueError("out must be twice as long")
        if n:
            with nogil:
                for _ in range(times):
                    resample_up2(&self.state, &out[0], &pcm[0], n)

    def down2(self, int16_t[::1] out, const int16_t[::1] pcm, int times=1) -> None:
        cdef int n = <int> pcm.shape[0]
        if n != 2 * out.shape[0]:
            raise ValueError("out must be half as long")
        if n:
            with nogil:
                for _ in range(times):
                    resample_down2(&self.state, &out[0], &pcm[0], n)
