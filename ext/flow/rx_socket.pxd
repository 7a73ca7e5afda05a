"""Reading sockets, and which of them epoll watches.  Together with tx_socket the only file that makes system calls for
media, so that another socket engine can be tried in its place."""

from libc.stdint cimport int64_t, uint32_t

from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport media_t


cdef enum:
    POLL_RTP = 0                # bits 32.. of the epoll data: which socket of the endpoint
    POLL_RTCP = 1
    POLL_WAKE = 2


# Watch or stop watching; repeating either is fine.
cdef void rx_poll_rtp(media_t* m, endpoint_t* e) noexcept nogil
cdef void rx_unpoll_rtp(media_t* m, endpoint_t* e) noexcept nogil
cdef void rx_poll_rtcp(media_t* m, endpoint_t* e) noexcept nogil
cdef void rx_unpoll_rtcp(media_t* m, endpoint_t* e) noexcept nogil
# Read one datagram into m.packet.  Bytes, 0 for "nothing there", -1 for one that was dropped (counted).
# The connected way: no address.
cdef int rx_read(media_t* m, endpoint_t* e) noexcept nogil
# When the kernel got the datagram read last, as monotonic microseconds; 0: unknown.
cdef int64_t rx_arrival_us(media_t* m, endpoint_t* e) noexcept nogil
# Count what the kernel dropped since the last look because the socket's queue was full (DROP_KERNEL).
cdef void rx_kernel_drops(media_t* m, endpoint_t* e) noexcept nogil
# The same of the RTCP socket; looked at only where its queue can have been full.
cdef void rx_rtcp_kernel_drops(media_t* m, endpoint_t* e) noexcept nogil
# With the sender's address.
cdef int rx_read_from(media_t* m, endpoint_t* e, int fd, addr_t* source) noexcept nogil
# Kernel arrival times on this socket from now on.
cdef void rx_stamp(endpoint_t* e) noexcept nogil
# Connect the RTP socket to e.remote: only that source is heard from now on.  0 or -1.
cdef int rx_connect(endpoint_t* e) noexcept nogil
# Throw away what is queued (DROP_STALE): it came before the socket was connected, from anybody.
cdef void rx_discard(media_t* m, endpoint_t* e) noexcept nogil
# Undo it, and throw away what was queued (DROP_STALE): learning starts afresh.
cdef void rx_disconnect(media_t* m, endpoint_t* e) noexcept nogil
cdef bint addr_equal(const addr_t* a, const addr_t* b) noexcept nogil
cdef bint addr_same_host(const addr_t* a, const addr_t* b) noexcept nogil
