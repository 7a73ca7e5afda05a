"""What recorded endpoints receive and send is copied aside (ext/record).  Called only for EP_CAPTURED endpoints: for all
others a recording costs the test of a flag in a word that is at hand."""

from libc.stdint cimport int64_t, uint8_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t


# While the sound of a source is hushed (graph.pxd), packets that carry it, alone or in a mix, are copied with silence in
# its place, and frames with it are left out.

# A datagram accepted from the peer, before anything writes into it.  codec: of audio; 0: a telephone-event.
cdef void capture_received(media_t* m, endpoint_t* e, int codec, const uint8_t* data, int n, int64_t at_us) noexcept nogil
# A datagram as it was sent to the peer, audio or a telephone-event.
cdef void capture_sent(media_t* m, endpoint_t* e, bint audio, const uint8_t* data, int n, int64_t at_us) noexcept nogil
cdef void capture_rtcp(media_t* m, endpoint_t* e, bint outgoing, const uint8_t* data, int n, int64_t at_us) noexcept nogil
# The frame of this tick of a source that is made here, as it goes into the sum.
cdef void capture_own(media_t* m, const bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil
