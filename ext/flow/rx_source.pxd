"""One source: sequence validity and statistics, RFC 3550 A.1 and A.8, with the appendix's names."""

from libc.stdint cimport int64_t, uint16_t, uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.wire.rtp cimport rtp_header_t


cdef enum:
    RTP_SEQ_MOD = 65536
    MAX_DROPOUT = 3000
    MAX_MISORDER = 100
    MIN_SEQUENTIAL = 2

    SOURCE_ACCEPTED = 1         # in order
    SOURCE_REORDERED = 2        # older than the newest, not seen before
    SOURCE_RESTARTED = 3        # accepted; a new SSRC or a jump of the sequence: what is buffered belongs to the past


# A source begins with this packet.  waive: it counts at once (its address is the one the SDP named).
cdef void source_start(endpoint_t* e, uint32_t ssrc, uint16_t seq, bint waive) noexcept nogil
# One RTP packet.  SOURCE_* or a negative error, its drop counted.  arrival_us 0: not known, no jitter.
# clock_rate_hz 0: no jitter (telephone-event, whose
# timestamps stand still).
cdef int source_update(media_t* m, endpoint_t* e, const rtp_header_t* h, int64_t arrival_us,
                       int clock_rate_hz) noexcept nogil
# RFC 3550 A.3.
cdef int64_t source_lost(const endpoint_t* e) noexcept nogil
cdef uint32_t source_extended(const endpoint_t* e) noexcept nogil
