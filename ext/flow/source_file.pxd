"""Files as a source: frames are copied out of decoded tracks, whose chunks the Python thread provides.

Nothing is resampled and nothing is waited for here.  A chunk that is not there is silence, counted, and the place is
kept: what was not heard is heard later.  The end of a track, the next of the list, a loop and the middle of a frame meet
at any sample.  Loudness changes along a line, never with a step: a pause is a ramp to silence.
"""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, endpoint_private_t, media_t
from roomtone.ext.flow.handover cimport edit_t


# The tick's frame in private.pcm8, and in pcm16 where someone on the bus hears that rate.  0: silence.
cdef bint file_frame(
    media_t* m, bus_t* b, endpoint_t* e, endpoint_private_t* p, int64_t tick
) noexcept nogil
# Edits.  address: playback_t, x: gain
cdef void file_open(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil
# position: sample at 8 kHz of that item.  Nothing happens to a file that has ended.
cdef void file_seek(media_t* m, endpoint_t* e, uint32_t item, int64_t position) noexcept nogil
cdef void file_pause(media_t* m, endpoint_t* e, bint paused) noexcept nogil
cdef void file_gain(media_t* m, endpoint_t* e, float gain, uint32_t ramp_ms) noexcept nogil
