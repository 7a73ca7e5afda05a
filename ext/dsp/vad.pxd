"""Voice activity: how likely a frame of 160 samples at 8 kHz holds speech."""

from libc.stdint cimport int16_t, uint32_t

from roomtone.ext.dsp.dispatch cimport BANK_TONES


cdef enum:
    VAD_FRAME = 160         # samples of a frame


ctypedef struct vad_t:      # position-free; 256 bytes at most.  All zero is the state after vad_reset.
    uint32_t frames         # seen so far
    float probability       # of the last frame
    float[BANK_TONES] last  # levels of the bands, log2
    float[BANK_TONES] floor
    float[BANK_TONES] mean
    float[BANK_TONES] motion
    float[BANK_TONES] swing
    float[BANK_TONES] held
    float risen_lately      # share of bands above their floor, over 160 ms and over 1 s
    float risen_long


cdef void vad_reset(vad_t* vad) noexcept nogil
# Probability of speech, 0..1, of one frame; causal, without hang-over: the caller compares it with a threshold (0.5)
# and holds.
cdef float vad_frame(vad_t* vad, const int16_t* pcm8) noexcept nogil
