"""White noise out of a table made at import: evenly spread samples, read from a place that the seed tells."""

from libc.math cimport lrint, pow
from libc.stdint cimport int16_t, int32_t, uint64_t


cdef enum:
    TABLE_SAMPLES = 8192
    LEVELS = 128
    Q15_BITS = 15
    Q15_HALF = 0x4000
    LOUDEST = 5                         # -dBov: the table's own level, -4.77, rounded down

cdef double FULL_SCALE_RMS = 32768.0    # 0 dBov
cdef uint64_t STEP = 0x9E3779B97F4A7C15         # splitmix64: a counter of this step, its bits mixed, is even noise
cdef int16_t[TABLE_SAMPLES] TABLE
cdef int32_t[LEVELS] GAIN_Q15


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    x = (x ^ x >> 30) * <uint64_t> 0xBF58476D1CE4E5B9
    x = (x ^ x >> 27) * <uint64_t> 0x94D049BB133111EB
    return x ^ x >> 31


cdef void noise_run(int16_t* pcm, int n, int level, uint64_t seed) noexcept nogil:
    cdef const int16_t* at = TABLE + mixed(seed * STEP) % (TABLE_SAMPLES - NOISE_SAMPLES_MAX)
    cdef int32_t gain = GAIN_Q15[level & NOISE_LEVEL_MASK]
    cdef int i
    for i in range(n):
        pcm[i] = <int16_t> (at[i] * gain + Q15_HALF >> Q15_BITS)


cdef void fill() noexcept:
    cdef double power = 0
    cdef double rms
    cdef int i
    for i in range(TABLE_SAMPLES):
        TABLE[i] = <int16_t> (mixed(<uint64_t> (i + 1) * STEP) >> 48)
        power += <double> TABLE[i] * TABLE[i]
    rms = (power / TABLE_SAMPLES) ** 0.5
    for i in range(LEVELS):
        GAIN_Q15[i] = <int32_t> lrint(pow(10, -max(i, LOUDEST) / 20.0) * FULL_SCALE_RMS / rms * (1 << Q15_BITS))


fill()


# -- for tests and tools --

def run(int16_t[::1] pcm, int level, uint64_t seed, int times=1) -> None:
    """Noise into `pcm`, which takes NOISE_SAMPLES_MAX samples at most; `times` over."""
    cdef int n = <int> pcm.shape[0]
    if not 0 < n <= NOISE_SAMPLES_MAX or not 0 <= level < LEVELS:
        raise ValueError("1 to 320 samples, level 0 to 127")
    with nogil:
        for _ in range(times):
            noise_run(&pcm[0], n, level, seed)
