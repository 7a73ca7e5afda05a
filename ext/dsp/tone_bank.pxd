"""Frequencies seen through a 10 ms Hann window: what the detectors of tones and of speech look through.

A frequency 200 Hz and more away is 31 dB down, so the tones of a pair do not disturb each other; the phase moves
on from window to window by exactly the frequency, which measures it far finer than the window is sharp.
"""

from libc.stdint cimport int16_t

from roomtone.ext.dsp.dispatch cimport BANK_TONES, bank_t, bank_view_t


# A bank at 8 kHz of the BANK_TONES frequencies hz; 0 stays empty.
cdef void bank_make(bank_t* bank, const double* hz) noexcept nogil


cdef inline float view_power(const bank_view_t* view, int tone) noexcept nogil:
    return view.re[tone] * view.re[tone] + view.im[tone] * view.im[tone]


# view_power of a sine of frequency hz[tone] is BANK_POWER times its mean square; its energy BANK_ENERGY times.
cdef enum:
    BANK_POWER = 800        # half the squared sum of the window, 40 * 40 / 2
    BANK_ENERGY = 30        # sum of the window's squares
