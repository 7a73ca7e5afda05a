"""Fax tones (ITU-T T.30, V.25, V.8): CNG of a calling and CED, ANS or ANSam of an answering fax or modem."""

from libc.stdint cimport int16_t, int32_t


cdef enum:
    FAX_NOTHING = 0
    FAX_CNG = 1             # 1100 Hz, 0.5 s, then a pause
    FAX_CED = 2             # 2100 Hz for a second, with or without phase reversals and 15 Hz AM

    FAX_FRAME = 160         # samples of a frame


ctypedef struct fax_t:      # position-free.  All zero is the state after fax_reset.
    int32_t cng_frames      # of the burst
    int32_t cng_pause       # frames since it
    int32_t cng_known       # frames for which bursts are the repetition of one told
    int32_t ced_frames      # of the tone, breaks included
    int32_t ced_breaks      # frames without it in a row
    int32_t ced_told
    float burst_energy      # of a frame of the burst


cdef void fax_reset(fax_t* fax) noexcept nogil
# One frame of 160 samples at 8 kHz.  Each of FAX_CNG and FAX_CED once per call signal, not per burst: CNG again
# after 5 s without a burst, CED after the tone has stopped.
cdef int fax_frame(fax_t* fax, const int16_t* pcm8) noexcept nogil
