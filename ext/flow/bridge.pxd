"""A bridge: what another session's own sources say, as one source of this bus.

The far session's buses publish their sums (partial.pyx), on this worker or on others; a bridge reads them once a tick and
makes one frame of them, through one limiter.  All workers tick on one grid, so the tick a bridge reads is always as many
ticks behind its own: the newest that is FEED_SLACK_MS old.  A sum that is not there then is silence, and counted.
"""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t, mix_t


cdef enum:
    FEED_SLACK_MS = 4           # a sum may be so late; the delay through a bridge is this to one tick more

# As a source of its bus, and no more.
cdef void bridge_on(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil
cdef void bridge_off(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil
# Add every bridge of the bus to its sum; returns how many of them had something to say.
cdef uint32_t bridges_add(media_t* m, bus_t* b, mix_t* mix, int64_t tick) noexcept nogil
