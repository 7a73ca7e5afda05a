"""The vector loops of dsp: plain loops over samples that the compiler turns into vector code.

Compiled once an instruction level (ext/base/cpu chooses, ext/dsp/dispatch holds the table).  No branches and
no tables inside a loop, and float sums in one fixed order: every level gives the same bits.
"""

from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint32_t

from roomtone.ext.dsp.dispatch cimport (
    BANK_HALF, BANK_ROW, BANK_SAMPLES, BANK_TONES, DENSE_OUT, FIR_HALF, FIR_TAPS, bank_t, bank_view_t, kernel_t,
    window_t,
)


cdef extern from *:
    """
    /* Nearest integer, halves to even: one vector instruction under gcc. */
    #ifdef __clang__
    #define rt_nearest(x) ((int) __builtin_rintf(x))
    #else
    #define rt_nearest(x) __builtin_irintf(x)
    #endif
    typedef short* __restrict rt_only_int16;

    /* Eight floats that the compiler keeps in as many registers as the level needs: left to itself it does not
       see that sums of eight tones side by side are vectors. */
    typedef float rt_lanes __attribute__((vector_size(32), aligned(4), may_alias));
    typedef float rt_lanes16 __attribute__((vector_size(64), aligned(4), may_alias));
    #define rt_lanes_clear(sum) ((sum) = (rt_lanes) {0})
    #define rt_lanes16_clear(sum) ((sum) = (rt_lanes16) {0})
    #define rt_lanes16_add(sum, x, p) ((sum) += (x) * *(const rt_lanes16*) (p))
    #define rt_lanes16_put(p, a, b) (*(rt_lanes16*) (p) += (a) + (b))
    #define rt_lanes_add_square(sum, p) ((sum) += *(const rt_lanes*) (p) * *(const rt_lanes*) (p))
    /* Reversed as many at once as the level turns round in one instruction. */
    #ifdef __AVX__
    typedef int rt_order __attribute__((vector_size(32)));
    #define RT_REVERSED ((rt_order) {7, 6, 5, 4, 3, 2, 1, 0})
    #else
    typedef int rt_order __attribute__((vector_size(16)));
    #define RT_REVERSED ((rt_order) {3, 2, 1, 0})
    #endif
    typedef float rt_fold __attribute__((vector_size(sizeof(rt_order)), aligned(4), may_alias));
    static inline void rt_window_fold(
            float* even, float* odd, const float* x, const float* window, int half) {
        enum { LANES = sizeof(rt_fold) / sizeof(float) };
        for (int k = 0; k < half; k += LANES) {
            rt_fold left = __builtin_shuffle(*(const rt_fold*) (x + half - LANES - k), RT_REVERSED);
            rt_fold right = *(const rt_fold*) (x + half + k);
            rt_fold weight = *(const rt_fold*) (window + k);
            *(rt_fold*) (even + k) = (right + left) * weight;
            *(rt_fold*) (odd + k) = (right - left) * weight;
        }
    }
    #define rt_lanes_put(p, a, b) (*(rt_lanes*) (p) = (a) + (b))

    /* The sums of a bank fill one to four registers, by the level.  Where there are enough of them, two windows share
       what is read of the bank; their additions do not wait for each other's either. */
    #if defined(__AVX512F__)
    enum { RT_WIDE = 16, RT_ABREAST = 2 };
    #elif defined(__AVX__)
    enum { RT_WIDE = 8, RT_ABREAST = 2 };
    #else
    enum { RT_WIDE = 4, RT_ABREAST = 1 };
    #endif
    enum { RT_PARTS = RT_BANK_ROW / RT_WIDE };
    typedef float rt_wide __attribute__((vector_size(4 * RT_WIDE), aligned(4), may_alias));
    typedef long long rt_wide_pairs __attribute__((vector_size(4 * RT_WIDE)));
    typedef long long rt_pair __attribute__((aligned(4), may_alias));
    typedef float rt_folded[2][RT_BANK_HALF];
    typedef float rt_bank_sums[2][RT_BANK_ROW];
    /* Inline, so that `windows` is a constant and all sums stay in registers. */
    static inline __attribute__((always_inline)) void rt_bank_add(
            rt_bank_sums* out, const rt_folded* folded, const rt_bank* bank, const int windows) {
        rt_wide sums[RT_ABREAST][2][RT_PARTS] = {};
        for (int k = 0; k < RT_BANK_HALF; k += 2) {
            #pragma GCC unroll 2
            for (int half = 0; half < 2; half++) {
                #pragma GCC unroll 4
                for (int part = 0; part < RT_PARTS; part++) {
                    rt_wide row = *(const rt_wide*) (bank->wave[k / 2][half] + part * RT_WIDE);
                    #pragma GCC unroll 2
                    for (int i = 0; i < windows; i++) {
                        rt_wide_pairs both = *(const rt_pair*) (folded[i][half] + k) + (rt_wide_pairs) {};
                        sums[i][half][part] += (rt_wide) both * row;
                    }
                }
            }
        }
        for (int i = 0; i < windows; i++)
            memcpy(out[i], sums[i], sizeof(sums[i]));
    }
    """
    int32_t rt_nearest(float x) noexcept nogil
    ctypedef int16_t* only_int16_t "rt_only_int16"      # nothing else points there
    ctypedef struct lanes_t "rt_lanes":
        pass
    ctypedef struct lanes16_t "rt_lanes16":
        pass
    void lanes_clear "rt_lanes_clear"(lanes_t sum) noexcept nogil
    void lanes16_clear "rt_lanes16_clear"(lanes16_t sum) noexcept nogil
    void lanes16_add "rt_lanes16_add"(lanes16_t sum, float x, const float* p) noexcept nogil
    void lanes16_put "rt_lanes16_put"(float* p, lanes16_t a, lanes16_t b) noexcept nogil
    void lanes_add_square "rt_lanes_add_square"(lanes_t sum, const float* p) noexcept nogil
    # even[k], odd[k] = (x[half + k] +- x[half - 1 - k]) * window[k], k < half; half a multiple of 8
    void window_fold "rt_window_fold"(
        float* even, float* odd, const float* x, const float* window, int half
    ) noexcept nogil
    void lanes_put "rt_lanes_put"(float* p, lanes_t a, lanes_t b) noexcept nogil
    const int ABREAST "RT_ABREAST"
    ctypedef float[2][BANK_HALF] folded_t "rt_folded"
    ctypedef float[2][BANK_ROW] bank_sums_t "rt_bank_sums"
    # out[i][j][2 t + m] = sum folded[i][j][n + m] wave[n / 2][j][2 t + m] over even n; i < windows, 1 or ABREAST
    void bank_add "rt_bank_add"(
        bank_sums_t* out, const folded_t* folded, const bank_t* bank, int windows
    ) noexcept nogil


