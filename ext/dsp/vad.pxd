"""Voice activity: how likely a frame of 160 samples at 8 kHz holds speech."""

from libc.stdint cimport int16_t, uint32_t

from roomtone.ext.dsp.dispatch cimport BANK_TONES


cdef enum:
    VAD_FRAME = 160         # samples of a frame


ctypedef struct vad_t:      # position-free; 256 bytes at most.  All zero is the state after vad_reset.
    uint32_t frames         # seen so far
    float[BANK_TONES] last  # levels of the bands, log2
    float[BANK_TONES] floor
    float[BANK_TONES] mean
    float[BANK_TONES] motion
    float[BANK_TONES] swing
    float[BANK_TONES] held
    float risen_lately      # share of bands above their floor, over 160 ms and over 1 s
    float risen_long


cdef void vad_reset(vad_t* vad) noexcept nogil
# Log odds of speech in one frame, -INFINITY to INFINITY (0: as likely as not); causal, without hang-over: the caller
# compares with vad_log_odds of a probability and holds.
cdef float vad_frame(vad_t* vad, const int16_t* pcm8) noexcept nogil
cdef float vad_log_odds(double probability) noexcept nogil
