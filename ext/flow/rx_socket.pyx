"""Receive side of the sockets: recv, recvmsg, connect, epoll membership."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from roomtone.ext.base.types cimport rt_likely
from roomtone.ext.flow._socket cimport (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    EAGAIN,
    EINTR,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLLIN,
    MSG_DONTWAIT,
    MSG_TRUNC,
    SIOCGSTAMPNS,
    SK_MEMINFO_DROPS,
    SO_MEMINFO,
    SOL_SOCKET,
    connect,
    epoll_ctl,
    epoll_event,
    errno,
    getsockopt,
    ioctl,
    iovec,
    msghdr,
    ntohs,
    recv,
    recvmsg,
    sockaddr,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_storage,
    socklen_t,
    timespec,
)
from roomtone.ext.flow.constants cimport DATAGRAM_MAX
from roomtone.ext.flow.counters cimport (
    COUNT_READS_EMPTY,
    COUNT_RX_RAW,
    DROP_KERNEL,
    DROP_OVERSIZE,
    DROP_REFUSED,
    DROP_SHORT,
    DROP_STALE,
)
from roomtone.ext.flow.endpoint cimport EP_CONNECTED, EP_POLLED, EP_STAMPED, addr_t, endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport count, drop, media_t
from roomtone.ext.flow.tx_socket cimport addr_to_sockaddr


cdef enum:
    SK_MEMINFO_VARIABLES = 16       # as many numbers, and more, as SO_MEMINFO gives (linux/sock_diag.h)
    DRAIN_MAX = 256                 # datagrams thrown away at most when learning starts afresh


cdef void watch(media_t* m, int fd, uint32_t index, uint64_t which) noexcept nogil:
    cdef epoll_event event
    if m.lab or fd < 0:
        return
    event.events = EPOLLIN
    event.data.u64 = index | which << 32
    epoll_ctl(m.epoll_fd, EPOLL_CTL_ADD, fd, &event)


cdef void unwatch(media_t* m, int fd) noexcept nogil:
    cdef epoll_event event
    if m.lab or fd < 0:
        return
    epoll_ctl(m.epoll_fd, EPOLL_CTL_DEL, fd, &event)


cdef void rx_poll_rtp(media_t* m, endpoint_t* e) noexcept nogil:
    if not e.flags & EP_POLLED:
        watch(m, e.rtp_fd, endpoint_index(e), POLL_RTP)
        e.flags |= EP_POLLED


cdef void rx_unpoll_rtp(media_t* m, endpoint_t* e) noexcept nogil:
    if e.flags & EP_POLLED:
        unwatch(m, e.rtp_fd)
        e.flags &= ~<uint32_t> EP_POLLED


cdef void rx_poll_rtcp(media_t* m, endpoint_t* e) noexcept nogil:
    watch(m, e.rtcp_fd, endpoint_index(e), POLL_RTCP)


cdef void rx_unpoll_rtcp(media_t* m, endpoint_t* e) noexcept nogil:
    unwatch(m, e.rtcp_fd)


cdef int failed(media_t* m) noexcept nogil:
    """What a negative return of recv means: 0 for nothing there, -1 for a counted refusal."""
    if errno == EAGAIN or errno == EINTR:
        count(m, COUNT_READS_EMPTY)
        return 0
    drop(m, DROP_REFUSED)       # a pending ICMP error: reading it clears it
    return -1


cdef int accepted(media_t* m, endpoint_t* e, ssize_t n) noexcept nogil:
    """n, or -1 for a datagram of a size that nobody looks into."""
    if rt_likely(0 < n <= DATAGRAM_MAX):
        return <int> n
    count(m, COUNT_RX_RAW)
    e.rx_raw_packets += 1
    e.rx_raw_bytes += n
    e.rx_dropped += 1
    drop(m, DROP_OVERSIZE if n else DROP_SHORT)
    return -1


cdef int rx_read(media_t* m, endpoint_t* e) noexcept nogil:
    cdef ssize_t n
    if e.rtp_fd < 0:
        return 0
    n = recv(e.rtp_fd, m.packet, sizeof(m.packet), MSG_DONTWAIT | MSG_TRUNC)
    if n < 0:
        return failed(m)
    return accepted(m, e, n)


cdef int64_t rx_arrival_us(media_t* m, endpoint_t* e) noexcept nogil:
    cdef timespec stamp
    if e.rtp_fd < 0 or ioctl(e.rtp_fd, SIOCGSTAMPNS, &stamp) < 0:
        return 0
    return <int64_t> stamp.tv_sec * 1000000 + stamp.tv_nsec // 1000 - m.wall_offset_us


cdef void kernel_drops(media_t* m, endpoint_t* e, int fd, uint32_t* known) noexcept nogil:
    """known: what was counted already."""
    cdef uint32_t[SK_MEMINFO_VARIABLES] memory
    cdef socklen_t n = sizeof(memory)
    cdef uint32_t lost
    if fd < 0 or getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &n) < 0 or n <= SK_MEMINFO_DROPS * 4:
        return
    lost = memory[SK_MEMINFO_DROPS] - known[0]
    m.stats.drops[<int> DROP_KERNEL] += lost
    e.rx_dropped += lost
    known[0] = memory[SK_MEMINFO_DROPS]


cdef void rx_kernel_drops(media_t* m, endpoint_t* e) noexcept nogil:
    kernel_drops(m, e, e.rtp_fd, &e.kernel_drops)


cdef void rx_rtcp_kernel_drops(media_t* m, endpoint_t* e) noexcept nogil:
    kernel_drops(m, e, e.rtcp_fd, &m.floods[2 * endpoint_index(e) + POLL_RTCP].lost)


cdef int rx_read_from(media_t* m, endpoint_t* e, int fd, addr_t* source) noexcept nogil:
    cdef:
        msghdr message
        iovec vector
        sockaddr_storage name
        sockaddr_in* four
        sockaddr_in6* six
        ssize_t n
    if fd < 0:
        return 0
    vector.iov_base = m.packet
    vector.iov_len = sizeof(m.packet)
    message.msg_name = &name
    message.msg_namelen = sizeof(name)
    message.msg_iov = &vector
    message.msg_iovlen = 1
    message.msg_control = NULL
    message.msg_controllen = 0
    message.msg_flags = 0
    n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC)
    if n < 0:
        return failed(m)
    memset(source, 0, sizeof(addr_t))
    if name.ss_family == AF_INET:
        four = <sockaddr_in*> &name
        source.family = 4
        source.port = ntohs(four.sin_port)
        memcpy(source.ip, &four.sin_addr, 4)
    elif name.ss_family == AF_INET6:
        six = <sockaddr_in6*> &name
        source.family = 6
        source.port = ntohs(six.sin6_port)
        memcpy(source.ip, &six.sin6_addr, 16)
    return accepted(m, e, n)


cdef void rx_stamp(endpoint_t* e) noexcept nogil:
    cdef timespec stamp
    if e.rtp_fd >= 0 and not e.flags & EP_STAMPED:
        ioctl(e.rtp_fd, SIOCGSTAMPNS, &stamp)       # the first question turns arrival times on
    e.flags |= EP_STAMPED


cdef int rx_connect(endpoint_t* e) noexcept nogil:
    cdef sockaddr_storage name
    e.flags |= EP_CONNECTED
    if e.rtp_fd < 0:
        return 0
    return connect(e.rtp_fd, <sockaddr*> &name, addr_to_sockaddr(&e.remote, &name))


cdef void rx_discard(media_t* m, endpoint_t* e) noexcept nogil:
    cdef int _i
    cdef int n
    for _i in range(DRAIN_MAX):
        n = rx_read(m, e)
        if n == 0:
            break
        if n > 0:
            count(m, COUNT_RX_RAW)
            e.rx_raw_packets += 1
            e.rx_raw_bytes += n
            drop(m, DROP_STALE)


cdef void rx_disconnect(media_t* m, endpoint_t* e) noexcept nogil:
    cdef sockaddr name
    if e.flags & EP_CONNECTED and e.rtp_fd >= 0:
        memset(&name, 0, sizeof(name))
        name.sa_family = AF_UNSPEC
        connect(e.rtp_fd, &name, sizeof(name))
        rx_discard(m, e)
    e.flags &= ~<uint32_t> EP_CONNECTED


cdef bint addr_same_host(const addr_t* a, const addr_t* b) noexcept nogil:
    return a.family == b.family and memcmp(a.ip, b.ip, 4 if a.family == 4 else 16) == 0


cdef bint addr_equal(const addr_t* a, const addr_t* b) noexcept nogil:
    return a.port == b.port and addr_same_host(a, b)
