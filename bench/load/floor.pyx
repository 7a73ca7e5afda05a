"""The floor: the least a relay of RTP can cost on this machine.

One thread, level-triggered epoll, a connected UDP socket a caller, recv, the RTP header rewritten, send.
Nothing else: no statistics, no RTCP, no learning, no timers.  Socket i forwards to the peer of socket i^1.
Compiled with plain -O2.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint32_t u32
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN
    int EPOLL_CTL_ADD
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int count, int timeout)

cdef extern from "<sys/socket.h>" nogil:
    int MSG_DONTWAIT
    ssize_t recv(int fd, void* data, size_t size, int flags)
    ssize_t send(int fd, const void* data, size_t size, int flags)

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t v)
    uint16_t ntohs(uint16_t v)
    uint32_t htonl(uint32_t v)
    uint32_t ntohl(uint32_t v)

cdef enum:
    EVENTS = 64                # descriptors one epoll_wait may report
    DATAGRAM_BYTES = 1500
    HEADER_BYTES = 12          # RFC 3550 section 5.1
    SEQ_STEP = 1000            # the floor's own sequence and timestamp lines: the source's plus a constant
    TIMESTAMP_STEP = 160000
    SSRC_BASE = 0x464C0000


cdef void floor_run(const int* fds, int count, int epfd) noexcept nogil:
    """Forward for ever; returns only when epoll fails."""
    cdef epoll_event events[EVENTS]
    cdef uint8_t data[DATAGRAM_BYTES]
    cdef uint32_t number
    cdef ssize_t size
    cdef int ready, i
    while True:
        ready = epoll_wait(epfd, events, EVENTS, -1)
        if ready < 0 and errno != EINTR:
            return
        for i in range(ready):
            number = events[i].data.u32
            size = recv(fds[number], data, DATAGRAM_BYTES, MSG_DONTWAIT)
            if size < HEADER_BYTES:
                continue
            (<uint16_t*> &data[2])[0] = htons(<uint16_t> (ntohs((<uint16_t*> &data[2])[0]) + SEQ_STEP))
            (<uint32_t*> &data[4])[0] = htonl(ntohl((<uint32_t*> &data[4])[0]) + TIMESTAMP_STEP)
            (<uint32_t*> &data[8])[0] = htonl(SSRC_BASE + number)
            send(fds[number ^ 1], data, size, MSG_DONTWAIT)


def run(list descriptors):
    """Forward between neighbours for ever.  descriptors: an even number of connected sockets; borrowed.

    Returns (with OSError) only when epoll cannot be set up; a signal ends the process.
    """
    cdef int count = len(descriptors)
    cdef epoll_event event
    cdef int epfd
    if count == 0 or count % 2:
        raise ValueError("the floor forwards between pairs")
    cdef int* fds = <int*> calloc(count, sizeof(int))
    if fds == NULL:
        raise MemoryError()
    try:
        epfd = epoll_create1(0)
        for i in range(count):
            fds[i] = descriptors[i]
            event.events = EPOLLIN
            event.data.u32 = i
            if epoll_ctl(epfd, EPOLL_CTL_ADD, fds[i], &event) < 0:
                raise OSError(errno, "epoll_ctl")
        with nogil:
            floor_run(fds, count, epfd)
        raise OSError(errno, "epoll_wait")
    finally:
        free(fds)
