"""One datagram of an endpoint: what is it (RFC 7983, RFC 5761), and where does it go."""

from libc.stdint cimport int64_t

from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport media_t


# The datagram m.packet[:n] from the pinned peer.  arrival_us: when it arrived; 0: not known.
cdef void rx_datagram(media_t* m, endpoint_t* e, int n, int64_t arrival_us, int64_t now_us) noexcept nogil
# A datagram that came before the peer was pinned, with its source address.
cdef void rx_learn(media_t* m, endpoint_t* e, int n, const addr_t* source, int64_t now_us) noexcept nogil
# epoll says the RTP socket is readable.
cdef void rx_readable(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil
# epoll says the RTCP socket is readable.
cdef void rx_rtcp_readable(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil
# The bus's tick: what the socket holds, one read, more only when the source is behind.
cdef void rx_tick(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil
