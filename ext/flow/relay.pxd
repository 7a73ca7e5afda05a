"""The short way: an accepted packet to everyone who hears just this source, on arrival, without a buffer."""

from libc.stdint cimport int64_t, uint8_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t
from roomtone.ext.wire.rtp cimport rtp_header_t


# data: the datagram in m.packet; its header is rewritten in place before each send.  Comfort noise goes to those who
# negotiated it.
cdef void relay_packet(media_t* m, bus_t* b, endpoint_t* source, const rtp_header_t* h, uint8_t* data,
                       int64_t now_us) noexcept nogil
# The source began a new time line (another SSRC, a restart): its listeners go on by real time.
cdef void relay_restarted(media_t* m, endpoint_t* source) noexcept nogil
