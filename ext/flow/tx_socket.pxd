"""Sending.  Nothing is queued: what the kernel refuses is dropped and counted."""

from libc.stdint cimport uint8_t, uint32_t

from roomtone.ext.flow._socket cimport sockaddr_storage, socklen_t
from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport media_t


# Length of the socket address written to *name.
cdef socklen_t addr_to_sockaddr(const addr_t* a, sockaddr_storage* name) noexcept nogil
# One RTP datagram on a connected socket.  1 sent, 0 dropped (counted).
cdef int tx_send(media_t* m, endpoint_t* e, const uint8_t* data, int n) noexcept nogil
# One RTCP datagram: on the RTP socket when muxed, else to e.remote_rtcp.
cdef int tx_send_rtcp(media_t* m, endpoint_t* e, const uint8_t* data, int n) noexcept nogil
