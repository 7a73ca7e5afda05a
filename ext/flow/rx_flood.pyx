"""Sockets that are out of epoll because they are ahead of their budget, and their way back."""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.constants cimport NONE, TICK_US
from roomtone.ext.flow.counters cimport COUNT_FLOODS
from roomtone.ext.flow.endpoint cimport EP_POLLED, EP_TICKED, KIND_RTP, endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport count, endpoint_at, flood_t, media_t
from roomtone.ext.flow.rx_socket cimport (
    POLL_RTCP,
    POLL_RTP,
    rx_kernel_drops,
    rx_poll_rtcp,
    rx_poll_rtp,
    rx_rtcp_kernel_drops,
    rx_unpoll_rtcp,
    rx_unpoll_rtp,
)


cdef void flood_pause(media_t* m, endpoint_t* e, int which, int64_t now_us) noexcept nogil:
    cdef flood_t* f = flood_of(m, e, which)
    if which == POLL_RTP:
        rx_unpoll_rtp(m, e)
    else:
        rx_unpoll_rtcp(m, e)
    count(m, COUNT_FLOODS)
    if f.next:
        return                      # polled again by an edit, and paused again
    if m.flood_first == NONE:
        m.flood_due_us = now_us + TICK_US
    f.next = m.flood_first
    m.flood_first = 2 * endpoint_index(e) + which


cdef void back(media_t* m, endpoint_t* e, int which) noexcept nogil:
    """Into epoll again, unless it was closed, muxed or goes on the tick meanwhile."""
    if e.kind != KIND_RTP:
        return
    if which == POLL_RTCP:
        rx_rtcp_kernel_drops(m, e)
        rx_poll_rtcp(m, e)
        return
    rx_kernel_drops(m, e)
    if not e.flags & (EP_POLLED | EP_TICKED):
        rx_poll_rtp(m, e)


cdef void flood_turn(media_t* m, int64_t now_us) noexcept nogil:
    cdef uint32_t node = m.flood_first
    cdef flood_t* f
    m.flood_first = NONE
    m.flood_due_us = now_us + TICK_US
    while node != NONE:
        f = &m.floods[node]
        if flood_pay(f, 0, now_us):
            node, f.next, m.flood_first = f.next, m.flood_first, node
        else:
            back(m, endpoint_at(m, node >> 1), node & 1)
            node, f.next = f.next, 0


# -- for tests and tools --


def budget(reads):
    """The budget alone: (time in us, packets read) -> whether the socket is ahead after each."""
    cdef flood_t f
    f.paid_us = f.next = f.lost = 0
    return [bool(flood_pay(&f, packets, now_us)) for now_us, packets in reads]
