"""In-band DTMF (ITU-T Q.23, Q.24): keys from frames of 160 samples at 8 kHz."""

from libc.stdint cimport int16_t, uint32_t

from roomtone.ext.dsp.dispatch cimport bank_view_t


cdef enum:
    DTMF_NOTHING = 0
    DTMF_BEGIN = 1          # a key is certain; `digit` tells
    DTMF_END = 2            # it is over; everything is known

    DTMF_FRAME = 160        # samples of a frame
    DTMF_KEPT = 80          # samples looked at again with the next frame


ctypedef struct dtmf_press_t:
    int digit               # event code of RFC 4733: 0..9, 10 *, 11 #, 12..15 A..D
    int duration_ms         # of the tone; at DTMF_BEGIN so far
    float level_dbm0        # of both tones together


ctypedef struct dtmf_candidate_t:
    uint32_t pair           # low tone * 4 + high tone + 1; 0: none
    uint32_t pressed        # DTMF_BEGIN was told
    uint32_t windows        # with the pair, purely
    uint32_t missing        # since the last of these
    uint32_t broken         # some were missing in between
    float peak              # greatest amplitude in a pure window
    double pure             # sum of amplitudes of pure windows
    double sounding         # of all, edges and breaks included
    double power            # of the pair in pure windows, and all that was in these
    double energy
    double[2] turn_re       # what the phase of low and high tone moved on by, weighted by power and summed
    double[2] turn_im
    double[2] turn_weight


ctypedef struct dtmf_t:     # position-free; 512 bytes at most.  All zero is the state after dtmf_reset.
    int16_t[DTMF_KEPT] kept
    bank_view_t last        # the window before the next one; only with a candidate
    dtmf_candidate_t candidate


cdef void dtmf_reset(dtmf_t* dtmf) noexcept nogil
# One frame.  DTMF_NOTHING leaves `out` alone.  Every key gives one DTMF_BEGIN and later one DTMF_END, however long
# it is pressed; a stream that stops in between must be fed silence (or a reset).
cdef int dtmf_frame(dtmf_t* dtmf, const int16_t* pcm8, dtmf_press_t* out) noexcept nogil