cdef enum:
    INT16_LOW = -32768
    INT16_HIGH = 32767
    ENERGY_BLOCK = 160              # samples; 160 products under 2^23 stay under 2^31
    LOW_BYTE = 0xFF
    MOST_ABREAST = 2                # windows of a bank


cdef inline int16_t narrow(int32_t value) noexcept nogil:
    """Saturate to 16 bits."""
    value = value if value < INT16_HIGH else INT16_HIGH
    value = value if value > INT16_LOW else INT16_LOW
    return <int16_t> value


cdef void mix_add(int32_t* sum_, const int16_t* pcm, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        sum_[i] += pcm[i]


cdef void mix_add32(int32_t* sum_, const int32_t* other, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        sum_[i] += other[i]


cdef void mix_minus(int32_t* out, const int32_t* sum_, const int16_t* own, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        out[i] = sum_[i] - own[i]


cdef void mix_narrow(int16_t* pcm, const int32_t* sum_, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        pcm[i] = narrow(sum_[i])


cdef int32_t mix_peak(const int32_t* sum_, int n) noexcept nogil:
    """max |sum|; INT32_MAX for INT32_MIN, which has no positive twin."""
    cdef uint32_t peak = 0
    cdef uint32_t magnitude
    cdef int i
    for i in range(n):
        magnitude = -<uint32_t> sum_[i] if sum_[i] < 0 else <uint32_t> sum_[i]
        peak = magnitude if magnitude > peak else peak
    return <int32_t> peak if peak < <uint32_t> INT32_MAX else INT32_MAX


cdef int64_t level_energy(const int16_t* pcm, int n) noexcept nogil:
    """x * x as x * (256 * high + low): both are dot products of 16-bit values with 32-bit sums, what the
    processor has an instruction for."""
    cdef int64_t energy = 0
    cdef int32_t by_high, by_low
    cdef int16_t high, low
    cdef int i, part
    while n > 0:
        part = n if n < ENERGY_BLOCK else ENERGY_BLOCK
        by_high = 0
        by_low = 0
        for i in range(part):
            high = pcm[i] >> 8
            low = pcm[i] & LOW_BYTE
            by_high += <int32_t> pcm[i] * high
            by_low += <int32_t> pcm[i] * low
        energy += (<int64_t> by_high << 8) + by_low
        pcm += part
        n -= part
    return energy


cdef void gain_ramp(int16_t* pcm, int n, float g0, float g1) noexcept nogil:
    """The gain of sample i is g0 + (g1 - g0) * (i + 1) / n: the last one has g1, so that ramps join without a
    step."""
    cdef float step = (g1 - g0) / <float> n
    cdef int i
    for i in range(n):
        pcm[i] = narrow(rt_nearest(<float> pcm[i] * (g0 + step * <float> (i + 1))))


cdef void limit_ramp(
    int16_t* pcm, const int32_t* sum_, int n, float gain, float step, float floor
) noexcept nogil:
    cdef float value
    cdef int i
    for i in range(n):
        value = gain + step * <float> (i + 1)
        value = value if value > floor else floor
        pcm[i] = narrow(rt_nearest(<float> sum_[i] * value))


cdef void widen(float* out, const int16_t* pcm, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        out[i] = pcm[i]


# Indices of 64 bits below: the compiler must know that 2 * i does not wrap.

cdef void widen2(float* total, float* difference, const int16_t* pcm, int n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        total[i] = <float> (<int32_t> pcm[2 * i] + pcm[2 * i + 1])
        difference[i] = <float> (<int32_t> pcm[2 * i] - pcm[2 * i + 1])


cdef void fir_up2(int16_t* out, const float* x, const float* even, const float* odd, int n) noexcept nogil:
    """A filter and its mirror are the sum and the difference of an even and an odd one; each of these needs
    half the products, because its taps pair up."""
    cdef float by_even, by_odd, left, right
    cdef Py_ssize_t i, k
    for i in range(n):
        by_even = 0
        by_odd = 0
        for k in range(FIR_HALF):
            left = x[i + k]
            right = x[i + FIR_TAPS - 1 - k]
            by_even += even[k] * (left + right)
            by_odd += odd[k] * (left - right)
        out[2 * i] = narrow(rt_nearest(by_even + by_odd))
        out[2 * i + 1] = narrow(rt_nearest(by_even - by_odd))


cdef void fir_down2(
    only_int16_t out, const float* total, const float* difference, const float* even, const float* odd, int n
) noexcept nogil:
    cdef float by_even, by_odd
    cdef Py_ssize_t i, k
    for i in range(n):
        by_even = 0
        by_odd = 0
        for k in range(FIR_HALF):
            by_even += even[k] * (total[i + k] + total[i + FIR_TAPS - 1 - k])
        for k in range(FIR_HALF):       # apart, or the compiler declines to unroll and so to vectorise over i
            by_odd += odd[k] * (difference[i + k] - difference[i + FIR_TAPS - 1 - k])
        out[i] = narrow(rt_nearest(by_even + by_odd))


cdef void bank_view(
    bank_view_t* views, const window_t* windows, int count, const bank_t* bank
) noexcept nogil:
    """The window and the cosines are even about the middle, the sines odd: the sum and the difference of the
    two halves need half the products.  Two sums a part, side by side: one of every second sample."""
    cdef float[BANK_SAMPLES] x
    cdef folded_t[MOST_ABREAST] folded
    cdef bank_sums_t[MOST_ABREAST] sums
    cdef Py_ssize_t i, k
    while count > 0:
        for i in range(min(count, ABREAST)):
            widen(x, windows[i], BANK_SAMPLES)
            window_fold(folded[i][0], folded[i][1], x, bank.window, BANK_HALF)
        if count >= ABREAST:
            bank_add(sums, folded, bank, ABREAST)
        else:
            bank_add(sums, folded, bank, 1)
        for i in range(min(count, ABREAST)):
            for k in range(BANK_TONES):
                views[i].re[k] = sums[i][0][2 * k] + sums[i][0][2 * k + 1]
                views[i].im[k] = sums[i][1][2 * k] + sums[i][1][2 * k + 1]
            views[i].energy = energy_of(folded[i])
        views += ABREAST
        windows += ABREAST
        count -= ABREAST


cdef inline float energy_of(const folded_t folded) noexcept nogil:
    cdef float[BANK_TONES] squares
    cdef lanes_t even, odd
    cdef Py_ssize_t k
    lanes_clear(even)
    lanes_clear(odd)
    for k in range(BANK_HALF // BANK_TONES):
        lanes_add_square(even, &folded[0][k * BANK_TONES])
        lanes_add_square(odd, &folded[1][k * BANK_TONES])
    lanes_put(squares, even, odd)
    for k in range(1, BANK_TONES):
        squares[0] += squares[k]
    return squares[0] / 2


cdef void dense(float* out, const float* x, const float* weights, int n) noexcept nogil:
    cdef lanes16_t sum0, sum1
    cdef Py_ssize_t i
    lanes16_clear(sum0)
    lanes16_clear(sum1)
    for i in range(0, n, 2):
        lanes16_add(sum0, x[i], weights + i * DENSE_OUT)
        lanes16_add(sum1, x[i + 1], weights + (i + 1) * DENSE_OUT)
    lanes16_put(out, sum0, sum1)


cdef kernel_t TABLE = kernel_t(
    mix_add=mix_add,
    mix_add32=mix_add32,
    mix_minus=mix_minus,
    mix_narrow=mix_narrow,
    mix_peak=mix_peak,
    level_energy=level_energy,
    gain_ramp=gain_ramp,
    limit_ramp=limit_ramp,
    widen=widen,
    widen2=widen2,
    fir_up2=fir_up2,
    fir_down2=fir_down2,
    bank_view=bank_view,
    dense=dense,
)


def table_address() -> int:
    """Address of the kernel_t of this level.  Constant; lives as long as the process."""
    return <size_t> &TABLE
