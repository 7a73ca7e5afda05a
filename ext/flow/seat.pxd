"""How endpoints sit in a room: who is muted, who hears which voices, who is played something alone.

A seat says it (seat_t, graph.pxd).  Most seats say nothing: their endpoints are added to the sum and hear the sum, as on
any bus, at no cost.  The others have EP_SPEAKS_APART, EP_LISTENS_APART or EP_PARTY, and come here.

Voices of the roles 1 to 7 are in the bus's sum and beside it in the sum of their role: whoever does not hear a role hears
the sum less that role's, which leaves no trace of it: sums are whole numbers.  All who hear the same in the same codec
share one encoding.  Private sources are in no sum; those they are for get them on top, in an encoding of their own.
"""

from libc.stdint cimport int64_t, uint8_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, bus_t, media_t, mix_t
from roomtone.ext.flow.handover cimport edit_t


# Edit: sit down, or sit otherwise.
cdef void seat_take(media_t* m, endpoint_t* e, const edit_t* d) noexcept nogil
# A source that speaks apart has a frame: whether it goes into the sum, faded if that has just changed.
cdef bint seat_speaks(media_t* m, const bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil
# Sources that have come were asked by this tick: told of those who are sent nothing.
cdef void seat_arrived(media_t* m, bus_t* b) noexcept nogil
# The packet of this tick to a destination that listens apart or has just come.
cdef void seat_send(media_t* m, const bus_t* b, bus_private_t* p, mix_t* mix, endpoint_t* d, int64_t tick,
                    int64_t now_us) noexcept nogil
