"""Rate change 8 <-> 16 kHz.

One linear-phase low-pass of 56 taps at 16 kHz, minimax by linear programming: 0 to 3.2 kHz within 0.03 dB,
from 4.2 kHz at least 66 dB and from 4.6 kHz at least 88 dB down.  Not a half-band filter: that would have to
be symmetric about 4 kHz and so pay with taps and delay for a passband to 3.8 kHz that no narrowband voice
needs.  Its even and odd taps are the two branches; being symmetric, one branch is the mirror of the other.
Delay 27.5 taps: 1.72 ms.

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
    -0.000238687, -0.000968019, -0.001323411, -0.000075306, 0.001745539, 0.000940944, -0.002317895,
    -0.002526592, 0.002459964, 0.004839931, -0.001681884, -0.007713820, -0.000534312, 0.010756314,
    0.004700690, -0.013325834, -0.011292618, 0.014501548, 0.020793814, -0.012984533, -0.033942121,
    0.006706637, 0.052658568, 0.008898054, -0.084154432, -0.051399732, 0.177556569, 0.416190698,
]
# The branches as dispatch.pxd wants them.  Up: the odd taps of the response, doubled because every second
# input of the higher rate is a zero.  Down: the even taps.  The one is the other's mirror.
cdef float[FIR_HALF] UP_EVEN
cdef float[FIR_HALF] UP_ODD
cdef float[FIR_HALF] DOWN_EVEN
cdef float[FIR_HALF] DOWN_ODD


cdef int split() except -1:
    """Fill the four tables from HALF: tap 2 k of the response is HALF[2 k], its mirror HALF[2 k + 1]."""
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

DELAY_TAPS = (RESAMPLE_TAPS - 1) / 2.0      # of the higher rate
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
