"""One peer's flood costs one peer: a budget of packets for every socket that epoll watches.

A socket read on the tick is bounded by the tick.  One that is read as packets come would be read as fast as somebody
sends.  So each packet read is paid for with FLOOD_PACKET_US of time; a socket that is FLOOD_BURST_US ahead of the clock
leaves epoll and comes back with the next look, every 20 ms, when it is not that far ahead any more.  What comes
meanwhile waits in its queue; what does not fit there the kernel drops, and it is counted (DROP_KERNEL).
"""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport flood_t, media_t


cdef enum:
    FLOOD_PACKET_US = 2000          # ten packets a tick: 2 ms audio packets, or ten times what a 20 ms source sends
    FLOOD_BURST_US = 100000         # 50 packets: a second of a source that the network held up comes at once
    FLOOD_AHEAD_MAX_US = 250000     # more is no debt but a clock read anew: FLOOD_BURST_US and 64 reads while learning


cdef inline flood_t* flood_of(media_t* m, endpoint_t* e, int which) noexcept nogil:
    """which: POLL_RTP or POLL_RTCP."""
    return &m.floods[2 * endpoint_index(e) + which]


cdef inline bint flood_pay(flood_t* f, int packets, int64_t now_us) noexcept nogil:
    """Pay for packets read.  True: the socket is a burst ahead of its budget."""
    cdef uint32_t ahead = f.paid_us - <uint32_t> now_us
    if ahead > FLOOD_AHEAD_MAX_US:
        ahead = 0
    ahead += <uint32_t> packets * FLOOD_PACKET_US
    f.paid_us = <uint32_t> now_us + ahead
    return ahead > FLOOD_BURST_US


# Take the socket out of epoll until flood_turn finds it within its budget.
cdef void flood_pause(media_t* m, endpoint_t* e, int which, int64_t now_us) noexcept nogil
# Look at what was taken out; to be called when m.flood_first is not NONE and m.flood_due_us has come.
cdef void flood_turn(media_t* m, int64_t now_us) noexcept nogil
