"""Telephone-events (RFC 4733): reported, relayed, injected; never decoded, never mixed."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.wire.rtp cimport rtp_header_t


# A telephone-event packet of payload type event_type[slot].
cdef void key_packet(media_t* m, endpoint_t* e, const rtp_header_t* h, int slot, const uint8_t* payload,
                     int64_t now_us) noexcept nogil
# Start one event towards the endpoint's peer.  One at a time.
cdef void key_inject(media_t* m, endpoint_t* e, int event, int duration_ms, int volume, int64_t now_us) noexcept nogil
# Presses that time out, injected events whose next packet is due: once a millisecond while there are any.
cdef void key_turn(media_t* m, int64_t now_us) noexcept nogil
# What the other workers of a spread bus have published since the last look.
cdef void key_from_peers(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil
# The endpoint's timestamps begin anew; of another source, the press in progress is over as well.
cdef void key_restarted(media_t* m, endpoint_t* e, bint another_source, int64_t now_us) noexcept nogil
# The endpoint goes away.
cdef void key_forget(media_t* m, endpoint_t* e) noexcept nogil
