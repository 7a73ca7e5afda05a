"""The kernel table of the instruction level in force, chosen at import."""

from libc.stdint cimport int16_t, int32_t

from roomtone.ext.base.cpu cimport kernel_table

from roomtone.ext.base import cpu


cdef str MODULE = "roomtone.ext.dsp.kernel"
cdef str LEVEL = cpu.level()
cdef const kernel_t* KERNEL = <const kernel_t*> kernel_table(MODULE, LEVEL)


cdef const kernel_t* kernel_get() noexcept nogil:
    return KERNEL


def level() -> str:
    """The instruction level in force."""
    return LEVEL


# -- for tests and tools --

cdef enum:
    FIR_TEST_SAMPLES = 1000


cdef int length_of(Py_ssize_t a, Py_ssize_t b) except -1:
    """The common length of two buffers that must be equally long."""
    if a != b:
        raise ValueError(f"lengths differ: {a} and {b}")
    return <int> a


cdef const kernel_t* table_of(str level_name) except NULL:
    return <const kernel_t*> kernel_table(MODULE, level_name)


def mix_add(int32_t[::1] sum_, const int16_t[::1] pcm, str level_name="", int times=1) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = length_of(sum_.shape[0], pcm.shape[0])
    if n:
        with nogil:
            for _ in range(times):
                kernel.mix_add(&sum_[0], &pcm[0], n)


def mix_add32(int32_t[::1] sum_, const int32_t[::1] other, str level_name="", int times=1) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = length_of(sum_.shape[0], other.shape[0])
    if n:
        with nogil:
            for _ in range(times):
                kernel.mix_add32(&sum_[0], &other[0], n)


def mix_minus(
    int32_t[::1] out, const int32_t[::1] sum_, const int16_t[::1] own, str level_name="", int times=1
) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = length_of(length_of(out.shape[0], sum_.shape[0]), own.shape[0])
    if n:
        with nogil:
            for _ in range(times):
                kernel.mix_minus(&out[0], &sum_[0], &own[0], n)


def mix_narrow(int16_t[::1] pcm, const int32_t[::1] sum_, str level_name="", int times=1) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = length_of(pcm.shape[0], sum_.shape[0])
    if n:
        with nogil:
            for _ in range(times):
                kernel.mix_narrow(&pcm[0], &sum_[0], n)


def mix_peak(const int32_t[::1] sum_, str level_name="", int times=1) -> int:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = <int> sum_.shape[0]
    cdef int32_t peak = 0
    if n:
        with nogil:
            for _ in range(times):
                peak = kernel.mix_peak(&sum_[0], n)
    return peak


def level_energy(const int16_t[::1] pcm, str level_name="", int times=1) -> int:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = <int> pcm.shape[0]
    cdef long long energy = 0
    if n:
        with nogil:
            for _ in range(times):
                energy = kernel.level_energy(&pcm[0], n)
    return energy


def gain_ramp(int16_t[::1] pcm, float g0, float g1, str level_name="", int times=1) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = <int> pcm.shape[0]
    if n:
        with nogil:
            for _ in range(times):
                kernel.gain_ramp(&pcm[0], n, g0, g1)


def limit_ramp(
    int16_t[::1] pcm,
    const int32_t[::1] sum_,
    float gain,
    float step,
    float floor,
    str level_name="",
    int times=1,
) -> None:
    cdef const kernel_t* kernel = table_of(level_name)
    cdef int n = length_of(pcm.shape[0], sum_.shape[0])
    if n:
        with nogil:
            for _ in range(times):
                kernel.limit_ramp(&pcm[0], &sum_[0], n, gain, step, floor)


def fir_up2(
    int16_t[::1] out, const int16_t[::1] pcm, const float[::1] even, const float[::1] odd, str level_name=""
) -> None:
    """pcm: int16[n + FIR_TAPS - 1], out: int16[2 n], n up to FIR_TEST_SAMPLES."""
    cdef const kernel_t* kernel = table_of(level_name)
    cdef float[FIR_TEST_SAMPLES + FIR_TAPS] x
    cdef int n = length_of(out.shape[0] // 2, pcm.shape[0] - (FIR_TAPS - 1))
    length_of(length_of(even.shape[0], odd.shape[0]), FIR_HALF)
    if not 0 < n <= FIR_TEST_SAMPLES:
        raise ValueError(f"cannot filter {n} samples")
    kernel.widen(x, &pcm[0], n + FIR_TAPS - 1)
    kernel.fir_up2(&out[0], x, &even[0], &odd[0], n)


def fir_down2(
    int16_t[::1] out, const int16_t[::1] pcm, const float[::1] even, const float[::1] odd, str level_name=""
) -> None:
    """pcm: int16[2 (n + FIR_TAPS - 1)], out: int16[n], n up to FIR_TEST_SAMPLES."""
    cdef const kernel_t* kernel = table_of(level_name)
    cdef float[FIR_TEST_SAMPLES + FIR_TAPS] total
    cdef float[FIR_TEST_SAMPLES + FIR_TAPS] difference
    cdef int n = length_of(out.shape[0], pcm.shape[0] // 2 - (FIR_TAPS - 1))
    length_of(length_of(even.shape[0], odd.shape[0]), FIR_HALF)
    if not 0 < n <= FIR_TEST_SAMPLES:
        raise ValueError(f"cannot filter {n} samples")
    kernel.widen2(total, difference, &pcm[0], n + FIR_TAPS - 1)
    kernel.fir_down2(&out[0], total, difference, &even[0], &odd[0], n)
