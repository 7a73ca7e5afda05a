"""The tables of a bank, and a bank for tests."""

from libc.math cimport M_PI, cos, sin
from libc.stdint cimport int16_t

from roomtone.ext.dsp.dispatch cimport BANK_HALF, BANK_SAMPLES, BANK_TONES, kernel_t, window_t

from roomtone.ext.base.cpu cimport kernel_table


cdef double RATE_HZ = 8000


cdef void bank_make(bank_t* bank, const double* hz) noexcept nogil:
    cdef double place, angle
    cdef int n, k
    for n in range(BANK_HALF):
        place = n + 0.5                 # samples from the window's middle, which lies between two
        bank.window[n] = <float> (0.5 + 0.5 * cos(M_PI * place / BANK_HALF))
        for k in range(BANK_TONES):
            angle = 2 * M_PI * hz[k] / RATE_HZ * place
            bank.wave[n // 2][0][2 * k + n % 2] = <float> cos(angle) if hz[k] > 0 else 0
            bank.wave[n // 2][1][2 * k + n % 2] = <float> sin(angle) if hz[k] > 0 else 0


# -- for tests and tools --

cdef enum:
    TEST_VIEWS = 16


def look(const int16_t[::1] pcm, hz, int stride, str level_name="", int times=1) -> list:
    """[(eight complex numbers, energy)] of each window of pcm, at most TEST_VIEWS of them."""
    cdef double[BANK_TONES] tones
    cdef bank_t bank
    cdef bank_view_t[TEST_VIEWS] views
    cdef window_t[TEST_VIEWS] windows
    cdef const kernel_t* kernel = <const kernel_t*> kernel_table("roomtone.ext.dsp.kernel", level_name)
    cdef int count = <int> (pcm.shape[0] - BANK_SAMPLES) // stride + 1
    cdef int i
    for i in range(BANK_TONES):
        tones[i] = hz[i]
    if not 0 < count <= TEST_VIEWS:
        raise ValueError(f"{count} windows")
    for i in range(count):
        windows[i] = &pcm[i * stride]
    bank_make(&bank, tones)
    with nogil:
        for _ in range(times):
            kernel.bank_view(views, windows, count, &bank)
    return [
        ([complex(views[i].re[k], -views[i].im[k]) for k in range(BANK_TONES)], views[i].energy)
        for i in range(count)
    ]
