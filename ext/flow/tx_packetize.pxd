"""The send line of a destination: its own SSRC, a gap-free sequence, a timestamp that only it owns (traps: egress
timestamps).  A change of source advances the timestamp by the real time since the last packet, at least one frame, and
sets the marker."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.base.types cimport handle_t
from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t


# May audio be sent to this endpoint's peer now?  1, or 0 with the reason counted.
cdef bint tx_open(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil
# `packet` is RTP_HEADROOM bytes of room followed by the payload: write the header and send.  Two kinds of line:
# relayed: the timestamp follows the source's
cdef void tx_relayed(media_t* m, endpoint_t* e, handle_t source, uint32_t source_ts, bint marker, uint8_t* packet,
                     int payload_bytes, int64_t now_us) noexcept nogil
# mixed: one frame a tick
cdef void tx_mixed(media_t* m, endpoint_t* e, int64_t tick, uint8_t* packet, int payload_bytes,
                   int64_t now_us) noexcept nogil
# Comfort noise (RFC 3389), to a peer that takes it: what its source has told, or, where nobody has a frame in a mix, in the
# place of one.  The mixed audio that follows has the marker (RFC 3551 section 4.1).
cdef void tx_noise_relayed(media_t* m, endpoint_t* e, handle_t source, uint32_t source_ts, uint8_t* packet,
                           int payload_bytes, int64_t now_us) noexcept nogil
cdef void tx_noise_mixed(media_t* m, endpoint_t* e, int64_t tick, int64_t now_us) noexcept nogil
# The line's timestamp at this moment, whether or not audio is being sent.
cdef uint32_t tx_timestamp_at(const endpoint_t* e, int64_t now_us) noexcept nogil
