"""Send side of the sockets; in the lab, an outbox in memory."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from roomtone.ext.flow._socket cimport (
    AF_INET,
    AF_INET6,
    ECONNREFUSED,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    errno,
    htons,
    send,
    sendto,
    sockaddr,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_storage,
    socklen_t,
)
from roomtone.ext.flow.counters cimport DROP_REFUSED, DROP_SEND
from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport drop, media_t


cdef socklen_t addr_to_sockaddr(const addr_t* a, sockaddr_storage* name) noexcept nogil:
    cdef:
        sockaddr_in* four = <sockaddr_in*> name
        sockaddr_in6* six = <sockaddr_in6*> name
    if a.family == 4:
        memset(four, 0, sizeof(sockaddr_in))
        four.sin_family = AF_INET
        four.sin_port = htons(a.port)
        memcpy(&four.sin_addr, a.ip, 4)
        return sizeof(sockaddr_in)
    memset(six, 0, sizeof(sockaddr_in6))
    six.sin6_family = AF_INET6
    six.sin6_port = htons(a.port)
    memcpy(&six.sin6_addr, a.ip, 16)
    return sizeof(sockaddr_in6)


cdef int outbox_put(media_t* m, endpoint_t* e, const uint8_t* data, int n, uint32_t rtcp) noexcept nogil:
    """Record: now_us, handle, bytes | rtcp << 31, then the datagram, filled up to 8 bytes."""
    cdef uint8_t* at = m.outbox.data + m.outbox.used
    if m.outbox.used + 16 + (n + 7 & ~7) > m.outbox.capacity:
        m.outbox.lost += 1
        return 0
    (<int64_t*> at)[0] = m.now_us
    (<uint32_t*> (at + 8))[0] = e.handle
    (<uint32_t*> (at + 12))[0] = <uint32_t> n | rtcp << 31
    memcpy(at + 16, data, n)
    m.outbox.used += 16 + (n + 7 & ~7)
    return 1


cdef int refused(media_t* m) noexcept nogil:
    drop(m, DROP_REFUSED if errno == ECONNREFUSED else DROP_SEND)
    return 0


cdef int tx_send(media_t* m, endpoint_t* e, const uint8_t* data, int n) noexcept nogil:
    if m.lab:
        return outbox_put(m, e, data, n, 0)
    if send(e.rtp_fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0:
        # A pending ICMP refusal is reported once and says nothing of this packet: send it again.
        if errno == ECONNREFUSED:
            drop(m, DROP_REFUSED)
            if send(e.rtp_fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0:
                return 1
        return refused(m)
    return 1


cdef int tx_send_rtcp(media_t* m, endpoint_t* e, const uint8_t* data, int n) noexcept nogil:
    cdef sockaddr_storage name
    cdef socklen_t length
    if m.lab:
        return outbox_put(m, e, data, n, 1)
    if e.rtcp_fd < 0:
        return tx_send(m, e, data, n)
    if e.remote_rtcp.port == 0:
        return 0
    length = addr_to_sockaddr(&e.remote_rtcp, &name)
    if sendto(e.rtcp_fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL, <sockaddr*> &name, length) < 0:
        return refused(m)
    return 1
