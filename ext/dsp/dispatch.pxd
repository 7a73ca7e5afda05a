"""The kernels: vector loops compiled once an instruction level, chosen at import, reached by one table.

All counts are samples.  No alignment is required; callers may give any n >= 0 (fast when n is a multiple of
160). Pointers of one call never overlap unless said.  Every level gives the same bits.
"""

from libc.stdint cimport int16_t, int32_t, int64_t


cdef enum:
    FIR_TAPS = 28           # taps of one polyphase branch
    FIR_HALF = 14
    BANK_TONES = 8          # frequencies of a bank
    BANK_SAMPLES = 80       # of one window
    BANK_HALF = 40
    BANK_ROW = 16           # two samples of each tone
    DENSE_OUT = 16          # outputs of a layer of a network


cdef extern from *:
    """
    enum { RT_BANK_HALF = 40, RT_BANK_ROW = 16 };
    /* A row is a cache line: a vector as long as that must not lie across two. */
    typedef struct {
        float wave[RT_BANK_HALF / 2][2][RT_BANK_ROW] __attribute__((aligned(64)));
        float window[RT_BANK_HALF];
    } rt_bank;
    """
    # Eight frequencies seen through one symmetric window; n + 1/2 samples from its middle:
    ctypedef struct bank_t "rt_bank":
        float wave[BANK_HALF // 2][2][BANK_ROW]     # [n // 2][0: cosine, 1: sine][2 tone + n % 2]
        float[BANK_HALF] window


ctypedef const int16_t* window_t            # BANK_SAMPLES


# What one window of samples shows: re - j im is the correlation with each frequency, phases as of the window's
# middle; energy is the sum of the squared windowed samples.
ctypedef struct bank_view_t:
    float[BANK_TONES] re
    float[BANK_TONES] im
    float energy


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
    # views[i] = what the bank sees in the BANK_SAMPLES at windows[i], i < count
    void (*bank_view)(
        bank_view_t* views, const window_t* windows, int count, const bank_t* bank
    ) noexcept nogil
    # out[k] += sum x[i] weights[i DENSE_OUT + k], i < n, n even; k < DENSE_OUT
    void (*dense)(float* out, const float* x, const float* weights, int n) noexcept nogil


# The table of the level in force; never NULL.
cdef const kernel_t* kernel_get() noexcept nogil
