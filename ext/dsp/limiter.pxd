"""One limiter instead of a clamp: int32 sum -> int16 PCM without clipping."""

from libc.stdint cimport int16_t, int32_t


ctypedef struct limiter_t:          # zeroed is NOT a start state: use limiter_reset
    float gain                      # in force at the end of the last frame; exactly 1 with nothing to do
    float release_per_s             # gain regained a second, set when the gain was last forced down


cdef void limiter_reset(limiter_t* limiter) noexcept nogil
# pcm[i] = sum[i] * gain(i).  Below full scale with gain 1 this is exact (plain narrowing).  A frame whose
# peak exceeds full scale is brought under it without a step: attack inside the frame, recovery within 300 ms.
# n samples at rate_hz.
cdef void limiter_run(limiter_t* limiter, int16_t* pcm, const int32_t* sum, int n, int rate_hz) noexcept nogil
