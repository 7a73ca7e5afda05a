"""What is known of a watched source: a pool of its own beside the graph, touched only when it is used (tap.pyx)."""

from libc.stdint cimport int16_t, int64_t, uint32_t, uint64_t

from roomtone.ext.base.ring cimport ring_t
from roomtone.ext.dsp.dtmf_detect cimport dtmf_t
from roomtone.ext.dsp.fax_detect cimport fax_t
from roomtone.ext.dsp.vad cimport vad_t


cdef enum:
    TAP_FRAME = 160                     # samples of a tick at 8 kHz
    TAP_FRAMES = 64                     # 1.28 s


ctypedef struct tap_frame_t:
    int64_t at_us                       # its tick
    int16_t pcm8[TAP_FRAME]


ctypedef struct tap_ring_t:             # frames on their way to a detector outside the media thread
    ring_t ring
    tap_frame_t frames[TAP_FRAMES]


ctypedef struct tap_t:
    # What the Python thread reads as it is.  `serial` is stored last and checked before and after reading.
    uint64_t serial                     # of the watch that the two times belong to
    int64_t speech_began_us             # tick of the latest utterance's first frame; 0: none yet
    int64_t speech_last_us              # tick of the latest frame with speech in it,
    int64_t speech_before_us            # and in the utterance before
    uint64_t cng_heard                  # times the tone began
    uint64_t ced_heard
    # the media thread's own
    tap_ring_t* frames
    float threshold                     # log odds from which on a frame is speech
    uint32_t missing                    # ticks in a row without a packet
    uint32_t tick_low                   # of the last frame
    vad_t vad
    dtmf_t dtmf
    fax_t fax
