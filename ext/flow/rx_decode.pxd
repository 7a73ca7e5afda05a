"""One source, one tick: what it says now, as PCM, if it says anything."""

from libc.stdint cimport int64_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t


# Take the tick's frame of a source and decode it into private.pcm8 / pcm16, as far as someone on the bus hears that
# rate.  1: it talks, add it to the sums; 0: silence.
cdef bint source_frame(media_t* m, bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil
