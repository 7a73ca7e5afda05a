"""The kernels: vector loops compiled once an instruction level, chosen at import, reached by one table.

All counts are samples.  No alignment is required; callers may give any n >= 0 (fast when n is a multiple of
160). Pointers of one call never overlap unless said.  Every level gives the same bits.
"""

from libc.stdint cimport int16_t, int32_t, int64_t


cdef enum:
    FIR_TAPS = 28           # taps of one polyphase branch
    FIR_HALF = 14


ctypedef struct kernel_t:
    # sum[i] += pcm[i]
    void (*mix_add)(int32_t* sum, const int16_t* pcm, int n) noexcept nogil
    # sum[i] += other[i]
    void (*mix_add32)(int32_t* sum, const int32_t* other, int n) noexcept nogil
    # out[i] = sum[i] - own[i]; out may be sum
    void (*mix_minus)(int32_t* out, const int32_t* sum, const int16_t* own, int n) noexcept nogil
    # pcm[i] = saturate16(sum[i])
    void (*mix_narrow)(int16_t* pcm, const int32_t* sum, int n) noexcept nogil
    # max |sum[i]|
    int32_t (*mix_peak)(const int32_t* sum, int n) noexcept nogil
    # sum of squares
    int64_t (*level_energy)(const int16_t* pcm, int n) noexcept nogil
    # pcm[i] = saturate16(pcm[i] * gain), gain ramping linearly from g0 to g1 over n samples
    void (*gain_ramp)(int16_t* pcm, int n, float g0, float g1) noexcept nogil
    # pcm[i] = saturate16(sum[i] * max(floor, gain + step * (i + 1)))
    void (*limit_ramp)(
        int16_t* pcm, const int32_t* sum, int n, float gain, float step, float floor
    ) noexcept nogil
    # out[i] = pcm[i]
    void (*widen)(float* out, const int16_t* pcm, int n) noexcept nogil
    # total[i] = pcm[2 i] + pcm[2 i + 1], difference[i] = pcm[2 i] - pcm[2 i + 1], i < n
    void (*widen2)(float* total, float* difference, const int16_t* pcm, int n) noexcept nogil
    # Two polyphase branches, t and its mirror, as even[k] = (t[k] + t[FIR_TAPS - 1 - k]) / 2 and
    # odd[k] = (t[k] - t[FIR_TAPS - 1 - k]) / 2, k < FIR_HALF.  x has n + FIR_TAPS - 1 values.
    # out[2 i] = sum t[k] x[i + k], out[2 i + 1] = sum mirror[k] x[i + k], i < n
    void (*fir_up2)(int16_t* out, const float* x, const float* even, const float* odd, int n) noexcept nogil
    # out[i] = sum t[k] pcm[2 (i + k)] + mirror[k] pcm[2 (i + k) + 1], i < n, of what widen2 made
    void (*fir_down2)(
        int16_t* out, const float* total, const float* difference, const float* even, const float* odd, int n
    ) noexcept nogil


# The table of the level in force; never NULL.
cdef const kernel_t* kernel_get() noexcept nogil
